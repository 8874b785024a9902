"""Sensitive layer selection (Zhang 2024): every layer of a pretrained encoder has a gate that depends on the input."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POOL = 3
"""Features and frames of a cell of the max pooling."""


class Sls(nn.Module):
    """The network; see `sls`."""

    def __init__(self, n_features: int, n_frames: int, n_layers: int, *, embedding_dim: int) -> None:
        super().__init__()
        if min(n_features, n_frames) < POOL:
            raise ValueError(f"an input of {n_features} features x {n_frames} frames is too small; at least 3 x 3")
        if embedding_dim < 1:
            raise ValueError(f"embedding_dim is {embedding_dim}; it must be at least 1")
        self.n_layers = n_layers
        self.embedding_dim = embedding_dim
        self.gate = nn.Linear(n_features, 1)
        self.norm = nn.BatchNorm2d(1)
        self.linear = nn.Linear((n_features // POOL) * (n_frames // POOL), embedding_dim)

    def gates(self, layers: Tensor) -> Tensor:
        """Gates in (0, 1), `(batch, n_layers)`, of layers `(batch, n_layers, n_features, n_frames)`."""
        return torch.sigmoid(self.gate(layers.mean(dim=3))).squeeze(2)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_layers * n_features, n_frames)`."""
        layers = features.unflatten(1, (self.n_layers, -1))
        mixed = torch.einsum("bl,blft->bft", self.gates(layers).to(layers.dtype), layers)
        x = F.max_pool2d(F.selu(self.norm(mixed.unsqueeze(1))), POOL)
        return F.selu(cast(Tensor, self.linear(x.flatten(1))))


def sls(n_features: int, n_frames: int, n_layers: int, *, embedding_dim: int = 512) -> Sls:
    """XLS-R with SLS (Zhang 2024, section 3), up to the input of its last layer.

    The gate of a layer is the sigmoid of a linear function of the layer's mean over time; the function is the same for
    all layers. The gated layers are added, normalised and max-pooled in cells of 3 features x 3 frames, and a linear
    layer with SELU follows. The published embedding has 1,024 values. The published network has a SELU after its two
    logits, too; a row of HEADS takes their place here.

    Args:
        n_features: Features per frame of one layer, 3 or more.
        n_frames: Frames per input, 3 or more. The linear layer fits only this number.
        n_layers: Layers of the input.
        embedding_dim: Size of the embedding, 1 or more.

    Raises:
        ValueError: The input is too small, or an option is outside the range above.
    """
    return Sls(n_features, n_frames, n_layers, embedding_dim=embedding_dim)
