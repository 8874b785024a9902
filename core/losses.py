"""LOSSES: embeddings of a minibatch, their labels and pairs of them -> a scalar."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from core.table import Table


def pair_distances(embeddings: Tensor, pairs: Tensor) -> Tensor:
    """Euclidean distances `(n_pairs,)` of pairs of embeddings.

    The gradient at a distance of 0 is 0, so two identical embeddings give no NaN (and do not part by themselves).

    Args:
        embeddings: `(batch, embedding_dim)`.
        pairs: Indices into the batch, `(n_pairs, 2)`.
    """
    differences = embeddings[pairs[:, 0]] - embeddings[pairs[:, 1]]
    return cast(Tensor, torch.linalg.vector_norm(differences, dim=-1))


class ContrastiveLoss(nn.Module):
    """Mean over pairs of half the distance within a class, half the shortfall from the margin between classes.

    Both are raised to `power` before they are halved.
    """

    def __init__(self, *, margin: float, power: int) -> None:
        super().__init__()
        if not (margin > 0 and math.isfinite(margin)):
            raise ValueError(f"margin is {margin}; it must be a positive number")
        self.margin = margin
        self.power = power

    def forward(self, embeddings: Tensor, labels: Tensor, pairs: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more.

        Args:
            embeddings: `(batch, embedding_dim)`.
            labels: `(batch,)`, 1 = bona fide.
            pairs: Indices into the batch, `(n_pairs, 2)`.

        Raises:
            ValueError: there is no pair.
        """
        if not len(pairs):
            raise ValueError("a contrastive loss needs at least one pair")
        distances = pair_distances(embeddings, pairs)
        different = labels[pairs[:, 0]] != labels[pairs[:, 1]]
        penalties = torch.where(different, (self.margin - distances).clamp_min(0), distances)
        return penalties.pow(self.power).mean() / 2


def contrastive(*, margin: float = 2.0) -> ContrastiveLoss:
    """The paper's loss, equation (3) as it is printed: distances are not squared.

    Args:
        margin: Distance from which two embeddings of different classes cost nothing; positive.
    """
    return ContrastiveLoss(margin=margin, power=1)


def contrastive_squared(*, margin: float = 2.0) -> ContrastiveLoss:
    """The loss of Hadsell (2006): equation (3) with squared distances and squared shortfalls; options as there."""
    return ContrastiveLoss(margin=margin, power=2)


LOSSES: Table = {"contrastive": contrastive, "contrastive_squared": contrastive_squared}
