"""AASIST (Jung 2022) on waveforms, and its graphs on frame features of pretrained encoders (Tak 2022)."""

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from core.backbones.graph import SpectroTemporalGraph
from core.backbones.sinc import SincFilters, check_waveform

POOL = 3
"""Factor of every max pooling."""

N_BLOCKS = 6


class Block(nn.Module):
    """Residual block of two convolutions over bands and time, each after batch norm and SELU (pre-activation).

    The published code computes the first norm and does not use it. Here it acts, as in the publication.
    """

    def __init__(self, in_channels: int, channels: int, *, first: bool, pool: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *([] if first else [nn.BatchNorm2d(in_channels), nn.SELU()]),
            nn.Conv2d(in_channels, channels, (2, 3), padding=(1, 1)),
            nn.BatchNorm2d(channels),
            nn.SELU(),
            nn.Conv2d(channels, channels, (2, 3), padding=(0, 1)),
        )
        same = in_channels == channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, channels, (1, 3), padding=(0, 1))
        self.pool = nn.MaxPool2d((1, POOL)) if pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, channels, n_bands, time // 3)` of maps `(batch, in_channels, n_bands, time)`.

        Without the pooling, `time` stays as it is.
        """
        return cast(Tensor, self.pool(self.residual(x) + self.shortcut(x)))


def _encoder(channels: Sequence[int], *, pool: bool) -> nn.Sequential:
    """Batch norm, SELU, then six residual blocks: two with `channels[0]` channels, four with `channels[1]`."""
    if len(channels) != 2 or min(channels) < 1:
        raise ValueError(f"channels is {list(channels)}; it must be two numbers of at least 1")
    sizes = [1, *2 * [channels[0]], *(N_BLOCKS - 2) * [channels[1]]]
    blocks = [Block(sizes[k], sizes[k + 1], first=k == 0, pool=pool) for k in range(N_BLOCKS)]
    return nn.Sequential(nn.BatchNorm2d(1), nn.SELU(), *blocks)


class Readout(nn.Module):
    """Dropout on the readout of the graphs, and a linear layer if the embedding has a size of its own."""

    def __init__(self, readout_dim: int, *, embedding_dim: int | None, dropout: float) -> None:
        super().__init__()
        if embedding_dim is not None and embedding_dim < 1:
            raise ValueError(f"embedding_dim is {embedding_dim}; it must be at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must lie in [0, 1)")
        self.embedding_dim = embedding_dim or readout_dim
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Identity() if embedding_dim is None else nn.Linear(readout_dim, embedding_dim)

    def forward(self, readout: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of readouts `(batch, readout_dim)`."""
        return cast(Tensor, self.linear(self.dropout(readout)))


