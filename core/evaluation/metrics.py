"""Metrics of countermeasures: NumPy arrays of scores -> EER, AUC, DET curve, min t-DCF."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

P_TARGET, P_NONTARGET, P_SPOOF = 0.9405, 0.0095, 0.05
COST_MISS, COST_FALSE_ALARM = 1.0, 10.0  # the same for the ASV and for the countermeasure


@dataclass(frozen=True)
class AsvErrorRates:
    """Error rates of the speaker verification (ASV) behind a countermeasure, in [0, 1].

    Attributes:
        p_fa: Fraction of impostors (non-targets) that are accepted.
        p_miss: Fraction of target speakers that are rejected.
        p_miss_spoof: Fraction of spoofed utterances that are rejected.
    """

    p_fa: float
    p_miss: float
    p_miss_spoof: float

    def __post_init__(self) -> None:
        for name in ("p_fa", "p_miss", "p_miss_spoof"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; an error rate lies in [0, 1]")


LA19_ASV = {
    "dev": AsvErrorRates(p_fa=0.02444521497919556, p_miss=0.02425876010781671, p_miss_spoof=0.23972909939002512),
    "eval": AsvErrorRates(p_fa=0.024604674888228765, p_miss=0.024581005586592177, p_miss_spoof=0.23934754703985472),
}
"""Error rates of the organisers' ASV on ASVspoof 2019 LA, by partition."""


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
    closest = _closest(misses, false_alarms)
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
    bona_fide, spoof = _scores("bona fide", bona_fide), _scores("spoofed", spoof)
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


def asv_error_rates(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike) -> AsvErrorRates:
    """Error rates of an ASV system at the threshold of its own equal error rate.

    The threshold is the highest score that the EER point rejects; a score at the threshold is accepted. The organisers
    do the same.

    Args:
        target: ASV scores of target speakers, `(n_target,)`; higher = same speaker.
        nontarget: ASV scores of impostors who do not spoof, `(n_nontarget,)`.
        spoof: ASV scores of spoofed utterances, `(n_spoof,)`.

    Raises:
        ValueError: One of the three arrays is empty, or a score is not finite.
    """
    target, nontarget, spoof = _scores("target", target), _scores("non-target", nontarget), _scores("spoofed", spoof)
    misses, false_alarms, thresholds = error_counts(target, nontarget)
    threshold = thresholds[max(_closest(misses, false_alarms)[0] - 1, 0)]
    return AsvErrorRates(
        p_fa=float(np.mean(nontarget >= threshold)),
        p_miss=float(np.mean(target < threshold)),
        p_miss_spoof=float(np.mean(spoof < threshold)),
    )


def tdcf_costs(asv: AsvErrorRates) -> tuple[float, float, float]:
    """C0, C1 and C2 of the tandem detection cost: the costs of the ASV alone, of a CM miss, of a CM false alarm.

    Raises:
        ValueError: C1 or C2 is not positive, since the ASV makes too many errors.
    """
    c0 = P_TARGET * COST_MISS * asv.p_miss + P_NONTARGET * COST_FALSE_ALARM * asv.p_fa
    c1 = P_TARGET * COST_MISS - c0
    c2 = P_SPOOF * COST_FALSE_ALARM * (1 - asv.p_miss_spoof)
    if c1 <= 0 or c2 <= 0:
        raise ValueError(
            f"the t-DCF is undefined behind this ASV: C1 is {c1:.6g} and C2 {c2:.6g}; both must be positive"
        )
    return c0, c1, c2


def min_tdcf_2019(bona_fide: ArrayLike, spoof: ArrayLike, asv: AsvErrorRates) -> float:
    """Lowest normalised tandem detection cost in the form of ASVspoof 2019 ("legacy"), in [0, 1].

    The minimum over thresholds of (C1 Pmiss + C2 Pfa) / min(C1, C2), with the costs and priors of the LA condition.

    Args:
        bona_fide: CM scores `(n_bona_fide,)`; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.
        asv: Error rates of the ASV on the same partition.

    Raises:
        ValueError: A class is empty, a score is not finite, or the cost is undefined (see `tdcf_costs`).
    """
    _, c1, c2 = tdcf_costs(asv)
    p_miss, p_fa, _ = det_curve(bona_fide, spoof)
    return float(np.min(c1 * p_miss + c2 * p_fa) / min(c1, c2))


def min_tdcf_2021(bona_fide: ArrayLike, spoof: ArrayLike, asv: AsvErrorRates) -> float:
    """Lowest normalised tandem detection cost in the form of ASVspoof 2021, in (0, 1].

    The minimum over thresholds of (C0 + C1 Pmiss + C2 Pfa) / (C0 + min(C1, C2)). Unlike the form of 2019, it includes
    the cost of the ASV alone, so a perfect countermeasure does not reach 0.

    Args:
        bona_fide: CM scores `(n_bona_fide,)`; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.
        asv: Error rates of the ASV on the same partition.

    Raises:
        ValueError: A class is empty, a score is not finite, or the cost is undefined (see `tdcf_costs`).
    """
    c0, c1, c2 = tdcf_costs(asv)
    p_miss, p_fa, _ = det_curve(bona_fide, spoof)
    return float((c0 + np.min(c1 * p_miss + c2 * p_fa)) / (c0 + min(c1, c2)))


def _scores(kind: str, scores: ArrayLike) -> FloatArray:
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
    positive, negative = np.sort(_scores("bona fide", bona_fide)), np.sort(_scores("spoofed", spoof))
    thresholds = np.append(np.unique(np.concatenate([positive, negative])), np.inf)
    misses = np.searchsorted(positive, thresholds, side="left")
    false_alarms = len(negative) - np.searchsorted(negative, thresholds, side="left")
    return misses, false_alarms, thresholds


def _closest(misses: NDArray[Any], false_alarms: NDArray[Any]) -> NDArray[Any]:
    """Indices of the one or two points where the two rates are closest."""
    # Integers over the common denominator: as floats, equally close points could differ by rounding.
    gap = np.abs(misses * int(false_alarms[0]) - false_alarms * int(misses[-1]))
    return np.flatnonzero(gap == gap.min())
