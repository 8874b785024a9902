"""Confidence intervals of an EER, over utterances and over speakers, that hold their level at small counts.

To first order, an EER estimated from scores is a weighted mean of the miss rate and the false alarm rate at the EER's
threshold. The weights depend on how steep the two rates are there. Its variance is that of an error rate of a number of
independent utterances, the effective number. The exact (beta) interval for that number is the interval of the EER.
Korn and Graubard (1998, Survey Methodology 24) give the same construction for proportions in clustered surveys.
`benchmarks/coverage.py` measures how often the intervals hold the true EER.
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from core.evaluation.metrics import eer, error_counts

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int64]

MIN_SPEAKERS = 2.5
"""Effective number of speakers of a class below which there is no interval: with 2 it would be 0 to nearly 100 %."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: Lower end, in the unit of the metric.
        high: Upper end, in the unit of the metric.
        level: Confidence in (0, 1), such as 0.95.
    """

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class EerErrors:
    """The errors at the threshold of the EER.

    Attributes:
        rate: The EER in [0, 1].
        wrong: Whether each utterance is on the wrong side of the threshold, `(n_utterances,)`.
        miss_weights: Weight of the miss rate in the EER, in [0, 1]; the false alarm rate has the rest. The best
            estimate, and both ends of what the scores around the threshold leave open: 0 and 1 without an error.
    """

    rate: float
    wrong: NDArray[np.bool_]
    miss_weights: tuple[float, float, float]


def eer_interval(
    scores: ArrayLike, labels: ArrayLike, speakers: ArrayLike | None = None, *, level: float = 0.95
) -> Interval:
    """Confidence interval of the EER.

    Over utterances, it says what other utterances of the same speakers would give. Over speakers, it says what other
    speakers would give, and it is the right one if the detector will meet new speakers. Utterances of one speaker
    resemble each other, so it is wider. Without an error in 80 bona fide and 100 spoofed utterances, the interval over
    utterances ends at the exact bound for 0 errors of 80, 4.5 %, because the errors may all lie on one side.

    The variance over speakers is the larger of two estimates. One is that of the errors of the speakers. The other
    follows from the likeness of a speaker's scores, which is known although errors are rare: the correlation of ranks
    within speakers, turned into one of errors by a normal model. The degrees of freedom are those of the effective
    number of speakers of each class, weighted by their part of the variance.

    Args:
        scores: CM scores `(n_utterances,)`.
        labels: `(n_utterances,)`, 1 = bona fide, 0 = spoof.
        speakers: Speaker (or claimed speaker) of each utterance, `(n_utterances,)`; None = over utterances.
        level: Confidence in (0, 1).

    Raises:
        ValueError: One class is missing, a score is not finite, lengths differ, `level` is out of range, or a class has
            fewer than three speakers, or as good as fewer.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must be above 0 and below 1")
    values, classes = checked(scores, labels)
    errors = eer_errors(values, classes)
    sizes = (int(np.sum(classes == 1)), int(np.sum(classes == 0)))
    n_effective = 1 / max(_variance(weight, (1 / sizes[0], 1 / sizes[1])) for weight in errors.miss_weights)
    if speakers is not None:
        groups = checked_speakers(speakers, classes)
        n_effective = _n_effective_over_speakers(values, classes, groups, errors, n_effective, level)
    low, high = _exact(errors.rate, n_effective, level)
    return Interval(low, high, level)


def checked(scores: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, Labels]:
    """Scores and labels as arrays of equal lengths.

    Raises:
        ValueError: One class is missing, a score is not finite, or lengths differ.
    """
    values, classes = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(np.int64)
    if values.ndim != 1 or values.shape != classes.shape:
        raise ValueError(f"{values.size} scores have {classes.size} labels; every score needs one")
    eer(values[classes == 1], values[classes == 0])  # raises if a class is missing or a score is not finite
    return values, classes