class Aasist(nn.Module):
    """AASIST on waveforms; see `aasist`."""

    def __init__(
        self, *, n_filters: int, kernel: int, channels: Sequence[int], graph: SpectroTemporalGraph, readout: Readout
    ) -> None:
        super().__init__()
        self.sinc = SincFilters(n_filters, kernel=kernel)
        self.encoder = _encoder(channels, pool=True)
        self.graph, self.readout = graph, readout
        self.embedding_dim = readout.embedding_dim

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of waveforms `(batch, 1, n_samples)`."""
        x = F.max_pool2d(self.sinc(features).abs().unsqueeze(1), POOL)  # (batch, 1, n_bands, time)
        x = self.encoder(x).abs()
        return cast(Tensor, self.readout(self.graph(x.amax(dim=3), x.amax(dim=2))))


class SslAasist(nn.Module):
    """AASIST on frame features; see `ssl_aasist`."""

    def __init__(
        self,
        n_features: int,
        *,
        projection: int,
        channels: Sequence[int],
        graph: SpectroTemporalGraph,
        readout: Readout,
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(n_features, projection)
        self.encoder = _encoder(channels, pool=False)
        n = channels[1]
        self.norm = nn.Sequential(nn.BatchNorm2d(n), nn.SELU())
        # The softmax over time and the one over bands both cancel a bias of the last layer.
        self.attention = nn.Sequential(
            nn.Conv2d(n, 2 * n, 1), nn.SELU(), nn.BatchNorm2d(2 * n), nn.Conv2d(2 * n, n, 1, bias=False)
        )
        self.graph, self.readout = graph, readout
        self.embedding_dim = readout.embedding_dim

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        x = self.projection(features.transpose(1, 2)).transpose(1, 2).unsqueeze(1)
        x = self.norm(self.encoder(F.max_pool2d(x, POOL)))  # (batch, channels, n_bands, n_stretches)
        scores = self.attention(x)
        spectral = (x * scores.softmax(dim=3)).sum(dim=3)
        temporal = (x * scores.softmax(dim=2)).sum(dim=2)
        return cast(Tensor, self.readout(self.graph(spectral, temporal)))


def aasist(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int | None = None,
    n_filters: int = 70,
    kernel: int = 129,
    channels: Sequence[int] = (32, 64),
    graph_dims: Sequence[int] = (64, 32),
    pool_ratios: Sequence[float] = (0.5, 0.7, 0.5),
    dropout: float = 0.5,
) -> Aasist:
    """AASIST on waveforms (Jung 2022, section 3): sinc layer, residual encoder, graphs of bands and of time.

    With `head: linear` it has the published 297 thousand parameters. AASIST-L is `channels: [32, 24]`, `graph_dims:
    [24, 32]`, `pool_ratios: [0.4, 0.5, 0.7]`. The published inputs have 64,600 samples.

    Args:
        n_features: 1: the front end is `waveform`.
        n_frames: Samples per input, at least 2,187 more than `kernel - 1`.
        embedding_dim: Size of the embedding. None: the readout itself, `5 * graph_dims[1]` values, as published.
        n_filters: Filters of the sinc layer, 3 or more.
        kernel: Taps of a filter, odd.
        channels: Channels of the first two residual blocks and of the other four.
        graph_dims: Values of a node after the attention within a graph, and after the attention across the graphs.
        pool_ratios: Fractions of nodes that a pooling keeps: spectral, temporal, and in the branches; in (0, 1].
        dropout: Probability in [0, 1) that a value of the readout is dropped in training.

    Raises:
        ValueError: The input is not a waveform or too short, or an option is outside the range above.
    """
    check_waveform(n_features, n_frames, at_least=kernel - 1 + POOL ** (N_BLOCKS + 1))
    if n_filters < POOL:
        raise ValueError(f"n_filters is {n_filters}; it must be at least {POOL}")
    graph = SpectroTemporalGraph(channels[-1], n_filters // POOL, dims=graph_dims, pool_ratios=pool_ratios)
    readout = Readout(graph.readout_dim, embedding_dim=embedding_dim, dropout=dropout)
    return Aasist(n_filters=n_filters, kernel=kernel, channels=channels, graph=graph, readout=readout)


def ssl_aasist(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int | None = None,
    projection: int = 128,
    channels: Sequence[int] = (32, 64),
    graph_dims: Sequence[int] = (64, 32),
    pool_ratios: Sequence[float] = (0.5, 0.5, 0.5),
    dropout: float = 0.5,
) -> SslAasist:
    """AASIST on frame features of a pretrained encoder (Tak 2022, section 3), 447 thousand parameters as published.

    A linear layer projects a frame to `projection` values, which take the place of the bands. The encoder does not
    shorten time. An attention on its map, in place of the maximum, gives the nodes. The memory of the graph attention
    grows with the square of `n_frames`.

    Args:
        n_features: Features per frame; any number.
        n_frames: Frames per input, 3 or more.
        embedding_dim: As in `aasist`.
        projection: Values per frame after the projection, 3 or more.
        channels: As in `aasist`.
        graph_dims: As in `aasist`.
        pool_ratios: As in `aasist`.
        dropout: As in `aasist`.

    Raises:
        ValueError: The input is too short, or an option is outside the range above.
    """
    if n_frames < POOL:
        raise ValueError(f"input.n_frames is {n_frames}; at least {POOL} are needed")
    if projection < POOL:
        raise ValueError(f"projection is {projection}; it must be at least {POOL}")
    graph = SpectroTemporalGraph(channels[-1], projection // POOL, dims=graph_dims, pool_ratios=pool_ratios)
    readout = Readout(graph.readout_dim, embedding_dim=embedding_dim, dropout=dropout)
    return SslAasist(n_features, projection=projection, channels=channels, graph=graph, readout=readout)
