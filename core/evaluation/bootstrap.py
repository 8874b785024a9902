"""Uncertainty of an EER: bootstrap intervals over utterances or speakers, and a paired test of two systems."""

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.evaluation.metrics import eer

FloatArray = NDArray[np.float64]
Counts = NDArray[np.int64]
Draw = tuple[Counts, Counts]


@dataclass(frozen=True)
class Interval:
    """The interval that holds the middle fraction `level` of the bootstrap resamples.

    Attributes:
        low: Lower end, in the unit of the metric.
        high: Upper end, in the unit of the metric.
        level: Fraction in (0, 1), such as 0.95.
    """

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Comparison:
    """Comparison of two systems on the same utterances.

    Attributes:
        difference: EER of the first system minus EER of the second, in [-1, 1].
        interval: Interval of the difference, over the same resamples of both systems.
        p_value: Two-sided p-value of the hypothesis that both systems have the same EER.
    """

    difference: float
    interval: Interval
    p_value: float


class _Sorted:
    """Scores sorted once. The EER of a resample then needs one cumulative sum per class and a binary search."""

    def __init__(self, scores: FloatArray, labels: Counts) -> None:
        self.sides = sides = [scores[labels == label] for label in (0, 1)]
        sorted_already = all((side[1:] >= side[:-1]).all() for side in sides)
        self.orders = None if sorted_already else [np.argsort(side, kind="stable") for side in sides]
        # Tied scores count together: a threshold is a score, or infinity.
        thresholds = np.append(np.unique(scores), np.inf)
        self.below = [np.searchsorted(np.sort(side), thresholds, side="left") for side in sides]

    def eer(self, counts: Draw) -> float:
        """EER of a resample; if every count is 1, equal to `core.evaluation.metrics.eer`.

        Args:
            counts: How often each utterance counts: of the spoofed ones, of the bona fide ones.
        """
        if self.orders is not None:
            counts = (counts[0][self.orders[0]], counts[1][self.orders[1]])
        sums = [np.zeros(len(side) + 1, dtype=np.int64) for side in counts]
        for side, total in zip(counts, sums, strict=True):
            np.cumsum(side, out=total[1:])
        return self._crossing(int(sums[0][-1]), int(sums[1][-1]), lambda side, n: int(sums[side][n]))

    def drawn_eer(self, draw: np.random.Generator) -> float:
        """EER of a resample that draws as many utterances from each class as it has, uniformly with replacement.

        The number of draws below a score is binomial, also given the numbers below two scores around it. So the search
        for the crossing of the rates draws this number at a few scores only, and no single utterance.
        """
        known = [{0: 0, len(side): len(side)} for side in self.sides]

        def below(side: int, n: int) -> int:
            counts = known[side]
            if n not in counts:
                low = max(rank for rank in counts if rank < n)
                high = min(rank for rank in counts if rank > n)
                within = counts[high] - counts[low]
                counts[n] = counts[low] + int(draw.binomial(within, (n - low) / (high - low)))
            return counts[n]

        return self._crossing(len(self.sides[0]), len(self.sides[1]), below)

    def _crossing(self, n_spoof: int, n_bona_fide: int, below: Callable[[int, int], int]) -> float:
        """EER at the crossing of the two rates.

        Args:
            n_spoof: Total count of the spoofed utterances.
            n_bona_fide: Total count of the bona fide utterances.
            below: Function of a side (0 = spoof, 1 = bona fide) and n; total count of its n lowest-scored utterances.
        """

        def point(index: int) -> tuple[int, int]:
            return below(1, int(self.below[1][index])), n_spoof - below(0, int(self.below[0][index]))

        def gap(index: int) -> int:
            misses, false_alarms = point(index)
            return misses * n_spoof - false_alarms * n_bona_fide

        # The gap rises with the threshold, from all false alarms to all misses. It is smallest at its change of sign.
        crossing = bisect.bisect_left(range(len(self.below[0])), 0, key=gap)
        beside = [index for index in (crossing - 1, crossing) if index >= 0]
        least = min(abs(gap(index)) for index in beside)
        points = {point(index) for index in beside if abs(gap(index)) == least}
        return sum(miss / n_bona_fide + alarm / n_spoof for miss, alarm in points) / len(points) / 2