def checked_speakers(speakers: ArrayLike, classes: Labels) -> Labels:
    """Number of each utterance's speaker, from 0, `(n_utterances,)`.

    Raises:
        ValueError: The number of utterances differs, or a class has fewer than three speakers, or as good as.
    """
    names = np.asarray(speakers)
    if names.shape != classes.shape:
        raise ValueError(f"{len(classes)} scores have {names.size} speakers; every score needs one")
    groups = np.unique(names, return_inverse=True)[1]
    for label, kind in ((1, "bona fide"), (0, "spoofed")):
        counts = np.bincount(groups[classes == label])
        n_speakers, effective = int(np.sum(counts > 0)), effective_speakers(counts)
        if effective < MIN_SPEAKERS:
            text = f"the {kind} utterances have {n_speakers} speaker{'s' if n_speakers > 1 else ''}"
            unequal = f", so unequally that they count as {effective:.1f}" if n_speakers > MIN_SPEAKERS else ""
            raise ValueError(f"{text}{unequal}; an interval over speakers needs 3")
    return groups


def effective_speakers(counts: NDArray[np.int64]) -> float:
    """Number of equally frequent speakers that would vary as much as speakers with these numbers of utterances."""
    return float(counts.sum() ** 2 / np.sum(counts.astype(np.float64) ** 2))


def eer_errors(scores: FloatArray, labels: Labels) -> EerErrors:
    """The errors at the EER of scores `(n_utterances,)` with labels of both classes."""
    bona_fide, spoof = scores[labels == 1], scores[labels == 0]
    rate, threshold = eer(bona_fide, spoof)
    wrong = np.where(labels == 1, scores < threshold, scores >= threshold)
    return EerErrors(rate, wrong, _miss_weights(bona_fide, spoof, rate))


def _miss_weights(bona_fide: FloatArray, spoof: FloatArray, rate: float) -> tuple[float, float, float]:
    """`EerErrors.miss_weights`.

    With densities b of bona fide and s of spoofed scores at the threshold, the weight of the miss rate is s / (b + s).
    Their ratio is the slope of the DET curve, whose axes are normal quantiles, since both rates are equal there. It is
    taken between the thresholds of half the miss rate and of half the false alarm rate.
    """
    misses, false_alarms, _ = error_counts(bona_fide, spoof)
    lowest = int(np.searchsorted(misses, rate / 2 * len(bona_fide), side="right")) - 1
    highest = len(misses) - int(np.searchsorted(false_alarms[::-1], rate / 2 * len(spoof), side="right"))
    n_bona_fide, n_spoof = int(misses[highest] - misses[lowest]), int(false_alarms[lowest] - false_alarms[highest])
    if rate in (0.0, 1.0) or n_bona_fide <= 0 or n_spoof <= 0:
        return 0.5, 0.0, 1.0
    ends = [lowest, highest]
    normal_miss = scipy.special.ndtri((misses[ends] + 0.5) / (len(bona_fide) + 1))
    normal_alarm = scipy.special.ndtri((false_alarms[ends] + 0.5) / (len(spoof) + 1))
    log_ratio = np.log((normal_alarm[0] - normal_alarm[1]) / (normal_miss[1] - normal_miss[0]))
    deviation = np.sqrt(1 / n_spoof + 1 / n_bona_fide)
    best, low, high = 1 / (1 + np.exp(-(log_ratio + np.array([0.0, -deviation, deviation]))))
    return float(best), float(low), float(high)


def _variance(miss_weight: float, of_rates: tuple[float, float]) -> float:
    """Variance of the weighted mean of the miss rate and the false alarm rate, from the variances of both."""
    return miss_weight**2 * of_rates[0] + (1 - miss_weight) ** 2 * of_rates[1]


