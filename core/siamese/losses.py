"""LOSSES: embeddings of a minibatch, their labels, and pairs of embeddings -> a scalar.

A row returns an `nn.Module` with a method `chance(batch_size)`: the loss of an embedding that carries no information,
in which all utterances have the same distance from one another. A training whose loss stays there learns nothing.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.table import Table


def pair_distances(embeddings: Tensor, pairs: Tensor) -> Tensor:
    """Euclidean distances `(n_pairs,)` of pairs of embeddings.

    The gradient at a distance of 0 is 0, not NaN. The loss therefore does not move two identical embeddings apart.

    Args:
        embeddings: `(batch, embedding_dim)`.
        pairs: Indices into the batch, `(n_pairs, 2)`.
    """
    differences = embeddings[pairs[:, 0]] - embeddings[pairs[:, 1]]
    return cast(Tensor, torch.linalg.vector_norm(differences, dim=-1))


class ContrastiveLoss(nn.Module):
    """Contrastive loss (paper, equation (3)): half the mean penalty of the pairs, each penalty raised to `power`.

    The penalty of two utterances of one class is their distance. The penalty of two utterances of different classes is
    the margin minus their distance, or 0 if the distance exceeds the margin.
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
            labels: `(batch,)`, 1 = bona fide, 0 = spoof.
            pairs: Indices into the batch, `(n_pairs, 2)`.

        Raises:
            ValueError: `pairs` is empty.
        """
        if not len(pairs):
            raise ValueError("a contrastive loss needs at least one pair")
        distances = pair_distances(embeddings, pairs)
        different = labels[pairs[:, 0]] != labels[pairs[:, 1]]
        penalties = torch.where(different, (self.margin - distances).clamp_min(0), distances)
        return penalties.pow(self.power).mean() / 2

    def chance(self, batch_size: int) -> float:
        """Loss of the best embedding with equal distances, for pairs drawn at random from a balanced minibatch."""
        different = batch_size / 2 / (batch_size - 1)
        same = 1 - different
        if self.power == 1:
            return self.margin * min(different, same) / 2  # linear in the distance: best at 0 or at the margin
        return self.margin**2 * different * same / 2  # best at the distance `different * margin`


def contrastive(*, margin: float = 2.0) -> ContrastiveLoss:
    """The paper's contrastive loss, equation (3) as printed: the distances are not squared.

    Args:
        margin: Distance above which a pair of different classes has no penalty; positive.

    Raises:
        ValueError: `margin` is not positive and finite.
    """
    return ContrastiveLoss(margin=margin, power=1)


def contrastive_squared(*, margin: float = 2.0) -> ContrastiveLoss:
    """The contrastive loss of Hadsell (2006): equation (3) with squared penalties; options as in `contrastive`."""
    return ContrastiveLoss(margin=margin, power=2)


class SupervisedContrastiveLoss(nn.Module):
    """Supervised contrastive loss (Khosla 2020, equation 2).

    Every utterance of the minibatch is an anchor. Its loss is the mean negative log-softmax, over all other utterances,
    of its similarity to the utterances of its own class.
    """

    def __init__(self, *, temperature: float, spoof_compact: bool) -> None:
        super().__init__()
        _positive("temperature", temperature)
        self.temperature, self.spoof_compact = temperature, spoof_compact

    def forward(self, embeddings: Tensor, labels: Tensor, pairs: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more; 0 if no anchor has another utterance of its class.

        Args:
            embeddings: `(batch, embedding_dim)`.
            labels: `(batch,)`, 1 = bona fide, 0 = spoof.
            pairs: Not used: the loss takes all pairs of the minibatch.
        """
        n = len(embeddings)
        directions = F.normalize(embeddings, dim=1)
        logits = directions @ directions.T / self.temperature
        diagonal = torch.eye(n, dtype=torch.bool, device=embeddings.device)
        logits = logits.masked_fill(diagonal, -torch.inf)
        log_probabilities = logits - logits.logsumexp(dim=1, keepdim=True)
        positives = (labels[:, None] == labels[None, :]) & ~diagonal  # row: anchor, column: its positives
        if not self.spoof_compact:
            positives &= (labels == 1)[:, None]
        n_positives = positives.sum(dim=1)
        per_anchor = -log_probabilities.masked_fill(~positives, 0.0).sum(dim=1) / n_positives.clamp_min(1)
        return per_anchor.sum() / (n_positives > 0).sum().clamp_min(1)

    def chance(self, batch_size: int) -> float:
        """Loss if all similarities are equal: every other utterance is as likely."""
        return math.log(batch_size - 1)


class TripletLoss(nn.Module):
    """Batch-hard triplet loss (Hermans 2017).

    Every utterance of the minibatch is an anchor. Its farthest utterance of the same class must be nearer, by the
    margin, than its nearest utterance of the other class.
    """

    def __init__(self, *, margin: float, spoof_compact: bool) -> None:
        super().__init__()
        _positive("margin", margin)
        self.margin, self.spoof_compact = margin, spoof_compact

    def forward(self, embeddings: Tensor, labels: Tensor, pairs: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more; 0 if the minibatch has one class only.

        Args:
            embeddings: `(batch, embedding_dim)`.
            labels: `(batch,)`, 1 = bona fide, 0 = spoof.
            pairs: Not used: the loss takes all pairs of the minibatch.
        """
        indices = torch.arange(len(labels), device=embeddings.device)
        distances = pair_distances(embeddings, torch.cartesian_prod(indices, indices)).view(len(labels), -1)
        same_class = labels[:, None] == labels[None, :]
        # An anchor without another utterance of its class is its own farthest positive, at distance 0.
        farthest = distances.masked_fill(~same_class, -torch.inf).amax(dim=1)
        nearest = distances.masked_fill(same_class, torch.inf).amin(dim=1)
        anchors = torch.isfinite(nearest)
        if not self.spoof_compact:
            anchors &= labels == 1
        penalties = torch.where(anchors, (self.margin + farthest - nearest).clamp_min(0), 0.0)
        return penalties.sum() / anchors.sum().clamp_min(1)

    def chance(self, batch_size: int) -> float:
        """Loss if all distances are equal: the margin."""
        return self.margin


def supervised_contrastive(*, temperature: float = 0.1, spoof_compact: bool = True) -> SupervisedContrastiveLoss:
    """Supervised contrastive loss (Khosla 2020) on all pairs of a minibatch; the pair sampler has no effect on it.

    Args:
        temperature: Divisor of the cosines; positive.
        spoof_compact: Whether spoofed utterances are anchors, too, so that the loss pulls them together. If false, only
            bona fide utterances are: different attacks need not be similar.

    Raises:
        ValueError: `temperature` is not positive and finite.
    """
    return SupervisedContrastiveLoss(temperature=temperature, spoof_compact=spoof_compact)


def triplet(*, margin: float = 0.3, spoof_compact: bool = True) -> TripletLoss:
    """Triplet loss (Hermans 2017) with the hardest positive and negative of every utterance.

    The pair sampler has no effect on it.

    Args:
        margin: Distance by which the nearest negative must be farther than the farthest positive; positive.
        spoof_compact: Whether spoofed utterances are anchors, too; see `supervised_contrastive`.

    Raises:
        ValueError: `margin` is not positive and finite.
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
