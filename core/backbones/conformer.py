"""A small conformer on frame features (Gulati 2020; Rosello 2023 for anti-spoofing)."""

from typing import Literal, cast

import torch
from torch import Tensor, nn


def feed_forward(width: int, *, expansion: int, dropout: float) -> nn.Sequential:
    """Layer norm, a hidden layer of `expansion * width` units with Swish, a linear layer."""
    hidden = expansion * width
    layers = (nn.Linear(width, hidden), nn.SiLU(), nn.Dropout(dropout), nn.Linear(hidden, width), nn.Dropout(dropout))
    return nn.Sequential(nn.LayerNorm(width), *layers)


class Attention(nn.Module):
    """Layer norm and self-attention with several heads, which knows the distances between frames.

    The score of a query q and a key k is `q . (k + e[distance]) / sqrt(size)` with learned vectors e (Shaw 2018). A
    distance beyond `positions` counts as `positions`. With 0 there are no vectors e.
    """

    def __init__(self, width: int, *, heads: int, positions: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.positions = heads, positions
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Linear(width, width, bias=False)
        self.keys_values = nn.Linear(width, 2 * width, bias=False)
        self.distances = nn.Embedding(2 * positions + 1, width // heads) if positions else None
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Frames `(batch, n_frames, width)`, of the same shape as `x`."""
        x = self.norm(x)
        queries, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (batch, heads, n_frames, width / heads)
            for part in (self.queries(x), *self.keys_values(x).chunk(2, dim=2))
        )
        scores = queries @ keys.transpose(2, 3)
        if self.distances is not None:
            frames = torch.arange(x.shape[1], device=x.device)
            distances = (frames[:, None] - frames).clamp(-self.positions, self.positions) + self.positions
            scores = scores + torch.einsum("bhqd,qkd->bhqk", queries, self.distances(distances).to(queries.dtype))
        weights = (scores / queries.shape[3] ** 0.5).softmax(dim=3).to(values.dtype)
        return cast(Tensor, self.dropout(self.output((weights @ values).transpose(1, 2).flatten(2))))


class Convolution(nn.Module):
    """Layer norm, a gated layer, a convolution over time for every channel, batch norm, Swish, a linear layer."""

    def __init__(self, width: int, *, expansion: int, kernel: int, dropout: float) -> None:
        super().__init__()
        inner = expansion * width
        self.norm = nn.LayerNorm(width)
        self.layers = nn.Sequential(
            nn.Conv1d(width, 2 * inner, 1),
            nn.GLU(dim=1),
            nn.Conv1d(inner, inner, kernel, padding=kernel // 2, groups=inner),
            nn.BatchNorm1d(inner),
            nn.SiLU(),
            nn.Conv1d(inner, width, 1),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Frames `(batch, n_frames, width)`, of the same shape as `x`."""
        return cast(Tensor, self.layers(self.norm(x).transpose(1, 2)).transpose(1, 2))


class ConformerBlock(nn.Module):
    """Half a feed-forward layer, attention, convolution, half a feed-forward layer, layer norm (Gulati 2020, eq. 1)."""

    def __init__(
        self, width: int, *, heads: int, kernel: int, expansion: int, positions: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.first = feed_forward(width, expansion=4, dropout=dropout)
        self.attention = Attention(width, heads=heads, positions=positions, dropout=dropout)
        self.convolution = Convolution(width, expansion=expansion, kernel=kernel, dropout=dropout)
        self.second = feed_forward(width, expansion=4, dropout=dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Frames `(batch, n_frames, width)`, of the same shape as `x`."""
        x = x + 0.5 * self.first(x)
        x = x + self.attention(x)
        x = x + self.convolution(x)
        return cast(Tensor, self.norm(x + 0.5 * self.second(x)))


class Conformer(nn.Module):
    """The network; see `conformer`."""

    def __init__(
        self,
        n_features: int,
        *,
        embedding_dim: int | None,
        width: int,
        n_layers: int,
        heads: int,
        kernel: int,
        pooling: Literal["token", "mean"],
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = {"width": width, "n_layers": n_layers, "heads": heads}
        for name, value in {**sizes, "embedding_dim": 1 if embedding_dim is None else embedding_dim}.items():
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if width % heads:
            raise ValueError(f"width is {width} and heads is {heads}; heads must divide width")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}; it must be odd and at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must lie in [0, 1)")
        self.embedding_dim = embedding_dim or width
        self.projection = nn.Linear(n_features, width)
        self.norm = nn.Sequential(nn.BatchNorm2d(1), nn.SELU())
        self.token = nn.Parameter(torch.empty(1, 1, width)) if pooling == "token" else None
        if self.token is not None:
            nn.init.uniform_(self.token)
        block = {"heads": heads, "kernel": kernel, "expansion": 2, "positions": 512}
        self.blocks = nn.Sequential(*(ConformerBlock(width, **block, dropout=dropout) for _ in range(n_layers)))
        self.linear = nn.Identity() if embedding_dim is None else nn.Linear(width, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        x = self.projection(features.transpose(1, 2))
        x = self.norm(x.unsqueeze(1)).squeeze(1)
        if self.token is None:
            return cast(Tensor, self.linear(self.blocks(x).mean(dim=1)))
        x = self.blocks(torch.cat([self.token.to(x.dtype).expand(len(x), -1, -1), x], dim=1))
        return cast(Tensor, self.linear(x[:, 0]))


def conformer(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int | None = None,
    width: int = 144,
    n_layers: int = 4,
    heads: int = 4,
    kernel: int = 31,
    pooling: Literal["token", "mean"] = "token",
    dropout: float = 0.0,
) -> Conformer:
    """Conformer with a class token (Rosello 2023, section 3), 2.51 million parameters on 1,024 features as published.

    A linear layer, batch norm and SELU bring a frame to `width` values. A learned class token precedes the frames, and
    its value after the last block is the embedding. The memory grows with the square of `n_frames`.

    Args:
        n_features: Features per frame; any number.
        n_frames: Frames per input; any number.
        embedding_dim: Size of the embedding. None: the class token itself, `width` values, as published.
        width: Values per frame inside the network, a multiple of `heads`.
        n_layers: Blocks, 1 or more.
        heads: Attention heads, 1 or more.
        kernel: Frames of the convolution of a block, odd.
        pooling: `token`: the class token; `mean`: the mean over the frames, without a token.
        dropout: Dropout probability of the blocks, in [0, 1).

    Raises:
        ValueError: An option is outside the range above.
    """
    return Conformer(
        n_features,
        embedding_dim=embedding_dim,
        width=width,
        n_layers=n_layers,
        heads=heads,
        kernel=kernel,
        pooling=pooling,
        dropout=dropout,
    )
