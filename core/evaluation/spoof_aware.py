"""Metrics of speaker verification under spoofing, as ASVspoof 5 (track 2) has them: t-EER and a-DCF."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.evaluation.metrics import FloatArray, checked_scores, det_curve


@dataclass(frozen=True)
class SpoofAwareCosts:
    """Priors and costs of the a-DCF. The defaults are those of ASVspoof 5 (track 2).

    The package `a_dcf` of the metric's authors has others: priors 0.9, 0.05 and 0.05, and a cost of 20 for accepting
    spoofed speech. Values with these and with those cannot be compared.

    Attributes:
        p_target: Prior of the claimed speaker.
        p_nontarget: Prior of other speakers, who do not spoof.
        p_spoof: Prior of spoofed speech.
        miss: Cost of rejecting the claimed speaker.
        false_alarm_nontarget: Cost of accepting another speaker.
        false_alarm_spoof: Cost of accepting spoofed speech.
    """

    p_target: float = 0.9405
    p_nontarget: float = 0.0095
    p_spoof: float = 0.05
    miss: float = 1.0
    false_alarm_nontarget: float = 10.0
    false_alarm_spoof: float = 10.0


def a_dcf(
    target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, costs: SpoofAwareCosts = SpoofAwareCosts()
) -> float:
    """Lowest normalised architecture-agnostic detection cost, in [0, 1] (Shim et al., Odyssey 2024).

    It needs one score per utterance, of the whole system of verification and countermeasure.

    Args:
        target: Scores of the claimed speakers, `(n_target,)`; higher = more like the claimed speaker and bona fide.
        nontarget: Scores of other speakers, `(n_nontarget,)`.
        spoof: Scores of spoofed utterances, `(n_spoof,)`.
        costs: Priors and costs.

    Raises:
        ValueError: One of the three arrays is empty, or a score is not finite.
    """
    p_miss, p_fa_nontarget, p_fa_spoof = _asv_curves(target, nontarget, spoof)
    of_miss = costs.miss * costs.p_target
    of_nontarget = costs.false_alarm_nontarget * costs.p_nontarget
    of_spoof = costs.false_alarm_spoof * costs.p_spoof
    cost = of_miss * p_miss + of_nontarget * p_fa_nontarget + of_spoof * p_fa_spoof
    return float(cost.min() / min(of_miss, of_nontarget + of_spoof))


def t_eer(
    bona_fide: ArrayLike, spoof: ArrayLike, asv_target: ArrayLike, asv_nontarget: ArrayLike, asv_spoof: ArrayLike
) -> float:
    """Concurrent tandem equal error rate in [0, 1] (Kinnunen et al., 2023).

    A tandem accepts an utterance that the countermeasure and the ASV accept, independently of each other. Its rate of
    misses, of false alarms by other speakers and of false alarms by spoofed speech are equal at one pair of thresholds.
    As in the evaluation package of ASVspoof 5, the pairs with equal rates of misses and false alarms are listed, one
    per threshold of the ASV; a false alarm is by another speaker or by spoofed speech with even odds. The value is the
    rate of spoofed speech at the pair where it is nearest to that of other speakers.

    Args:
        bona_fide: CM scores `(n_bona_fide,)`; higher = more bona fide.
        spoof: CM scores of spoofed utterances, `(n_spoof,)`.
        asv_target: ASV scores of the claimed speakers; higher = same speaker.
        asv_nontarget: ASV scores of other speakers, who do not spoof.
        asv_spoof: ASV scores of spoofed utterances.

    Raises:
        ValueError: One of the five arrays is empty, or a score is not finite.
    """
    p_miss, p_fa, _ = det_curve(bona_fide, spoof)
    asv_miss, asv_nontarget_fa, asv_spoof_fa = _asv_curves(asv_target, asv_nontarget, asv_spoof)
    allowed = asv_miss < (asv_nontarget_fa + asv_spoof_fa) / 2  # beyond, the ASV alone misses more than it accepts
    asv_miss, asv_nontarget_fa, asv_spoof_fa = asv_miss[allowed], asv_nontarget_fa[allowed], asv_spoof_fa[allowed]

    def excess(point: NDArray[np.int64]) -> FloatArray:
        """Misses minus false alarms of the tandem, at a point of the CM for every threshold of the ASV."""
        accepted = 1 - p_miss[point]
        misses = p_miss[point] + accepted * asv_miss
        return misses - accepted * asv_nontarget_fa / 2 - p_fa[point] * asv_spoof_fa / 2

    # It rises with the threshold of the CM: halve the range until both ends are neighbours around zero.
    low, high = np.zeros(len(asv_miss), dtype=np.int64), np.full(len(asv_miss), len(p_miss) - 1)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        below = excess(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    chosen = np.where(np.abs(excess(low)) <= np.abs(excess(high)), low, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(asv_nontarget_fa / asv_spoof_fa - p_fa[chosen] / (1 - p_miss[chosen]))
    best = int(np.nanargmin(apart))
    return float(asv_spoof_fa[best] * p_fa[chosen[best]])


def _asv_curves(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Miss rate and both false alarm rates at every different score as threshold, and at infinity."""
    sides = [
        np.sort(checked_scores(kind, side))
        for kind, side in (("target", target), ("non-target", nontarget), ("spoofed", spoof))
    ]
    thresholds = np.append(np.unique(np.concatenate(sides)), np.inf)
    below = [np.searchsorted(side, thresholds, side="left") / len(side) for side in sides]
    return below[0], 1 - below[1], 1 - below[2]
