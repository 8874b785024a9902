"""Calibration: an increasing affine map of CM scores to log-likelihood ratios, fitted on dev."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from core.evaluation.detection_cost import DetectionCosts
from core.evaluation.metrics import checked_scores

MAX_STEPS = 100


@dataclass(frozen=True)
class Calibration:
    """The map `slope * score + offset` of a CM score to a log-likelihood ratio (natural logarithm).

    Attributes:
        slope: Positive.
        offset: Log-likelihood ratio of the score 0.
    """

    slope: float
    offset: float

    def __post_init__(self) -> None:
        if not (0 < self.slope < np.inf and np.isfinite(self.offset)):
            raise ValueError(f"slope {self.slope} and offset {self.offset}: the slope must be positive, both finite")

    def llr(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Log-likelihood ratios of CM scores of any shape; positive = bona fide is more likely."""
        return self.slope * np.asarray(scores, dtype=np.float64) + self.offset

    def threshold(self, costs: DetectionCosts) -> float:
        """The CM score from which on accepting has the lower expected cost."""
        return (costs.threshold - self.offset) / self.slope


def fit_calibration(bona_fide: ArrayLike, spoof: ArrayLike, *, p_bona_fide: float = 0.5) -> Calibration:
    """Logistic regression of the class on the CM score, weighted so that the classes have the stated prior.

    The targets are those of Platt (1999), (n + 1) / (n + 2) and 1 / (n + 2): without an error on dev the likelihood has
    no maximum otherwise, and the ratios would be boundless.

    Args:
        bona_fide: CM scores `(n_bona_fide,)`; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.
        p_bona_fide: Prior of bona fide speech for which the map is best, in (0, 1).

    Raises:
        ValueError: A class is empty, a score is not finite, `p_bona_fide` is out of range, or the scores do not rank
            bona fide above spoofed speech.
    """
    if not 0 < p_bona_fide < 1:
        raise ValueError(f"p_bona_fide is {p_bona_fide}; it must be above 0 and below 1")
    sides = checked_scores("bona fide", bona_fide), checked_scores("spoofed", spoof)
    if sides[0].mean() <= sides[1].mean():
        raise ValueError("the mean score of bona fide speech is not above that of spoofed speech")
    scores = np.concatenate(sides)
    centre, scale = float(scores.mean()), float(scores.std())
    sizes = len(sides[0]), len(sides[1])
    features = np.stack([(scores - centre) / scale, np.ones(len(scores))], axis=1)
    targets = np.repeat([(sizes[0] + 1) / (sizes[0] + 2), 1 / (sizes[1] + 2)], sizes)
    weights = np.repeat([p_bona_fide / sizes[0], (1 - p_bona_fide) / sizes[1]], sizes)
    parameters = np.zeros(2)

    def loss(parameters: NDArray[np.float64]) -> float:
        logits = features @ parameters
        return float(weights @ (np.logaddexp(0, logits) - targets * logits))

    for _ in range(MAX_STEPS):
        posterior = scipy.special.expit(features @ parameters)
        gradient = features.T @ (weights * (posterior - targets))
        hessian = (features * (weights * posterior * (1 - posterior))[:, None]).T @ features
        step = np.linalg.solve(hessian + 1e-12 * np.eye(2), gradient)
        now, length = loss(parameters), 1.0
        while loss(parameters - length * step) > now and length > 1e-6:
            length /= 2
        parameters = parameters - length * step
        if np.abs(step).max() < 1e-10 * (1 + np.abs(parameters).max()):
            break
    slope = float(parameters[0]) / scale
    if slope <= 0:
        raise ValueError("the scores do not rank bona fide above spoofed speech")
    prior = float(np.log(p_bona_fide / (1 - p_bona_fide)))
    return Calibration(slope, float(parameters[1]) - slope * centre - prior)
