"""LOSSES: embeddings of a minibatch, their labels and pairs of them -> a scalar."""

import math
from typing import cast

import torch
import torch.nn.functional as F
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
        _positive("margin", margin)
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


class SupervisedContrastiveLoss(nn.Module):
    """Every utterance should know its class among all others of the minibatch (Khosla 2020, equation 2)."""

    def __init__(self, *, temperature: float, spoof_compact: bool) -> None:
        super().__init__()
        _positive("temperature", temperature)
        self.temperature, self.spoof_compact = temperature, spoof_compact

    def forward(self, embeddings: Tensor, labels: Tensor, pairs: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more; arguments as of `ContrastiveLoss`, but all pairs of the minibatch count."""
        n = len(embeddings)
        directions = F.normalize(embeddings, dim=1)
        logits = directions @ directions.T / self.temperature
        itself = torch.eye(n, dtype=torch.bool, device=embeddings.device)
        logits = logits.masked_fill(itself, -torch.inf)
        log_shares = logits - logits.logsumexp(dim=1, keepdim=True)
        alike = (labels[:, None] == labels[None, :]) & ~itself
        if not self.spoof_compact:
            alike &= (labels == 1)[:, None]
        n_alike = alike.sum(dim=1)
        per_anchor = -log_shares.masked_fill(~alike, 0.0).sum(dim=1) / n_alike.clamp_min(1)
        return per_anchor.sum() / (n_alike > 0).sum().clamp_min(1)


class TripletLoss(nn.Module):
    """The farthest of an utterance's class must be nearer than the nearest of the other (Hermans 2017, batch hard)."""

    def __init__(self, *, margin: float, spoof_compact: bool) -> None:
        super().__init__()
        _positive("margin", margin)
        self.margin, self.spoof_compact = margin, spoof_compact

    def forward(self, embeddings: Tensor, labels: Tensor, pairs: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more; arguments as of `ContrastiveLoss`, but all pairs of the minibatch count."""
        everyone = torch.arange(len(labels), device=embeddings.device)
        distances = pair_distances(embeddings, torch.cartesian_prod(everyone, everyone)).view(len(labels), -1)
        alike = labels[:, None] == labels[None, :]
        farthest = distances.masked_fill(~alike, -torch.inf).amax(dim=1)  # itself at worst, at distance 0
        nearest = distances.masked_fill(alike, torch.inf).amin(dim=1)
        anchors = torch.isfinite(nearest)
        if not self.spoof_compact:
            anchors &= labels == 1
        penalties = torch.where(anchors, (self.margin + farthest - nearest).clamp_min(0), 0.0)
        return penalties.sum() / anchors.sum().clamp_min(1)


def supervised_contrastive(*, temperature: float = 0.1, spoof_compact: bool = True) -> SupervisedContrastiveLoss:
    """Supervised contrastive loss on all pairs of a minibatch; the pair sampler is not asked.

    Args:
        temperature: Divides the cosines; positive.
        spoof_compact: Whether spoofed utterances are drawn together, too. Attacks need not look alike: without it only
            bona fide speech is.
    """
    return SupervisedContrastiveLoss(temperature=temperature, spoof_compact=spoof_compact)


def triplet(*, margin: float = 0.3, spoof_compact: bool = True) -> TripletLoss:
    """Triplet loss with the hardest positive and negative of every utterance; the pair sampler is not asked.

    Args:
        margin: By how much the nearest of the other class must be farther; positive.
        spoof_compact: Whether spoofed utterances are anchors, too; see `supervised_contrastive`.
    """
    return TripletLoss(margin=margin, spoof_compact=spoof_compact)


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value}; it must be a positive number")


LOSSES: Table = {
    "contrastive": contrastive,
    "contrastive_squared": contrastive_squared,
    "supervised_contrastive": supervised_contrastive,
    "triplet": triplet,
}
