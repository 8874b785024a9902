"""All metrics of a countermeasure's scores on one partition, for a search, a report, an export or a score file."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation import metrics
from core.evaluation.breakdown import by_attack, by_condition, core_metrics
from core.evaluation.calibration import Calibration
from core.evaluation.detection_cost import ASVSPOOF5, DetectionCosts
from core.evaluation.intervals import checked_speakers, eer_interval
from core.evaluation.score_file import AsvScores, CmScores
from core.evaluation.spoof_aware import t_eer
from core.evaluation.tandem import AsvErrorRates, asv_error_rates, min_tdcf_2019, min_tdcf_2021


def measure(
    scores: CmScores,
    asv: AsvErrorRates | AsvScores | None = None,
    *,
    costs: DetectionCosts = ASVSPOOF5,
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """The metrics of scores whose labels are known, as plain data.

    Args:
        scores: CM scores; both classes are needed.
        asv: Error rates of the ASV on the same utterances, or its scores; None = unknown.
        costs: Prior and costs of the detection costs.
        calibration: Map of the scores to log-likelihood ratios; None = the scores are read as such ratios.

    Returns:
        - `eer` in [0, 1], its `threshold` in score units, `auc` in [0, 1], `n_bona_fide` and `n_spoof`.
        - `eer_interval`: the 95 % interval over utterances as `[low, high]`. If speakers are known, `n_speakers` is
          their number, and `eer_interval_speakers` the interval over them, or `no_interval_speakers` the reason why
          there is none.
        - `min_dcf`, `act_dcf`, `cllr` and `min_cllr`, the latter two in bits; `dcf_costs`, and `calibrated`.
        - `by_attack`, if the attacks are known, and `by_condition`, if conditions are: see `core.evaluation.breakdown`.
          `eer_per_attack` maps attacks to EERs.
        - `min_tdcf_2019` and `min_tdcf_2021`, if `asv` is known, and `t_eer`, if its scores are.

    Raises:
        ValueError: A class is missing, the labels are unknown, or a score is not finite.
    """
    bona_fide, spoof = scores.bona_fide, scores.spoof
    values, labels = np.asarray(scores.scores, np.float64), np.asarray(scores.labels)
    llrs = calibration.llr(values) if calibration else values
    measured = core_metrics(values, llrs, labels, costs)
    measured["threshold"] = metrics.eer(bona_fide, spoof)[1]
    measured |= {"dcf_costs": dataclasses.asdict(costs), "calibrated": calibration is not None}
    interval = eer_interval(values, labels)
    measured["eer_interval"] = [interval.low, interval.high]
    speakers, reason = usable_speakers(scores)
    if speakers is not None or reason:
        measured["n_speakers"] = len(set(np.asarray(scores.speaker_ids).tolist()) - {"-"})
    if speakers is not None:
        interval = eer_interval(values, labels, speakers)
        measured["eer_interval_speakers"] = [interval.low, interval.high]
    elif reason:
        measured["no_interval_speakers"] = reason
    if isinstance(asv, AsvScores):
        measured["t_eer"] = t_eer(bona_fide, spoof, asv.target, asv.nontarget, asv.spoof)
        asv = asv_error_rates(asv.target, asv.nontarget, asv.spoof)
    if asv is not None:
        measured["min_tdcf_2019"] = min_tdcf_2019(bona_fide, spoof, asv)
        measured["min_tdcf_2021"] = min_tdcf_2021(bona_fide, spoof, asv)
    if scores.attack_ids is not None:
        measured["by_attack"] = by_attack(values, llrs, labels, np.asarray(scores.attack_ids), costs)
        measured["eer_per_attack"] = {name: of_attack["eer"] for name, of_attack in measured["by_attack"].items()}
    if scores.conditions:
        measured["by_condition"] = by_condition(values, llrs, labels, scores.conditions, costs)
    return measured


def swapped_sign(measured: Mapping[str, Any]) -> str | None:
    """A warning if spoofed utterances have higher scores than bona fide ones: the AUC is below 0.5; else None.

    Args:
        measured: Metrics as `measure` returns them.
    """
    if measured["auc"] >= 0.5:
        return None
    return (
        f"AUC {measured['auc']:.4f} is below 0.5: spoofed utterances have higher scores than bona fide ones, "
        "as if the sign were swapped; higher must mean more bona fide"
    )


def usable_speakers(scores: CmScores) -> tuple[NDArray[np.str_] | None, str | None]:
    """The speakers `(n_utterances,)`, if an interval over them can be computed; else None and the reason.

    The reason is None too if no speaker is known, since then no interval over speakers is expected.
    """
    if scores.speaker_ids is None or scores.labels is None:
        return None, None
    speakers = np.asarray(scores.speaker_ids)
    n_unknown = int(np.sum(speakers == "-"))
    if n_unknown:
        reason = f"the speakers of {n_unknown} of {len(speakers)} utterances are unknown"
        return None, None if n_unknown == len(speakers) else reason
    try:
        checked_speakers(speakers, np.asarray(scores.labels).astype(np.int64))
    except ValueError as error:
        return None, str(error)
    return speakers, None
