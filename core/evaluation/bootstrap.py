"""How far an EER may be trusted: bootstrap intervals over utterances or speakers, and a paired test of two systems."""

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
    """The middle share `level` of bootstrap resamples.

    Attributes:
        low: Lower end, in the metric's unit.
        high: Upper end.
        level: Such as 0.95.
    """

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same utterances.

    Attributes:
        difference: EER of the first less EER of the second, in [-1, 1].
        interval: Of the difference, over the same resamples of both.
        p_value: Two-sided, of the hypothesis that both have the same EER.
    """

    difference: float
    interval: Interval
    p_value: float


class _Sorted:
    """Scores sorted once: the EER of a resample is then a cumulative sum a class, and a search for where they meet."""

    def __init__(self, scores: FloatArray, labels: Counts) -> None:
        self.sides = sides = [scores[labels == label] for label in (0, 1)]
        sorted_already = all((side[1:] >= side[:-1]).all() for side in sides)
        self.orders = None if sorted_already else [np.argsort(side, kind="stable") for side in sides]
        # Tied scores count together: a threshold is a score, or lies above all of them.
        thresholds = np.append(np.unique(scores), np.inf)
        self.below = [np.searchsorted(np.sort(side), thresholds, side="left") for side in sides]

    def eer(self, counts: Draw) -> float:
        """EER where each utterance counts so often; as `core.evaluation.metrics.eer` where all count once."""
        if self.orders is not None:
            counts = (counts[0][self.orders[0]], counts[1][self.orders[1]])
        sums = [np.zeros(len(side) + 1, dtype=np.int64) for side in counts]
        for side, total in zip(counts, sums, strict=True):
            np.cumsum(side, out=total[1:])
        return self._crossing(int(sums[0][-1]), int(sums[1][-1]), lambda side, n: int(sums[side][n]))

    def drawn_eer(self, draw: np.random.Generator) -> float:
        """EER of a resample in which every utterance is drawn from its class alike, as often as the class is large.

        How many draws fall below a score is binomial, and so it is between two scores of which that is known: a search
        for where the rates meet asks at a few scores, and draws no utterance.
        """
        known = [{0: 0, len(side): len(side)} for side in self.sides]

        def below(side: int, n: int) -> int:
            counts = known[side]
            if n not in counts:
                low = max(each for each in counts if each < n)
                high = min(each for each in counts if each > n)
                within = counts[high] - counts[low]
                counts[n] = counts[low] + int(draw.binomial(within, (n - low) / (high - low)))
            return counts[n]

        return self._crossing(len(self.sides[0]), len(self.sides[1]), below)

    def _crossing(self, n_spoof: int, n_bona_fide: int, below: Callable[[int, int], int]) -> float:
        """The EER, of how often the first n utterances of a side (0 = spoof), by rising score, count."""

        def point(index: int) -> tuple[int, int]:
            return below(1, int(self.below[1][index])), n_spoof - below(0, int(self.below[0][index]))

        def gap(index: int) -> int:
            misses, false_alarms = point(index)
            return misses * n_spoof - false_alarms * n_bona_fide

        # The gap rises with the threshold, from all false alarms to all misses: it is least beside its change of sign.
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

    Over utterances each class is resampled by itself, so that both keep their size. Over speakers whole speakers are
    drawn, with what is bona fide of them and what is spoofed in their name: utterances of one voice are alike, so that
    there is less to learn from them than their number says, and this interval is the wider and the more honest one
    wherever new speakers are to come. A draw without one of the classes is repeated.

    Args:
        scores: CM scores `(n_utterances,)`.
        labels: `(n_utterances,)`, 1 = bona fide, 0 = spoof.
        speakers: Speaker (or claimed speaker) of each, `(n_utterances,)`; None = over utterances.
        level: Share of the resamples that lies in the interval.
        n_resamples: How many.
        seed: Determines the draws.

    Raises:
        ValueError: one class is missing, a score is not finite, lengths differ, or there is one speaker alone.
    """
    kept, classes = _checked(scores, labels)
    if speakers is None:
        if n_resamples < 1:
            raise ValueError(f"n_resamples is {n_resamples}; it must be at least 1")
        one, draw = _Sorted(kept, classes), np.random.default_rng(seed)
        return _interval([one.drawn_eer(draw) for _ in range(n_resamples)], level)
    order = np.argsort(kept, kind="stable")
    if np.shape(speakers) == kept.shape:
        speakers = np.asarray(speakers)[order]
    kept, classes = kept[order], classes[order]  # so that no resample is to be put in order
    one = _Sorted(kept, classes)
    found = [one.eer(counts) for counts in _draws(classes, speakers, n_resamples, seed)]
    return _interval(found, level)


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

    Both are resampled together, so that what makes an utterance hard for both cancels. The p-value is the bootstrap's:
    twice the share of resamples in which the difference has the other sign, at least 2 / (n + 1). It goes with the
    interval: below 0.05 where 0 lies outside the interval of 95 %.

    Args:
        first: CM scores of the first system, `(n_utterances,)`.
        second: CM scores of the second one on the same utterances in the same order.
        labels: `(n_utterances,)`, 1 = bona fide, 0 = spoof.
        speakers: As of `eer_interval`.
        level: As there.
        n_resamples: As there.
        seed: As there.

    Raises:
        ValueError: as there, or the two differ in length.
    """
    one, classes = _checked(first, labels)
    other, _ = _checked(second, labels)
    by_one, by_other = _Sorted(one, classes), _Sorted(other, classes)
    found = [by_one.eer(counts) - by_other.eer(counts) for counts in _draws(classes, speakers, n_resamples, seed)]
    differences = np.array(found)
    none = np.sum(differences == 0) / 2  # no difference counts half for either side
    tail = min(np.sum(differences < 0) + none, np.sum(differences > 0) + none)
    observed = eer(one[classes == 1], one[classes == 0])[0] - eer(other[classes == 1], other[classes == 0])[0]
    p_value = min(1.0, 2 * (float(tail) + 1) / (n_resamples + 1))
    return Comparison(float(observed), _interval(found, level), p_value)


def _draws(labels: Counts, speakers: ArrayLike | None, n_resamples: int, seed: int) -> Iterator[Draw]:
    """How often each utterance is drawn, once for each resample: of the spoofed ones, of the bona fide ones."""
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
        raise ValueError(f"{len(labels)} scores have {names.size} speakers; one each is needed")
    known, numbers = np.unique(names, return_inverse=True)
    if len(known) < 2:
        raise ValueError(f"there is one speaker, {known[0]}; over speakers at least two are needed")
    of_spoof, of_bona_fide = (numbers[labels == label] for label in (0, 1))
    for _ in range(n_resamples):
        spoof = bona_fide = np.zeros(1, dtype=np.int64)
        while not (spoof.any() and bona_fide.any()):
            counts = drawn(len(known))
            spoof, bona_fide = counts[of_spoof], counts[of_bona_fide]
        yield spoof, bona_fide


def _interval(found: list[float], level: float) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must be above 0 and below 1")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, Counts]:
    values, classes = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(np.int64)
    if values.ndim != 1 or values.shape != classes.shape:
        raise ValueError(f"{values.size} scores have {classes.size} labels; one each is needed")
    eer(values[classes == 1], values[classes == 0])  # raises where a class is missing or a score is not finite
    return values, classes
