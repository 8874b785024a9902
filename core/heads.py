"""HEADS: last layers of a network that is trained by classification, with their losses.

A row is a function of the embedding size, the number of classes and its own options. It returns an `nn.Module` with
`loss(embeddings, classes)` for training and `forward(embeddings)`, which returns CM scores.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.table import Table

BONA_FIDE = 1
"""Class of bona fide speech. Spoofed speech is class 0; if every attack is a class, the attacks are 0, 2, 3, ..."""


class Linear(nn.Linear):
    """A linear layer with cross-entropy."""

    def __init__(self, embedding_dim: int, n_classes: int) -> None:
        super().__init__(embedding_dim, n_classes)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Logits `(batch, n_classes)` of embeddings `(batch, embedding_dim)`."""
        return super().forward(embeddings)

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(batch,)` of embeddings `(batch, embedding_dim)`: the log odds of bona fide."""
        return log_odds(self.logits(embeddings))

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        """Cross-entropy, a scalar, of embeddings `(batch, embedding_dim)` with classes `(batch,)`."""
        return F.cross_entropy(self.logits(embeddings).float(), classes)


class AngularMargin(nn.Module):
    """Base of the heads whose logits are scaled cosines between an embedding and one direction per class.

    The losses of the subclasses lower the logit of the true class by a margin.
    """

    def __init__(self, embedding_dim: int, n_classes: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.empty(n_classes, embedding_dim))
        nn.init.xavier_normal_(self.directions)

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosines `(batch, n_classes)` between embeddings `(batch, embedding_dim)` and the class directions."""
        return F.normalize(embeddings, dim=1) @ F.normalize(self.directions, dim=1).T


class AngularSoftmax(AngularMargin):
    """A-softmax (SphereFace, Liu 2017): the true class must be nearest even if its angle is multiplied by `margin`."""

    def __init__(self, embedding_dim: int, n_classes: int, *, margin: int, softest: float) -> None:
        super().__init__(embedding_dim, n_classes)
        if margin < 1:
            raise ValueError(f"margin is {margin}; it must be at least 1")
        if softest < 0:
            raise ValueError(f"softest is {softest}; it must be at least 0")
        self.margin, self.softest = margin, softest
        self.n_steps: Tensor
        # A buffer, so that a resumed training continues with the margin that it had reached.
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.long))

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(batch,)` of embeddings `(batch, embedding_dim)`: the log odds of bona fide, without margin."""
        return log_odds(self.cosines(embeddings) * embeddings.norm(dim=1, keepdim=True))

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        """Cross-entropy with the margin, a scalar, of embeddings `(batch, embedding_dim)` with classes `(batch,)`.

        The margin's weight grows over the first steps. Every call in training mode counts as a step.
        """
        lengths = embeddings.float().norm(dim=1, keepdim=True)
        cosines = self.cosines(embeddings.float()).clamp(-1 + 1e-6, 1 - 1e-6)
        angles = cosines.acos()
        # A monotonic extension of cos(margin * angle), which decreases beyond pi / margin, too.
        turns = (angles * self.margin / math.pi).floor().detach()
        lowered = (1 - 2 * (turns % 2)) * (self.margin * angles).cos() - 2 * turns
        share = 1 / (1 + torch.clamp(1000 / (1 + 0.12 * self.n_steps), min=self.softest))
        if self.training:
            self.n_steps += 1
        true = F.one_hot(classes, cosines.shape[1]).bool()
        logits = torch.where(true, cosines + share * (lowered - cosines), cosines) * lengths
        return F.cross_entropy(logits, classes)


class AdditiveMargin(AngularMargin):
    """AM-softmax (Wang 2018): `margin` is subtracted from the cosine of the true class."""

    def __init__(self, embedding_dim: int, n_classes: int, *, margin: float, scale: float) -> None:
        super().__init__(embedding_dim, n_classes)
        _check_scale(scale)
        if not 0 <= margin < 2:
            raise ValueError(f"margin is {margin}; it must be from 0 to below 2, the range of cosines")
        self.margin, self.scale = margin, scale

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(batch,)` of embeddings `(batch, embedding_dim)`: the log odds of bona fide, without margin."""
        return log_odds(self.scale * self.cosines(embeddings))

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        """Cross-entropy with the margin, a scalar, of embeddings `(batch, embedding_dim)` with classes `(batch,)`."""
        cosines = self.cosines(embeddings.float())
        lowered = cosines - self.margin * F.one_hot(classes, cosines.shape[1])
        return F.cross_entropy(self.scale * lowered, classes)


