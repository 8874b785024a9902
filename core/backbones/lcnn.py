"""Light CNN of nine layers with max feature maps (STC, ASVspoof 2019; paper, section 3.2.1)."""

from typing import Literal, cast

import torch
from torch import Tensor, nn

# A convolution as (kernel, channels after its max feature map, in units of width / 64); or "norm" or "pool".
LAYERS: tuple[tuple[int, int] | Literal["norm", "pool"], ...] = (
    *((5, 32), "pool"),
    *((1, 32), "norm", (3, 48), "pool", "norm"),
    *((1, 48), "norm", (3, 64), "pool"),
    *((1, 64), "norm", (3, 32), "norm", (1, 32), "norm", (3, 32), "pool"),
)

SHRINKAGE = 2 ** LAYERS.count("pool")
"""Factor by which the poolings reduce features and frames, from the input to the last map."""


class MaxFeatureMap(nn.Module):
    """Element-wise maximum of the two halves of the channels, which halves their number."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, channels / 2, height, width)` from maps `(batch, channels, height, width)`."""
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
                f"an input of {n_features} features x {n_frames} frames is too small for the four poolings; "
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
    """LCNN-9 for inputs `(batch, n_features, n_frames)` of at least 16 features and 16 frames.

    Args:
        n_features: Features per frame, 16 or more.
        n_frames: Frames per input, 16 or more. With `flatten`, the last layer fits only this number.
        embedding_dim: Size of the embedding, 1 or more.
        width: Channels of the first convolution, a multiple of 4; the other layers scale in proportion.
        dropout: Probability in [0, 1) that an input of the last layer is dropped in training. The paper mentions none.
        pooling: Input of the last layer: the whole map (`flatten`, as in the paper), or the mean over it (`mean`). With
            `mean` the layer has `(n_features // 16) * (n_frames // 16)` times fewer weights.

    Raises:
        ValueError: The input is too small, or an option is outside the range above.
    """
    return Lcnn(n_features, n_frames, embedding_dim=embedding_dim, width=width, dropout=dropout, pooling=pooling)
