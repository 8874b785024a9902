"""Metrics of countermeasures: NumPy arrays of scores -> EER, AUC, DET curve."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def eer(bona_fide: ArrayLike, spoof: ArrayLike) -> tuple[float, float]:
    """Equal error rate of a countermeasure, and the threshold at which it is met.

    The rate is the mean of the miss and false alarm rates at the point of the DET curve where they are closest, as
    the ASVspoof organisers compute it. If two points are equally close, it is the mean of both. Tied scores count
    together, so constant scores have 0.5.

    Args:
        bona_fide: CM scores `(n_bona_fide,)`; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.

    Returns:
        The rate in [0, 1] (not per cent), and the threshold in score units: the lowest score that is accepted as bona
        fide. It is one of the scores.

    Raises:
        ValueError: A class is empty, or a score is not finite.
    """
    misses, false_alarms, thresholds = error_counts(bona_fide, spoof)
    closest = closest_points(misses, false_alarms)
    rate = (misses[closest] / misses[-1] + false_alarms[closest] / false_alarms[0]).mean() / 2
    return float(rate), float(thresholds[closest[0]])


def eer_per_attack(bona_fide: ArrayLike, spoof: ArrayLike, attack_ids: ArrayLike) -> dict[str, float]:
    """Equal error rate in [0, 1] of each attack against all bona fide utterances, by attack in sorted order.

    Args:
        bona_fide: CM scores `(n_bona_fide,)`.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.
        attack_ids: The attack of each spoofed utterance, `(n_spoof,)`.

    Raises:
        ValueError: A class is empty, a score is not finite, or the numbers of attack ids and spoofed scores differ.
    """
    bona_fide, spoof = checked_scores("bona fide", bona_fide), checked_scores("spoofed", spoof)
    names = np.asarray(attack_ids)
    if names.shape != spoof.shape:
        raise ValueError(f"{len(spoof)} spoofed scores have {names.size} attack ids; every score needs one")
    return {str(name): eer(bona_fide, spoof[names == name])[0] for name in np.unique(names)}


def det_curve(bona_fide: ArrayLike, spoof: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Miss rates, false alarm rates and thresholds of every operating point, by rising threshold.

    A score at or above the threshold is accepted as bona fide. With `n` different scores there are `n + 1` points. The
    first accepts everything (miss 0, false alarm 1). The last has threshold infinity and accepts nothing (1, 0).

    Args:
        bona_fide: CM scores `(n_bona_fide,)`; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.

    Raises:
        ValueError: A class is empty, or a score is not finite.
    """
    misses, false_alarms, thresholds = error_counts(bona_fide, spoof)
    return misses / misses[-1], false_alarms / false_alarms[0], thresholds


def auc(bona_fide: ArrayLike, spoof: ArrayLike) -> float:
    """Area under the ROC curve in [0, 1]: the fraction of (bona fide, spoof) pairs in the right order; ties count half.

    Args:
        bona_fide: CM scores `(n_bona_fide,)`; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.

    Raises:
        ValueError: A class is empty, or a score is not finite.
    """
    p_miss, p_fa, _ = det_curve(bona_fide, spoof)
    return float(np.sum((p_fa[:-1] - p_fa[1:]) * (2 - p_miss[:-1] - p_miss[1:])) / 2)


def checked_scores(kind: str, scores: ArrayLike) -> FloatArray:
    """Scores as an array `(n,)`.

    Args:
        kind: Kind of the scores, for messages, such as `spoofed`.
        scores: The scores.

    Raises:
        ValueError: There is no score, they are not in one row, or a score is not finite.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{kind} scores have shape {array.shape}; at least one score in one row is needed")
    if not np.isfinite(array).all():
        raise ValueError(f"{np.sum(~np.isfinite(array))} of {array.size} {kind} scores are not finite")
    return array


def error_counts(bona_fide: ArrayLike, spoof: ArrayLike) -> tuple[NDArray[Any], NDArray[Any], FloatArray]:
    """Misses, false alarms (exact integers) and thresholds, `(n_thresholds,)`.

    The thresholds are the different scores, rising, and infinity. A miss is a bona fide score below the threshold, a
    false alarm a spoofed score at or above it.
    """
    positive, negative = np.sort(checked_scores("bona fide", bona_fide)), np.sort(checked_scores("spoofed", spoof))
    thresholds = np.append(np.unique(np.concatenate([positive, negative])), np.inf)
    misses = np.searchsorted(positive, thresholds, side="left")
    false_alarms = len(negative) - np.searchsorted(negative, thresholds, side="left")
    return misses, false_alarms, thresholds


def closest_points(misses: NDArray[Any], false_alarms: NDArray[Any]) -> NDArray[Any]:
    """Indices of the one or two points where the two rates are closest."""
    # Integers over the common denominator: as floats, equally close points could differ by rounding.
    gap = np.abs(misses * int(false_alarms[0]) - false_alarms * int(misses[-1]))
    return np.flatnonzero(gap == gap.min())
