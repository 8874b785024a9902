"""Pooling back ends: a layer on every frame, then statistics over the frames, then a linear layer.

They suit frame features of pretrained encoders, which are embeddings of short stretches of speech already and, unlike
spectrograms, have no order of neighbouring features that a two-dimensional convolution could use.
"""

from typing import cast

import torch
from torch import Tensor, nn

SMALLEST_VARIANCE = 1e-7
"""Lower bound of a variance before its square root, whose gradient is infinite at 0."""


def weighted_statistics(frames: Tensor, weights: Tensor | None = None) -> Tensor:
    """Weighted mean and standard deviation over time, concatenated: `(batch, 2 * channels)`.

    Half precision is too coarse for a variance; the result then has float32.

    Args:
        frames: `(batch, channels, n_frames)`.
        weights: Of the frames, broadcast to the shape of `frames`; they sum to 1 over time. None: equal weights.
    """
    if frames.dtype in (torch.float16, torch.bfloat16):
        frames = frames.float()
    if weights is None:
        weights = torch.full_like(frames[:1, :1], 1 / frames.shape[2])
    weights = weights.to(frames.dtype)
    mean = (weights * frames).sum(dim=2, keepdim=True)
    variance = (weights * (frames - mean).square()).sum(dim=2)
    return torch.cat([mean.squeeze(2), variance.clamp_min(SMALLEST_VARIANCE).sqrt()], dim=1)


class StatisticsPooling(nn.Module):
    """Mean and deviation of every feature over time, then a multilayer perceptron; see `statistics_pooling`."""

    def __init__(self, n_features: int, *, embedding_dim: int, width: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        _check_positive(embedding_dim=embedding_dim, width=width)
        if n_layers < 0:
            raise ValueError(f"n_layers is {n_layers}; it must be at least 0")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must lie in [0, 1)")
        self.embedding_dim = embedding_dim
        self.norm = nn.BatchNorm1d(2 * n_features)
        layers: list[nn.Module] = []
        size = 2 * n_features
        for _ in range(n_layers):
            layers += [nn.Linear(size, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
            size = width
        self.layers = nn.Sequential(*layers, nn.Linear(size, embedding_dim))

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        return cast(Tensor, self.layers(self.norm(weighted_statistics(features))))


class AttentiveStatistics(nn.Module):
    """Weights of the frames from an attention on them, one per frame or one per frame and channel.

    The weights are `softmax(v f(W h + b))` over time (Okabe 2018, equations 1 and 2), with tanh as f. With `context`,
    the attention also sees the mean and the deviation of the whole input, and every channel has weights of its own
    (Desplanques 2020, section 2.3).
    """

    def __init__(self, channels: int, *, bottleneck: int, context: bool) -> None:
        super().__init__()
        self.context = context
        self.attention = nn.Sequential(
            nn.Conv1d(3 * channels if context else channels, bottleneck, 1),
            *([nn.ReLU(), nn.BatchNorm1d(bottleneck)] if context else []),
            nn.Tanh(),
            nn.Conv1d(bottleneck, channels if context else 1, 1, bias=False),  # softmax cancels a bias
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Weighted mean and deviation `(batch, 2 * channels)` of frames `(batch, channels, n_frames)`."""
        seen = frames
        if self.context:
            whole = weighted_statistics(frames).to(frames.dtype)[:, :, None].expand(-1, -1, frames.shape[2])
            seen = torch.cat([frames, whole], dim=1)
        scores = self.attention(seen)
        return weighted_statistics(frames, torch.softmax(scores.float() if scores.dtype != torch.double else scores, 2))


class AttentivePooling(nn.Module):
    """A layer on every frame, attentive statistics pooling, a linear layer; see `attentive_pooling`."""

    def __init__(self, n_features: int, *, embedding_dim: int, width: int, bottleneck: int) -> None:
        super().__init__()
        _check_positive(embedding_dim=embedding_dim, width=width, bottleneck=bottleneck)
        self.embedding_dim = embedding_dim
        self.frames = nn.Sequential(
            nn.BatchNorm1d(n_features), nn.Conv1d(n_features, width, 1, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )
        self.pooling = AttentiveStatistics(width, bottleneck=bottleneck, context=False)
        self.norm = nn.BatchNorm1d(2 * width)
        self.linear = nn.Linear(2 * width, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        return cast(Tensor, self.linear(self.norm(self.pooling(self.frames(features)))))


def statistics_pooling(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int = 512,
    width: int = 256,
    n_layers: int = 1,
    dropout: float = 0.0,
) -> StatisticsPooling:
    """Statistics pooling (Snyder 2018) of the features themselves, and a multilayer perceptron.

    Args:
        n_features: Features per frame; any number.
        n_frames: Frames per input; any number.
        embedding_dim: Size of the embedding, 1 or more.
        width: Units of a hidden layer, 1 or more.
        n_layers: Hidden layers; 0 = a linear layer on the statistics.
        dropout: Dropout probability after a hidden layer, in [0, 1).

    Raises:
        ValueError: An option is outside the range above.
    """
    return StatisticsPooling(n_features, embedding_dim=embedding_dim, width=width, n_layers=n_layers, dropout=dropout)


def attentive_pooling(
    n_features: int, n_frames: int, *, embedding_dim: int = 512, width: int = 128, bottleneck: int = 64
) -> AttentivePooling:
    """Attentive statistics pooling (Okabe 2018) after one layer on every frame.

    Args:
        n_features: Features per frame; any number.
        n_frames: Frames per input; any number.
        embedding_dim: Size of the embedding, 1 or more.
        width: Channels of the frames that are pooled, 1 or more.
        bottleneck: Hidden units of the attention, 1 or more.

    Raises:
        ValueError: An option is outside the range above.
    """
    return AttentivePooling(n_features, embedding_dim=embedding_dim, width=width, bottleneck=bottleneck)


def _check_positive(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
