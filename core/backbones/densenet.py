"""Densely connected network with bottlenecks and compression (Huang 2017, DenseNet-BC), sized for spectrograms."""

from typing import cast

import torch
from torch import Tensor, nn

BLOCKS = (6, 12, 8, 6)
"""Layers of each dense block: DenseNet-121 has 6, 12, 24, 16; its last two halve with the smaller corpus and maps."""

BOTTLENECK = 4
"""Channels of the 1x1 convolution in a layer over the channels that the layer adds."""


def convolution(in_channels: int, out_channels: int, kernel: int, *, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size but for its stride; a norm follows, whose shift stands for the bias."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def activation(channels: int) -> tuple[nn.Module, nn.Module]:
    """Batch norm and ReLU, which stand before each convolution here."""
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


class DenseLayer(nn.Module):
    """A layer that hands on all it has got, and `growth` new maps made of it."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        inner = BOTTLENECK * growth
        self.layers = nn.Sequential(
            *activation(in_channels),
            convolution(in_channels, inner, 1),
            *activation(inner),
            convolution(inner, growth, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, in_channels + growth, height, width)` of maps `(batch, in_channels, height, width)`."""
        return torch.cat([x, self.layers(x)], dim=1)


class DenseNet(nn.Module):
    """Dense blocks over features as an image of one channel, of any size; see `densenet`.

    A 7x7 stem and a max pool, stride 2 each; the blocks, and between two of them a 1x1 convolution to fewer channels
    and an average pool that halves the size; the mean over the whole map; a linear layer.
    """

    def __init__(
        self, *, growth: int, blocks: tuple[int, ...], compression: float, embedding_dim: int, dropout: float
    ) -> None:
        super().__init__()
        for name, value in (("growth", growth), ("embedding_dim", embedding_dim)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if not blocks or min(blocks) < 1:
            raise ValueError(
                f"blocks is {list(blocks)}; it must name the layers of one or more blocks, each at least 1"
            )
        if not 0 < compression <= 1:
            raise ValueError(f"compression is {compression}; it must be above 0 and at most 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must lie in [0, 1)")
        self.embedding_dim = embedding_dim
        channels = 2 * growth
        layers: list[nn.Module] = [
            convolution(1, channels, 7, stride=2),
            *activation(channels),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        for number, depth in enumerate(blocks):
            if number > 0:
                fewer = max(1, int(compression * channels))
                # Sizes are rounded up, as in the stem: the smallest map is 1 x 1 and no input vanishes.
                pool = nn.AvgPool2d(2, ceil_mode=True)
                layers += [*activation(channels), convolution(channels, fewer, 1), pool]
                channels = fewer
            layers += [DenseLayer(channels + k * growth, growth) for k in range(depth)]
            channels += depth * growth
        layers += activation(channels)
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        x = self.layers(features.unsqueeze(1))  # (batch, n_features, n_frames) -> (batch, channels, height, width)
        return cast(Tensor, self.linear(self.dropout(x.mean(dim=(2, 3)))))


def densenet(
    n_features: int,
    n_frames: int,
    *,
    growth: int = 12,
    blocks: list[int] | None = None,
    compression: float = 0.5,
    embedding_dim: int = 512,
    dropout: float = 0.0,
) -> DenseNet:
    """DenseNet-BC for inputs of any size.

    Table 1 of the paper names a DenseNet over log spectra and tells nothing of its sizes: these are ours.

    Args:
        n_features: Features a frame; any number.
        n_frames: Frames of every input; any number.
        growth: Channels that each layer adds; the stem has twice as many.
        blocks: Layers of each dense block; None = 6, 12, 8, 6.
        compression: Share in (0, 1] of its channels that a block hands to the next one.
        embedding_dim: Size of the embedding.
        dropout: Chance in [0, 1) that a value before the last layer is dropped in training.

    Raises:
        ValueError: an option out of the ranges above.
    """
    depths = BLOCKS if blocks is None else tuple(blocks)
    return DenseNet(growth=growth, blocks=depths, compression=compression, embedding_dim=embedding_dim, dropout=dropout)
