"""Densely connected network with bottlenecks and compression (Huang 2017, DenseNet-BC), sized for spectrograms."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

BOTTLENECK = 4
"""Channels of the 1x1 convolution in a layer over the channels that the layer adds."""


def _convolution(in_channels: int, out_channels: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """Batch norm, ReLU and a convolution that keeps the size but for its stride: here the norm comes first."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU(inplace=True), conv)


class DenseLayer(nn.Module):
    """A layer that hands on all it has got, and `growth` new maps made of it."""

    def __init__(self, in_channels: int, growth: int, *, dropout: float) -> None:
        super().__init__()
        inner = BOTTLENECK * growth
        self.layers = nn.Sequential(
            _convolution(in_channels, inner, 1), _convolution(inner, growth, 3), nn.Dropout(dropout)
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
        # No norm of its own: every layer norms what enters it.
        stem = nn.Conv2d(1, channels, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        layers: list[nn.Module] = [stem, nn.MaxPool2d(3, stride=2, padding=1)]
        for block, depth in enumerate(n_layers):
            if block > 0:
                fewer = max(1, int(compression * channels))
                # Sizes are rounded up, as in the stem: the smallest map is 1 x 1 and no input vanishes.
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

    Table 1 of the paper names a DenseNet over log spectra and tells nothing of its sizes: these are ours.

    Args:
        n_features: Features a frame; any number.
        n_frames: Frames of every input; any number.
        embedding_dim: Size of the embedding.
        width: Channels that each layer adds (the growth rate); the stem has twice as many.
        n_layers: Layers of each dense block. DenseNet-121 has 6, 12, 24, 16 for larger images and corpora.
        compression: Share in (0, 1] of its channels that a block hands to the next one.
        dropout: Chance in [0, 1) that a new value of a layer is dropped in training.

    Raises:
        ValueError: an option out of the ranges above.
    """
    return DenseNet(n_layers, growth=width, compression=compression, dropout=dropout, embedding_dim=embedding_dim)
