"""Metrics of a score file, for the command line. Needs NumPy and SciPy: no torch, no Ray."""

import dataclasses
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.evaluation import metrics
from core.evaluation.calibration import Calibration, fit_calibration
from core.evaluation.comparison import compare_eer
from core.evaluation.detection_cost import ASVSPOOF5, DetectionCosts
from core.evaluation.key_file import read_keys, with_keys
from core.evaluation.measure import measure, swapped_sign, usable_speakers
from core.evaluation.score_file import AsvScores, CmScores, numbered_cm_scores, read_asv_scores, read_cm_scores
from core.evaluation.spoof_aware import a_dcf
from core.evaluation.tandem import KNOWN_ASV, AsvErrorRates, foreign_attacks


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What to compute from a score file besides the metrics of the countermeasure.

    Attributes:
        keys: Protocol or key file, for scores without keys.
        phase: Phase of ASVspoof 2021 that is evaluated with `keys`; `all` for all phases.
        partial: Whether `keys` may list utterances without a score.
        other: Score file of another system on the same utterances, to compare with.
        negate: Whether the sign of the scores is turned.
        negate_other: Whether the sign of the other system's scores is turned.
        asv_scores: Score file of the ASV system on the same partition, for min t-DCF and t-EER.
        asv_rates: Known error rates instead of `asv_scores`: one of `core.evaluation.tandem.KNOWN_ASV`.
        joint_scores: Score file of the whole system of ASV and countermeasure, for a-DCF.
        calibrate_on: Score file of the same system on dev: the scores become log-likelihood ratios.
        costs: Prior and costs of the detection costs.
    """

    keys: Path | None = None
    phase: str = "eval"
    partial: bool = False
    other: Path | None = None
    negate: bool = False
    negate_other: bool = False
    asv_scores: Path | None = None
    asv_rates: str | None = None
    joint_scores: Path | None = None
    calibrate_on: Path | None = None
    costs: DetectionCosts = ASVSPOOF5


def evaluate(path: Path, options: Evaluation = Evaluation()) -> dict[str, Any]:
    """Metrics of the CM scores in a file.

    Args:
        path: Score file, with keys or with `keys` in the options.
        options: What else to compute.

    Returns:
        Plain data: the metrics of `core.evaluation.measure.measure`, and `warnings`. With `joint_scores` also `a_dcf`,
        with `calibrate_on` `calibration`. With `other` also `compared_with`, `other_eer` and `difference`, the EER
        minus the other EER with a 95 % interval and a p-value over utterances, and `difference_speakers`, the same over
        speakers. All rates are fractions in [0, 1].

    Raises:
        InputError: A file cannot be read, has no keys, or holds only one class; the two systems did not score the same
            utterances; or the ASV scores belong to other attacks.
    """
    scores, remarks = _keyed_scores(path, options, negate=options.negate)
    paired = None
    if options.other:
        paired = _other_scores(path, scores, options)
    calibration = _calibration(options) if options.calibrate_on else None
    asv = _asv(path, scores, options)
    measured = measure(scores, asv, costs=options.costs, calibration=calibration)
    result: dict[str, Any] = {"scores": str(path), **measured}
    warning = swapped_sign(result)
    result["warnings"] = [f"{path}: {warning}; {_hint('--negate', options.negate)}"] if warning else []
    result["warnings"] += remarks
    if set(result.get("eer_per_attack", ())) == {"-"}:
        del result["eer_per_attack"], result["by_attack"]  # the column is there, but no line names an attack
    if calibration:
        result["calibration"] = {**dataclasses.asdict(calibration), "fitted_on": str(options.calibrate_on)}
    if options.joint_scores:
        joint = read_asv_scores(options.joint_scores)
        result["a_dcf"] = a_dcf(joint.target, joint.nontarget, joint.spoof)
    if paired is not None:
        result["compared_with"] = str(options.other)
        result["other_eer"] = metrics.eer(paired.bona_fide, paired.spoof)[0]
        warning = swapped_sign({"auc": metrics.auc(paired.bona_fide, paired.spoof)})
        if warning:
            result["warnings"].append(f"{options.other}: {warning}; {_hint('--negate-other', options.negate_other)}")
        speakers, _ = usable_speakers(scores)
        for suffix, units in (("", None), *([("_speakers", speakers)] if speakers is not None else [])):
            assert scores.labels is not None
            comparison = compare_eer(scores.scores, paired.scores, scores.labels, units)
            result[f"difference{suffix}"] = {
                "eer": comparison.difference,
                "interval": [comparison.interval.low, comparison.interval.high],
                "p_value": comparison.p_value,
            }
    return result


def _hint(option: str, used: bool) -> str:
    return f"leave out {option}" if used else f"{option} turns it"


def _keyed_scores(path: Path, options: Evaluation, *, negate: bool = False) -> tuple[CmScores, list[str]]:
    """CM scores of both classes, with keys, and remarks on utterances that were left out."""
    scores, numbers = numbered_cm_scores(path)
    remarks: list[str] = []
    if options.keys:
        keys = read_keys(options.keys)
        scores, remarks = with_keys(
            scores, numbers, path, keys, options.keys, phase=options.phase, partial=options.partial
        )
    if scores.labels is None:
        raise InputError(
            f"{path}: the lines have no key (bonafide or spoof); evaluation needs it: --keys FILE names a protocol, "
            "such as trial_metadata.txt"
        )
    place = options.keys or path
    for key, scores_of_class in (("bonafide", scores.bona_fide), ("spoof", scores.spoof)):
        if not len(scores_of_class):
            raise InputError(f"{place}: no line with the key {key}; both keys are needed")
    return (dataclasses.replace(scores, scores=-scores.scores) if negate else scores), remarks


def _calibration(options: Evaluation) -> Calibration:
    assert options.calibrate_on is not None
    # The keys may list several partitions, and dev needs them only if its scores have no keys.
    own_keys = read_cm_scores(options.calibrate_on).labels is not None
    of_dev = Evaluation() if own_keys else Evaluation(keys=options.keys, phase="all", partial=True)
    dev, _ = _keyed_scores(options.calibrate_on, of_dev, negate=options.negate)
    try:
        return fit_calibration(dev.bona_fide, dev.spoof)
    except ValueError as error:
        raise InputError(f"{options.calibrate_on}: no calibration: {error}") from error


def _asv(path: Path, scores: CmScores, options: Evaluation) -> AsvErrorRates | AsvScores | None:
    """The ASV's scores or its error rates, for the attacks of the CM scores."""
    attacks = set() if scores.attack_ids is None else set(scores.attack_ids[scores.labels == 0].tolist())
    if options.asv_scores:
        asv = read_asv_scores(options.asv_scores)
        reason = foreign_attacks(asv.attacks, attacks)
        if reason:
            raise InputError(f"{options.asv_scores}: does not belong to {path}: {reason}")
        return asv
    if options.asv_rates:
        known = KNOWN_ASV[options.asv_rates]
        foreign = sorted(attacks - {"-"} - known.attacks)
        if foreign:
            raise InputError(
                f"--asv-rates {options.asv_rates}: {path} has the attack {foreign[0]}; {known.partition} "
                f"has {min(known.attacks)} to {max(known.attacks)}. Give the ASV scores of these utterances: "
                "--asv-scores FILE"
            )
        return known.rates
    return None