class OneClass(nn.Module):
    """OC-softmax (Zhang 2021): bona fide embeddings lie near one direction, and spoofed ones away from it."""

    def __init__(
        self, embedding_dim: int, n_classes: int, *, margin_bona_fide: float, margin_spoof: float, scale: float
    ) -> None:
        super().__init__()
        _check_scale(scale)
        if not -1 <= margin_spoof < margin_bona_fide <= 1:
            raise ValueError(
                f"margin_spoof is {margin_spoof} and margin_bona_fide {margin_bona_fide}; "
                "-1 <= margin_spoof < margin_bona_fide <= 1 must hold"
            )
        self.margin_bona_fide, self.margin_spoof, self.scale = margin_bona_fide, margin_spoof, scale
        self.direction = nn.Parameter(torch.empty(1, embedding_dim))
        nn.init.kaiming_uniform_(self.direction, 0.25)

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(batch,)` in [-1, 1] of embeddings `(batch, embedding_dim)`: the cosine with the direction."""
        return F.cosine_similarity(embeddings, self.direction)

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        """Mean softplus of the scaled margin violations, a scalar.

        Args:
            embeddings: `(batch, embedding_dim)`.
            classes: `(batch,)`; all classes but BONA_FIDE form one spoofed class.
        """
        cosines = F.cosine_similarity(embeddings.float(), self.direction)
        shortfall = torch.where(classes == BONA_FIDE, self.margin_bona_fide - cosines, cosines - self.margin_spoof)
        return F.softplus(self.scale * shortfall).mean()


def log_odds(logits: Tensor) -> Tensor:
    """Log odds `(batch,)` of bona fide against all other classes, from logits `(batch, n_classes)`."""
    others = torch.cat([logits[:, :BONA_FIDE], logits[:, BONA_FIDE + 1 :]], dim=1)
    return logits[:, BONA_FIDE] - others.logsumexp(dim=1)


def linear(embedding_dim: int, n_classes: int) -> Linear:
    """Linear layer with cross-entropy (paper, table 2, "original")."""
    return Linear(embedding_dim, n_classes)


def a_softmax(embedding_dim: int, n_classes: int, *, margin: int = 4, softest: float = 5.0) -> AngularSoftmax:
    """Angular softmax (Liu 2017), the head of the STC system in table 1.

    Args:
        embedding_dim: Size of the embeddings.
        n_classes: Number of classes.
        margin: Factor of the angle to the true class, 1 or more; 1: plain softmax of scaled cosines.
        softest: Limit of the margin's weight, 0 or more. The weight grows with the steps up to `1 / (1 + softest)`.
            With the full weight from the first step, the network does not train.

    Raises:
        ValueError: `margin` or `softest` is out of range.
    """
    return AngularSoftmax(embedding_dim, n_classes, margin=margin, softest=softest)


def am_softmax(embedding_dim: int, n_classes: int, *, margin: float = 0.35, scale: float = 20.0) -> AdditiveMargin:
    """Additive-margin softmax (Wang 2018).

    Args:
        embedding_dim: Size of the embeddings.
        n_classes: Number of classes.
        margin: Amount in [0, 2) that is subtracted from the cosine of the true class.
        scale: Factor from cosines to logits, positive.

    Raises:
        ValueError: `margin` or `scale` is out of range.
    """
    return AdditiveMargin(embedding_dim, n_classes, margin=margin, scale=scale)


def oc_softmax(
    embedding_dim: int,
    n_classes: int,
    *,
    margin_bona_fide: float = 0.9,
    margin_spoof: float = 0.2,
    scale: float = 20.0,
) -> OneClass:
    """One-class softmax (Zhang, Jiang, Duan 2021).

    Args:
        embedding_dim: Size of the embeddings.
        n_classes: Number of classes; all spoofed classes are treated as one.
        margin_bona_fide: Cosine above which a bona fide embedding costs little, at most 1.
        margin_spoof: Cosine below which a spoofed embedding costs little, from -1 to below `margin_bona_fide`.
        scale: Sharpness of both margins, positive.

    Raises:
        ValueError: A margin or `scale` is out of range.
    """
    return OneClass(embedding_dim, n_classes, margin_bona_fide=margin_bona_fide, margin_spoof=margin_spoof, scale=scale)


def _check_scale(scale: float) -> None:
    if not (scale > 0 and math.isfinite(scale)):
        raise ValueError(f"scale is {scale}; it must be a positive number")


HEADS: Table = {"linear": linear, "a_softmax": a_softmax, "am_softmax": am_softmax, "oc_softmax": oc_softmax}