def _n_effective_over_speakers(
    scores: FloatArray, labels: Labels, groups: Labels, errors: EerErrors, n_utterances: float, level: float
) -> float:
    """Effective number of independent utterances, with the widening for few degrees of freedom.

    Args:
        scores: CM scores.
        labels: 1 = bona fide, 0 = spoof.
        groups: Number of the speaker.
        errors: Errors at the EER.
        n_utterances: Effective number without regard to speakers, an upper bound.
        level: Confidence.
    """
    n_groups = int(groups.max()) + 1
    # Without an error, the model takes the rate of half an error.
    rate = max(errors.rate, 0.5 / n_utterances)
    variances, freedoms, deviations = [], [], []
    for label in (1, 0):
        chosen = labels == label
        counts = np.bincount(groups[chosen], minlength=n_groups)
        size = int(counts.sum())
        alike = _correlation_of_errors(rate, _correlation_of_ranks(scores[chosen], groups[chosen], n_groups))
        variances.append((1 + (np.sum(counts.astype(np.float64) ** 2) / size - 1) * alike) / size)
        freedoms.append(effective_speakers(counts) - 1)
        wrong = np.bincount(groups[chosen], errors.wrong[chosen], minlength=n_groups)
        deviations.append((wrong - wrong.sum() / size * counts) / size)
    by_model = (variances[0], variances[1])
    weight = max(errors.miss_weights, key=lambda weight: _variance(weight, by_model))
    parts = weight**2 * variances[0], (1 - weight) ** 2 * variances[1]
    freedom = sum(parts) / (parts[0] / freedoms[0] + parts[1] / freedoms[1])
    squares = max(float(np.sum((w * deviations[0] + (1 - w) * deviations[1]) ** 2)) for w in errors.miss_weights)
    by_errors = n_groups / (n_groups - 1) * squares
    spread = errors.rate * (1 - errors.rate)
    n_effective = min(n_utterances, 1 / sum(parts), spread / by_errors if by_errors > 0 else np.inf)
    # Student's quantiles instead of the normal ones, as a smaller number of utterances (Korn and Graubard, 1998).
    quantile = (1 + level) / 2
    student = [float(scipy.special.stdtrit(degrees, quantile)) for degrees in (max(n_effective - 1, 1), freedom)]
    return float(n_effective * min(1.0, (student[0] / student[1]) ** 2))


def _correlation_of_ranks(scores: FloatArray, groups: Labels, n_groups: int) -> float:
    """Intraclass correlation in [0, 1) of scores, mapped to normal quantiles by rank, within groups (ANOVA)."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = np.arange(len(scores))
    normal = scipy.special.ndtri((ranks + 0.5) / len(scores))
    counts = np.bincount(groups, minlength=n_groups)
    counts_present, n_present = counts[counts > 0], int(np.sum(counts > 0))
    if n_present == len(scores):
        return 0.0  # one utterance per speaker: nothing to be alike
    means = np.bincount(groups, normal, minlength=n_groups)[counts > 0] / counts_present
    between = np.sum(counts_present * (means - normal.mean()) ** 2) / (n_present - 1)
    within = (np.sum(normal**2) - np.sum(counts_present * means**2)) / (len(scores) - n_present)
    typical = (len(scores) - np.sum(counts_present**2) / len(scores)) / (n_present - 1)
    of_groups = max(0.0, float((between - within) / typical))
    return min(of_groups / (of_groups + float(within)), 0.999) if of_groups else 0.0


def _correlation_of_errors(rate: float, correlation: float) -> float:
    """Correlation in [0, 1] of two errors of one speaker, if their scores are normal and have this correlation."""
    if correlation <= 0:
        return 0.0
    grid = np.linspace(-8, 8, 2001)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi) * (grid[1] - grid[0])
    rates = scipy.special.ndtr(
        (scipy.special.ndtri(rate) - np.sqrt(correlation) * grid) / np.sqrt(1 - correlation)
    )  # of speakers
    return max(0.0, float((np.sum(rates**2 * density) - rate**2) / (rate * (1 - rate)))) if rate < 1 else 1.0


def _exact(rate: float, n: float, level: float) -> tuple[float, float]:
    """Clopper-Pearson interval of a rate that was observed in `n` utterances; `n` need not be an integer."""
    wrong, right, tail = rate * n, (1 - rate) * n, (1 - level) / 2
    low = 0.0 if wrong <= 0 else float(scipy.special.betaincinv(wrong, right + 1, tail))
    high = 1.0 if right <= 0 else float(scipy.special.betaincinv(wrong + 1, right, 1 - tail))
    return low, high