def _other_scores(path: Path, scores: CmScores, options: Evaluation) -> CmScores:
    """Scores of the other system for the utterances in `scores`, in the order of `scores`."""
    other = options.other
    assert other is not None
    if options.keys:
        second, _ = _keyed_scores(other, options)
    else:
        second = read_cm_scores(other)
    second = dataclasses.replace(second, scores=-second.scores) if options.negate_other else second
    others = [unicodedata.normalize("NFC", name) for name in second.utterance_ids.tolist()]
    other_scores = dict(zip(others, second.scores.tolist(), strict=True))
    utterances = [unicodedata.normalize("NFC", name) for name in scores.utterance_ids.tolist()]
    problems = []
    for file, missing in (
        (other, [utterance for utterance in utterances if utterance not in other_scores]),
        (path, sorted(set(other_scores) - set(utterances))),
    ):
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            problems.append(f"{file}: no score for {', '.join(missing[:3])}{more}; both files need the same utterances")
    if problems:
        raise InputError(problems)
    if second.labels is not None:
        keys = dict(zip(others, second.labels.tolist(), strict=True))
        assert scores.labels is not None
        for utterance, label in zip(utterances, scores.labels.tolist(), strict=True):
            if keys[utterance] != label:
                raise InputError(f"{other}: the key of {utterance} differs from the key in {path}")
    return dataclasses.replace(scores, scores=np.array([other_scores[utterance] for utterance in utterances]))
