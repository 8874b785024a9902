"""Detection costs and the cost of log-likelihood ratios: min DCF, act DCF, Cllr, as ASVspoof 5 ranks by them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.evaluation.metrics import FloatArray, checked_scores, det_curve


@dataclass(frozen=True)
class DetectionCosts:
    """Prior and costs of an application. The defaults are those of ASVspoof 5 (track 1).

    Attributes:
        p_spoof: Prior probability of spoofed speech, in (0, 1).
        miss: Cost of rejecting bona fide speech, positive.
        false_alarm: Cost of accepting spoofed speech, positive.
    """

    p_spoof: float = 0.05
    miss: float = 1.0
    false_alarm: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.p_spoof < 1:
            raise ValueError(f"p_spoof is {self.p_spoof}; it must be above 0 and below 1")
        for name in ("miss", "false_alarm"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"the cost {name} is {getattr(self, name)}; it must be positive")

    @property
    def weights(self) -> tuple[float, float]:
        """Factors of the miss rate and of the false alarm rate in the cost."""
        return self.miss * (1 - self.p_spoof), self.false_alarm * self.p_spoof

    @property
    def threshold(self) -> float:
        """The log-likelihood ratio from which on accepting as bona fide has the lower expected cost."""
        return -float(np.log(self.weights[0] / self.weights[1]))


ASVSPOOF5 = DetectionCosts()


def min_dcf(bona_fide: ArrayLike, spoof: ArrayLike, costs: DetectionCosts = ASVSPOOF5) -> float:
    """Lowest normalised detection cost over all thresholds, in [0, 1]; 1 = the better of accepting and rejecting all.

    Args:
        bona_fide: CM scores `(n_bona_fide,)`; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.
        costs: Prior and costs.

    Raises:
        ValueError: A class is empty, or a score is not finite.
    """
    p_miss, p_fa, _ = det_curve(bona_fide, spoof)
    return float(np.min(costs.weights[0] * p_miss + costs.weights[1] * p_fa)) / min(costs.weights)


def act_dcf(bona_fide: ArrayLike, spoof: ArrayLike, costs: DetectionCosts = ASVSPOOF5) -> float:
    """Normalised detection cost at the threshold that the costs give; at least 0, and above 1 if it is harmful.

    Args:
        bona_fide: Log-likelihood ratios (natural logarithm) `(n_bona_fide,)`; higher = more bona fide.
        spoof: Log-likelihood ratios of spoofed utterances, `(n_spoof,)`.
        costs: Prior and costs.

    Raises:
        ValueError: A class is empty, or a score is not finite.
    """
    p_miss = float(np.mean(checked_scores("bona fide", bona_fide) < costs.threshold))
    p_fa = float(np.mean(checked_scores("spoofed", spoof) >= costs.threshold))
    return (costs.weights[0] * p_miss + costs.weights[1] * p_fa) / min(costs.weights)


def cllr(bona_fide: ArrayLike, spoof: ArrayLike) -> float:
    """Cost of log-likelihood ratios in bits over all priors (Bruemmer and du Preez, 2006); 1 = no information.

    It is the mean of both classes' logistic losses, so it equals `dev_loss` of a search over ln 2.

    Args:
        bona_fide: Log-likelihood ratios (natural logarithm) `(n_bona_fide,)`; higher = more bona fide.
        spoof: Log-likelihood ratios of spoofed utterances, `(n_spoof,)`.

    Raises:
        ValueError: A class is empty, or a score is not finite.
    """
    losses = np.logaddexp(0, -checked_scores("bona fide", bona_fide)).mean()
    return float((losses + np.logaddexp(0, checked_scores("spoofed", spoof)).mean()) / (2 * np.log(2)))


def min_cllr(bona_fide: ArrayLike, spoof: ArrayLike) -> float:
    """Cllr after the best increasing map of the scores (PAV), in [0, 1] bits: what calibration cannot mend.

    Args:
        bona_fide: CM scores `(n_bona_fide,)` of any scale; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.

    Raises:
        ValueError: A class is empty, or a score is not finite.
    """
    positive, negative = checked_scores("bona fide", bona_fide), checked_scores("spoofed", spoof)
    values, places = np.unique(np.concatenate([positive, negative]), return_inverse=True)
    # Both classes have the same weight in all, so that the posterior odds are likelihood ratios.
    of_bona_fide = np.bincount(places[: len(positive)], minlength=len(values)) / len(positive)
    of_spoof = np.bincount(places[len(positive) :], minlength=len(values)) / len(negative)
    loss = 0.0
    for bona_fide_mass, spoof_mass in _pooled(of_bona_fide, of_spoof):
        for mass in (bona_fide_mass, spoof_mass):
            if mass:
                loss -= mass * math.log2(mass / (bona_fide_mass + spoof_mass))
    return loss / 2


def _pooled(of_bona_fide: FloatArray, of_spoof: FloatArray) -> list[tuple[float, float]]:
    """Masses of both classes in blocks of scores, by rising fraction of bona fide: pool adjacent violators.

    It is a few lines here since SciPy's own lies in a module that takes a second to import, in every trial.

    Args:
        of_bona_fide: Mass of bona fide utterances at each different score, by rising score.
        of_spoof: Mass of spoofed utterances there.
    """
    # Runs of one class have one fraction, 0 or 1: they are blocks at once.
    kind = np.where(of_bona_fide == 0, 0, np.where(of_spoof == 0, 1, 2))
    starts = np.flatnonzero(np.r_[True, (kind[1:] != kind[:-1]) | (kind[1:] == 2)])
    runs = (np.add.reduceat(of_bona_fide, starts).tolist(), np.add.reduceat(of_spoof, starts).tolist())
    blocks: list[tuple[float, float]] = []
    for bona_fide, spoof in zip(*runs, strict=True):
        while blocks and blocks[-1][0] * spoof >= bona_fide * blocks[-1][1]:
            below = blocks.pop()
            bona_fide, spoof = bona_fide + below[0], spoof + below[1]
        blocks.append((bona_fide, spoof))
    return blocks
