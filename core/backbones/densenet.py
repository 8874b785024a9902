"""Densely connected network with bottlenecks and compression (Huang 2017, DenseNet-BC), sized for spectrograms."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

BOTTLENECK = 4
"""Ratio of a layer's inner channels (those of its 1x1 convolution) to the channels that the layer adds."""


def _convolution(in_channels: int, out_channels: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """Batch norm, ReLU, then a convolution whose only change of the map's size is its stride (pre-activation order)."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU(inplace=True), conv)


class DenseLayer(nn.Module):
    """A layer that passes on all its input maps and appends `growth` new ones."""

    def __init__(self, in_channels: int, growth: int, *, dropout: float) -> None:
        super().__init__()
        inner = BOTTLENECK * growth
        self.layers = nn.Sequential(
            _convolution(in_channels, inner, 1), _convolution(inner, growth, 3), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, in_channels + growth, height, width)` from maps `(batch, in_channels, height, width)`."""
        return torch.cat([x, self.layers(x)], dim=1)


class DenseNet(nn.Module):
    """Dense blocks over features as a one-channel image of any size; see `densenet`.

    The layers are: a 7x7 stem and a max pool, each of stride 2; the dense blocks; the mean over the whole map; a linear
    layer. Between two blocks, a 1x1 convolution reduces the channels and an average pool halves the size of the map.
    """

    def __init__(
        self, n_layers: Sequence[int], *, growth: int, compression: float, dropout: float, embedding_dim: int
    ) -> None:
        super().__init__()
        for name, value in (("width", growth), ("embedding_dim", embedding_dim)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if not n_layers or min(n_layers) < 1:
            raise ValueError(f"n_layers is {list(n_layers)}; it must name one block or more, of at least 1 layer each")
        if not 0 < compression <= 1:
            raise ValueError(f"compression is {compression}; it must be above 0 and at most 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must lie in [0, 1)")
        self.embedding_dim = embedding_dim
        channels = 2 * growth
        # The stem has no batch norm, because every dense layer normalises its own input.
        stem = nn.Conv2d(1, channels, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        layers: list[nn.Module] = [stem, nn.MaxPool2d(3, stride=2, padding=1)]
        for block, depth in enumerate(n_layers):
            if block > 0:
                fewer = max(1, int(compression * channels))
                # Sizes are rounded up, as in the stem, so that the smallest map is 1 x 1.
                layers += [_convolution(channels, fewer, 1), nn.AvgPool2d(2, ceil_mode=True)]
                channels = fewer
            layers += [DenseLayer(channels + k * growth, growth, dropout=dropout) for k in range(depth)]
            channels += depth * growth
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.linear = nn.Linear(channels, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        x = self.layers(features.unsqueeze(1))  # (batch, n_features, n_frames) -> (batch, channels, height, width)
        return cast(Tensor, self.linear(x.mean(dim=(2, 3))))


def densenet(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int = 512,
    width: int = 12,
    n_layers: Sequence[int] = (6, 12, 8, 6),
    compression: float = 0.5,
    dropout: float = 0.0,
) -> DenseNet:
    """DenseNet-BC for inputs of any size.

    Table 1 of the paper names a DenseNet over log spectra without its sizes. The sizes here are ours.

    Args:
        n_features: Features per frame; any number.
        n_frames: Frames per input; any number.
        embedding_dim: Size of the embedding, 1 or more.
        width: Channels that each layer adds (the growth rate), 1 or more; the stem has twice as many.
        n_layers: Layers of each dense block, 1 or more each. DenseNet-121, made for larger images and corpora, has
            6, 12, 24 and 16.
        compression: Fraction in (0, 1] of its channels that a block passes to the next block.
        dropout: Probability in [0, 1) that a new value of a layer is dropped in training.

    Raises:
        ValueError: An option is outside the range above.
    """
    return DenseNet(n_layers, growth=width, compression=compression, dropout=dropout, embedding_dim=embedding_dim)