def eer_interval(
    scores: ArrayLike,
    labels: ArrayLike,
    speakers: ArrayLike | None = None,
    *,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of the EER.

    Over utterances, each class is resampled separately, so that both keep their size. Over speakers, whole speakers are
    drawn, each with its bona fide utterances and with those spoofed in its name. Utterances of one speaker resemble
    each other, so they carry less information than their number suggests. The interval over speakers is therefore
    wider, and it is the right one if the detector will meet new speakers. A draw without one of the classes is
    repeated.

    Args:
        scores: CM scores `(n_utterances,)`.
        labels: `(n_utterances,)`, 1 = bona fide, 0 = spoof.
        speakers: Speaker (or claimed speaker) of each utterance, `(n_utterances,)`; None = over utterances.
        level: Fraction of the resamples that lies in the interval, in (0, 1).
        n_resamples: Number of resamples, at least 1.
        seed: Seed of the draws.

    Raises:
        ValueError: One class is missing, a score is not finite, lengths differ, there is only one speaker, or `level`
            or `n_resamples` is out of range.
    """
    kept, classes = _checked(scores, labels)
    if speakers is None:
        if n_resamples < 1:
            raise ValueError(f"n_resamples is {n_resamples}; it must be at least 1")
        system, draw = _Sorted(kept, classes), np.random.default_rng(seed)
        return _interval([system.drawn_eer(draw) for _ in range(n_resamples)], level)
    order = np.argsort(kept, kind="stable")
    if np.shape(speakers) == kept.shape:
        speakers = np.asarray(speakers)[order]
    kept, classes = kept[order], classes[order]  # sorted once here, so that no resample needs sorting
    system = _Sorted(kept, classes)
    return _interval([system.eer(counts) for counts in _draws(classes, speakers, n_resamples, seed)], level)


def compare_eer(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    speakers: ArrayLike | None = None,
    *,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Paired comparison of the EERs of two systems that scored the same utterances.

    Both systems are resampled together, so that difficulties that they share cancel. The p-value is that of the
    bootstrap: twice the fraction of resamples in which the difference has the other sign, at least 2 / (n + 1). It
    agrees with the interval: it is below 0.05 if 0 lies outside the 95 % interval.

    Args:
        first: CM scores of the first system, `(n_utterances,)`.
        second: CM scores of the second system on the same utterances in the same order.
        labels: `(n_utterances,)`, 1 = bona fide, 0 = spoof.
        speakers: Speaker (or claimed speaker) of each utterance, `(n_utterances,)`; None = over utterances.
        level: Fraction of the resamples that lies in the interval, in (0, 1).
        n_resamples: Number of resamples, at least 1.
        seed: Seed of the draws.

    Raises:
        ValueError: One class is missing, a score is not finite, lengths differ, there is only one speaker, or `level`
            or `n_resamples` is out of range.
    """
    one, classes = _checked(first, labels)
    other, _ = _checked(second, labels)
    by_one, by_other = _Sorted(one, classes), _Sorted(other, classes)
    sample = [by_one.eer(counts) - by_other.eer(counts) for counts in _draws(classes, speakers, n_resamples, seed)]
    differences = np.array(sample)
    ties = np.sum(differences == 0) / 2  # a difference of 0 counts half for either side
    tail = min(np.sum(differences < 0) + ties, np.sum(differences > 0) + ties)
    observed = eer(one[classes == 1], one[classes == 0])[0] - eer(other[classes == 1], other[classes == 0])[0]
    p_value = min(1.0, 2 * (float(tail) + 1) / (n_resamples + 1))
    return Comparison(float(observed), _interval(sample, level), p_value)


def _draws(labels: Counts, speakers: ArrayLike | None, n_resamples: int, seed: int) -> Iterator[Draw]:
    """Yields for every resample how often each utterance is drawn: of the spoofed ones, of the bona fide ones."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}; it must be at least 1")
    draw = np.random.default_rng(seed)

    def drawn(n: int) -> Counts:
        return np.bincount(draw.integers(n, size=n), minlength=n)

    sizes = [int(np.sum(labels == label)) for label in (0, 1)]
    if speakers is None:
        for _ in range(n_resamples):
            yield drawn(sizes[0]), drawn(sizes[1])
        return
    names = np.asarray(speakers)
    if names.shape != labels.shape:
        raise ValueError(f"{len(labels)} scores have {names.size} speakers; every score needs one")
    known, numbers = np.unique(names, return_inverse=True)
    if len(known) < 2:
        raise ValueError(f"there is one speaker, {known[0]}; an interval over speakers needs at least two")
    of_spoof, of_bona_fide = (numbers[labels == label] for label in (0, 1))
    for _ in range(n_resamples):
        spoof = bona_fide = np.zeros(1, dtype=np.int64)
        while not (spoof.any() and bona_fide.any()):
            counts = drawn(len(known))
            spoof, bona_fide = counts[of_spoof], counts[of_bona_fide]
        yield spoof, bona_fide


def _interval(sample: list[float], level: float) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must be above 0 and below 1")
    low, high = np.quantile(sample, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, Counts]:
    values, classes = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(np.int64)
    if values.ndim != 1 or values.shape != classes.shape:
        raise ValueError(f"{values.size} scores have {classes.size} labels; every score needs one")
    eer(values[classes == 1], values[classes == 0])  # raises if a class is missing or a score is not finite
    return values, classes
