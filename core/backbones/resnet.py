"""Residual networks in the proportions of ASSERT (Lai 2019), with squeeze-and-excitation as an option of their blocks.

There is one class with two kinds of block. The variants at the end of the file differ only in their numbers.
"""

from typing import cast

from torch import Tensor, nn

EXPANSION = 2
"""Ratio of a bottleneck block's output channels to its inner ones; 2 as in ASSERT, while computer vision uses 4."""

STRIDES = (1, 2, 2, 2)


def convolution(in_channels: int, out_channels: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """A convolution, whose only change of the map's size is its stride, then batch norm, whose shift is the bias."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation: gates in (0, 1), computed from the channels' means, weight the channels.

    Source: paper, section 3.2.3.
    """

    def __init__(self, channels: int, *, reduction: int) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.gate = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Weighted maps `(batch, channels, height, width)`, of the same shape as `x`."""
        gates = self.gate(x.mean(dim=(2, 3)))  # (batch, channels)
        return cast(Tensor, x * gates[:, :, None, None])


class Block(nn.Module):
    """Residual block: convolutions, optional squeeze-and-excitation, then the sum with the shortcut.

    A plain block has two 3x3 convolutions. A bottleneck block has convolutions of 1x1, 3x3 and 1x1, the last of which
    has `EXPANSION` times as many channels.
    """

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, bottleneck: bool, reduction: int | None
    ) -> None:
        super().__init__()
        self.out_channels = channels * EXPANSION if bottleneck else channels
        if bottleneck:
            convolutions = [
                convolution(in_channels, channels, 1),
                convolution(channels, channels, 3, stride=stride),
                convolution(channels, self.out_channels, 1),
            ]
        else:
            convolutions = [convolution(in_channels, channels, 3, stride=stride), convolution(channels, channels, 3)]
        layers: list[nn.Module] = []
        for layer in convolutions:
            layers += [layer, nn.ReLU(inplace=True)]
        layers.pop()  # the last ReLU follows the addition of the shortcut
        if reduction is not None:
            layers.append(SqueezeExcitation(self.out_channels, reduction=reduction))
        self.residual = nn.Sequential(*layers)
        same = stride == 1 and in_channels == self.out_channels
        self.shortcut = nn.Identity() if same else convolution(in_channels, self.out_channels, 1, stride=stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, out_channels, height / stride, width / stride)`, sizes rounded up.

        Args:
            x: Maps `(batch, in_channels, height, width)`.
        """
        return cast(Tensor, self.relu(self.residual(x) + self.shortcut(x)))


class ResNet(nn.Module):
    """Residual network over features as a one-channel image of any size.

    The layers are: a 7x7 stem and a max pool, each of stride 2; four stages of blocks; the mean over the whole map; a
    linear layer. Every stage after the first has twice the channels and half the resolution of the stage before it.
    """

    def __init__(
        self, n_blocks: tuple[int, ...], *, bottleneck: bool, embedding_dim: int, width: int, reduction: int | None
    ) -> None:
        super().__init__()
        for name, value in (("embedding_dim", embedding_dim), ("width", width), ("reduction", reduction)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        self.embedding_dim = embedding_dim
        self.stem = nn.Sequential(
            convolution(1, width, 7, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
        )
        blocks: list[Block] = []
        channels = width
        for stage, (depth, stage_stride) in enumerate(zip(n_blocks, STRIDES, strict=True)):
            for number in range(depth):
                stride = stage_stride if number == 0 else 1
                blocks.append(
                    Block(channels, width * 2**stage, stride=stride, bottleneck=bottleneck, reduction=reduction)
                )
                channels = blocks[-1].out_channels
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(channels, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        x = features.unsqueeze(1)  # (batch, n_features, n_frames) -> (batch, 1, n_features, n_frames)
        x = self.blocks(self.stem(x))
        return cast(Tensor, self.linear(x.mean(dim=(2, 3))))


def resnet18(n_features: int, n_frames: int, *, embedding_dim: int = 512, width: int = 16) -> ResNet:
    """ResNet18 for inputs of any size.

    Args:
        n_features: Features per frame; any number.
        n_frames: Frames per input; any number.
        embedding_dim: Size of the embedding, 1 or more.
        width: Channels of the first stage, 1 or more. Computer vision uses 64.

    Raises:
        ValueError: An option is outside the range above.
    """
    return ResNet((2, 2, 2, 2), bottleneck=False, embedding_dim=embedding_dim, width=width, reduction=None)


def resnet34(n_features: int, n_frames: int, *, embedding_dim: int = 512, width: int = 16) -> ResNet:
    """ResNet34; options as in `resnet18`."""
    return ResNet((3, 4, 6, 3), bottleneck=False, embedding_dim=embedding_dim, width=width, reduction=None)


def resnet50(n_features: int, n_frames: int, *, embedding_dim: int = 512, width: int = 16) -> ResNet:
    """ResNet50 of bottleneck blocks; options as in `resnet18`."""
    return ResNet((3, 4, 6, 3), bottleneck=True, embedding_dim=embedding_dim, width=width, reduction=None)


def senet18(
    n_features: int, n_frames: int, *, embedding_dim: int = 512, width: int = 16, reduction: int = 16
) -> ResNet:
    """ResNet18 with squeeze-and-excitation.

    Args:
        n_features: Features per frame; any number.
        n_frames: Frames per input; any number.
        embedding_dim: Size of the embedding, 1 or more.
        width: Channels of the first stage, 1 or more.
        reduction: Ratio of a block's channels to the hidden units of its squeeze-and-excitation, which has at least 1.

    Raises:
        ValueError: An option is outside the range above.
    """
    return ResNet((2, 2, 2, 2), bottleneck=False, embedding_dim=embedding_dim, width=width, reduction=reduction)


def senet34(
    n_features: int, n_frames: int, *, embedding_dim: int = 512, width: int = 16, reduction: int = 16
) -> ResNet:
    """ResNet34 with squeeze-and-excitation; options as in `senet18`."""
    return ResNet((3, 4, 6, 3), bottleneck=False, embedding_dim=embedding_dim, width=width, reduction=reduction)


def senet50(
    n_features: int, n_frames: int, *, embedding_dim: int = 512, width: int = 16, reduction: int = 16
) -> ResNet:
    """ResNet50 of bottleneck blocks with squeeze-and-excitation; options as in `senet18`."""
    return ResNet((3, 4, 6, 3), bottleneck=True, embedding_dim=embedding_dim, width=width, reduction=reduction)
