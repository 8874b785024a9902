"""Paired comparison of the EERs of two systems on the same utterances."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from core.evaluation.intervals import EerErrors, Interval, checked, checked_speakers, eer_errors, effective_speakers


@dataclass(frozen=True)
class Comparison:
    """Comparison of two systems on the same utterances.

    Attributes:
        difference: EER of the first system minus EER of the second, in [-1, 1].
        interval: Confidence interval of the difference.
        p_value: Two-sided p-value of the hypothesis that both systems have the same EER.
    """

    difference: float
    interval: Interval
    p_value: float


def compare_eer(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    speakers: ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> Comparison:
    """Paired comparison of the EERs of two systems that scored the same utterances.

    To first order, the difference is a sum over utterances (see `core.evaluation.intervals`). Difficulties that both
    systems share cancel in it. Its deviation is estimated over utterances or over speakers, and Student's distribution
    gives the interval. As Bonett and Price (2012) do for paired proportions, every class gets two more utterances: one
    that only the first system has wrong, one that only the second has wrong. Systems without an error may differ too.
    The p-value agrees with the interval: it is below 0.05 if 0 lies outside the 95 % interval.

    Args:
        first: CM scores of the first system, `(n_utterances,)`.
        second: CM scores of the second system on the same utterances in the same order.
        labels: `(n_utterances,)`, 1 = bona fide, 0 = spoof.
        speakers: Speaker (or claimed speaker) of each utterance, `(n_utterances,)`; None = over utterances.
        level: Confidence in (0, 1).

    Raises:
        ValueError: One class is missing, a score is not finite, lengths differ, `level` is out of range, or a class has
            fewer than three speakers, or as good as fewer.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must be above 0 and below 1")
    one, classes = checked(first, labels)
    other, _ = checked(second, labels)
    groups = None if speakers is None else checked_speakers(speakers, classes)
    if np.array_equal(one, other):
        return Comparison(0.0, Interval(0.0, 0.0, level), 1.0)  # the same system, on whatever utterances
    errors = eer_errors(one, classes), eer_errors(other, classes)
    difference = errors[0].rate - errors[1].rate
    variance, freedom = _over_utterances(errors, classes), float(len(classes) - 2)
    if groups is not None:
        n_groups = int(groups.max()) + 1
        deviations = np.zeros(n_groups)
        for label in (1, 0):
            chosen = classes == label
            parts, size = _parts(errors, label)[chosen], int(np.sum(chosen))
            counts = np.bincount(groups[chosen], minlength=n_groups)
            deviations += (np.bincount(groups[chosen], parts, minlength=n_groups) - parts.mean() * counts) / size
        variance = max(variance, n_groups / (n_groups - 1) * float(np.sum(deviations**2)))
        freedom = min(effective_speakers(np.bincount(groups[classes == label])) for label in (1, 0)) - 1
    deviation = float(np.sqrt(variance))
    half = float(scipy.special.stdtrit(freedom, (1 + level) / 2)) * deviation
    p_value = 2 * float(scipy.special.stdtr(freedom, -abs(difference) / deviation))
    return Comparison(difference, Interval(difference - half, difference + half, level), p_value)


def _parts(errors: tuple[EerErrors, EerErrors], label: int) -> NDArray[np.float64]:
    """Difference of the systems' weighted errors, `(n_utterances,)`; valid for utterances with this label."""
    weights = [system.miss_weights[0] if label else 1 - system.miss_weights[0] for system in errors]
    parts: NDArray[np.float64] = weights[0] * errors[0].wrong - weights[1] * errors[1].wrong
    return parts


def _over_utterances(errors: tuple[EerErrors, EerErrors], classes: NDArray[np.int64]) -> float:
    """Variance of the difference over utterances."""
    variance = 0.0
    for label in (1, 0):
        weights = [system.miss_weights[0] if label else 1 - system.miss_weights[0] for system in errors]
        parts = np.append(_parts(errors, label)[classes == label], [weights[0], -weights[1]])
        variance += float(np.var(parts)) / len(parts)
    return variance
