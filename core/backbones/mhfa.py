"""Multi-head factorized attentive pooling (Peng 2022) of the layers of a pretrained encoder."""

from typing import cast

import torch
from torch import Tensor, nn


class Mhfa(nn.Module):
    """The network; see `mhfa`."""

    def __init__(self, n_features: int, n_layers: int, *, embedding_dim: int, width: int, heads: int) -> None:
        super().__init__()
        for name, value in (("embedding_dim", embedding_dim), ("width", width), ("heads", heads)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        self.n_layers = n_layers
        self.embedding_dim = embedding_dim
        self.key_logits = nn.Parameter(torch.zeros(n_layers))
        self.value_logits = nn.Parameter(torch.zeros(n_layers))
        self.keys = nn.Linear(n_features, width)
        self.values = nn.Linear(n_features, width)
        self.attention = nn.Linear(width, heads, bias=False)  # softmax cancels a bias
        self.linear = nn.Linear(heads * width, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_layers * n_features, n_frames)`."""
        layers = features.unflatten(1, (self.n_layers, -1))  # (batch, n_layers, n_features, n_frames)
        keys, values = (
            module(torch.einsum("l,blft->btf", logits.softmax(dim=0).to(layers.dtype), layers))
            for module, logits in ((self.keys, self.key_logits), (self.values, self.value_logits))
        )
        weights = self.attention(keys).softmax(dim=1)  # (batch, n_frames, heads)
        pooled = torch.einsum("bth,btd->bhd", weights.to(values.dtype), values)
        return cast(Tensor, self.linear(pooled.flatten(1)))


def mhfa(
    n_features: int,
    n_frames: int,
    n_layers: int,
    *,
    embedding_dim: int = 512,
    width: int = 128,
    heads: int = 8,
) -> Mhfa:
    """Multi-head factorized attentive pooling (Peng 2022, section 3).

    Two softmax-weighted sums of the layers, one for keys and one for values, are compressed to `width` values per
    frame. Every head weights the frames by a softmax over time of a linear function of the keys. The weighted means of
    the values are concatenated, and a linear layer follows. With `input: {layer: all}` it sees all stored layers.

    The publication has 8 to 64 heads, a width of 128 and embeddings of 256 values.

    Args:
        n_features: Features per frame of one layer; any number.
        n_frames: Frames per input; any number.
        n_layers: Layers of the input.
        embedding_dim: Size of the embedding, 1 or more.
        width: Values of a compressed key or value, 1 or more.
        heads: Attention heads, 1 or more.

    Raises:
        ValueError: An option is outside the range above.
    """
    return Mhfa(n_features, n_layers, embedding_dim=embedding_dim, width=width, heads=heads)
