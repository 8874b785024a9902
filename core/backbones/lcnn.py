"""Light CNN of nine layers with max feature maps (STC, ASVspoof 2019; paper, section 3.2.1)."""

from typing import Literal, cast

import torch
from torch import Tensor, nn

# (kernel, channels that leave the max feature map) of a convolution, in units of width / 64; or "norm" or "pool".
LAYERS: tuple[tuple[int, int] | Literal["norm", "pool"], ...] = (
    *((5, 32), "pool"),
    *((1, 32), "norm", (3, 48), "pool", "norm"),
    *((1, 48), "norm", (3, 64), "pool"),
    *((1, 64), "norm", (3, 32), "norm", (1, 32), "norm", (3, 32), "pool"),
)

SHRINKAGE = 2 ** LAYERS.count("pool")
"""Features and frames of the input for each row and column of the last map."""


class MaxFeatureMap(nn.Module):
    """The larger of the two halves of the channels, element by element: half as many channels leave as enter."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, channels / 2, height, width)` of maps `(batch, channels, height, width)`."""
        return torch.maximum(*x.chunk(2, dim=1))


class Lcnn(nn.Module):
    """The convolutional part of LCNN-9 and one fully connected layer; see `lcnn`."""

    def __init__(
        self,
        n_features: int,
        n_frames: int,
        *,
        embedding_dim: int,
        width: int,
        dropout: float,
        pooling: Literal["flatten", "mean"],
    ) -> None:
        super().__init__()
        if min(n_features, n_frames) < SHRINKAGE:
            raise ValueError(
                f"an input of {n_features} features x {n_frames} frames vanishes under the four poolings; "
                f"at least {SHRINKAGE} x {SHRINKAGE} are needed"
            )
        if width < 4 or width % 4:
            raise ValueError(f"width is {width}; it must be a multiple of 4")  # 48 of 64 must be a whole number
        if embedding_dim < 1:
            raise ValueError(f"embedding_dim is {embedding_dim}; it must be at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must lie in [0, 1)")
        self.embedding_dim = embedding_dim
        self.pooling = pooling
        layers: list[nn.Module] = []
        channels = 1
        for layer in LAYERS:
            if layer == "pool":
                layers.append(nn.MaxPool2d(2))
            elif layer == "norm":
                layers.append(nn.BatchNorm2d(channels))
            else:
                kernel, units = layer
                entering, channels = channels, units * width // 64
                conv = nn.Conv2d(entering, 2 * channels, kernel, padding=kernel // 2)
                # The larger of two standard normals has a mean square of 1, so the gain is that of a linear layer.
                nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
                nn.init.zeros_(cast(Tensor, conv.bias))
                layers += [conv, MaxFeatureMap()]
        self.layers = nn.Sequential(*layers)
        n_cells = (n_features // SHRINKAGE) * (n_frames // SHRINKAGE) if pooling == "flatten" else 1
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels * n_cells, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        x = self.layers(features.unsqueeze(1))  # (batch, channels, n_features // 16, n_frames // 16)
        x = x.flatten(1) if self.pooling == "flatten" else x.mean(dim=(2, 3))
        return cast(Tensor, self.linear(self.dropout(x)))


def lcnn(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int = 512,
    width: int = 64,
    dropout: float = 0.0,
    pooling: Literal["flatten", "mean"] = "flatten",
) -> Lcnn:
    """LCNN-9 for inputs `(batch, n_features, n_frames)`, of which each side must be at least 16.

    Args:
        n_features: Features a frame.
        n_frames: Frames of every input. With `flatten` the last layer fits this number alone.
        embedding_dim: Size of the embedding.
        width: Channels of the first convolution, a multiple of 4; the others keep their proportion to it.
        dropout: Chance in [0, 1) that a value before the last layer is dropped in training. The paper tells of none.
        pooling: What the last layer sees: the whole map (as in the paper), or the mean over it, which has
            `(n_features // 16) * (n_frames // 16)` times fewer weights.

    Raises:
        ValueError: an input or an option out of the ranges above.
    """
    return Lcnn(n_features, n_frames, embedding_dim=embedding_dim, width=width, dropout=dropout, pooling=pooling)
