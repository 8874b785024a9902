"""ECAPA-TDNN (Desplanques 2020): one-dimensional convolutions with several time scales, then attentive pooling."""

from typing import cast

import torch
from torch import Tensor, nn

from core.backbones.pooling import AttentiveStatistics

DILATIONS = (2, 3, 4)
"""Of the kernels of the three blocks."""


def _layer(in_channels: int, out_channels: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution that keeps the number of frames, ReLU, batch norm."""
    padding = dilation * (kernel - 1) // 2
    convolution = nn.Conv1d(in_channels, out_channels, kernel, dilation=dilation, padding=padding)
    return nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm1d(out_channels))


class Res2Layer(nn.Module):
    """Res2Net's layer (Gao 2019): groups of channels, where every group but the first also sees the group before it."""

    def __init__(self, channels: int, *, kernel: int, dilation: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        size = channels // scale
        self.layers = nn.ModuleList(_layer(size, size, kernel, dilation) for _ in range(scale - 1))

    def forward(self, x: Tensor) -> Tensor:
        """Frames `(batch, channels, n_frames)`, of the same shape as `x`."""
        first, *others = x.chunk(self.scale, dim=1)
        outputs = [first]
        for group, layer in zip(others, self.layers, strict=True):
            outputs.append(layer(group if len(outputs) == 1 else group + outputs[-1]))
        return torch.cat(outputs, dim=1)


class Excitation(nn.Module):
    """Squeeze-and-excitation over time: gates in (0, 1), computed from the channels' means, weight the channels."""

    def __init__(self, channels: int, *, bottleneck: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, bottleneck), nn.ReLU(), nn.Linear(bottleneck, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Weighted frames `(batch, channels, n_frames)`, of the same shape as `x`."""
        return cast(Tensor, x * self.gate(x.mean(dim=2))[:, :, None])


class EcapaTdnn(nn.Module):
    """The network; see `ecapa_tdnn`."""

    def __init__(self, n_features: int, *, embedding_dim: int, width: int, scale: int, bottleneck: int) -> None:
        super().__init__()
        for name, value in (("embedding_dim", embedding_dim), ("bottleneck", bottleneck)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if scale < 2 or width < scale or width % scale:
            raise ValueError(f"width is {width} and scale is {scale}; scale must be at least 2 and divide width")
        self.embedding_dim = embedding_dim
        self.stem = _layer(n_features, width, 5)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _layer(width, width),
                Res2Layer(width, kernel=3, dilation=dilation, scale=scale),
                _layer(width, width),
                Excitation(width, bottleneck=bottleneck),
            )
            for dilation in DILATIONS
        )
        pooled = len(DILATIONS) * width
        self.aggregation = nn.Sequential(nn.Conv1d(pooled, pooled, 1), nn.ReLU())
        self.pooling = AttentiveStatistics(pooled, bottleneck=bottleneck, context=True)
        self.norm = nn.BatchNorm1d(2 * pooled)
        self.linear = nn.Linear(2 * pooled, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        seen = self.stem(features)
        outputs: list[Tensor] = []
        for block in self.blocks:
            outputs.append(seen + block(seen))
            seen = seen + outputs[-1]  # a block sees the sum of all earlier outputs (section 2.2.3)
        x = self.aggregation(torch.cat(outputs, dim=1))
        return cast(Tensor, self.linear(self.norm(self.pooling(x))))


def ecapa_tdnn(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int = 512,
    width: int = 128,
    scale: int = 8,
    bottleneck: int = 64,
) -> EcapaTdnn:
    """ECAPA-TDNN for any number of frames.

    The published small network has 80 features, width 512, a bottleneck of 128 and embeddings of 192 values. Its last
    layer has batch norm, and ours has none: the losses on pairs measure distances between embeddings.

    Args:
        n_features: Features per frame; any number.
        n_frames: Frames per input; any number.
        embedding_dim: Size of the embedding, 1 or more.
        width: Channels of a block, a multiple of `scale`.
        scale: Groups of channels of a block, at least 2.
        bottleneck: Hidden units of the squeeze-and-excitation and of the attention, 1 or more.

    Raises:
        ValueError: An option is outside the range above.
    """
    return EcapaTdnn(n_features, embedding_dim=embedding_dim, width=width, scale=scale, bottleneck=bottleneck)
