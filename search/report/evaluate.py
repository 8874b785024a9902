"""Metrics of a score file, for the command line. Needs only NumPy: no torch, no Ray."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.evaluation import metrics, tandem
from core.evaluation.comparison import compare_eer
from core.evaluation.measure import measure, usable_speakers
from core.evaluation.score_file import CmScores, read_asv_scores, read_cm_scores
from core.evaluation.tandem import AsvErrorRates


def evaluate(
    path: Path, *, other: Path | None = None, asv_scores: str | None = None, asv_rates: str | None = None
) -> dict[str, Any]:
    """Metrics of the CM scores in a file: EER, threshold, AUC, EER per attack; min t-DCF if ASV errors are given.

    Args:
        path: Score file with keys. It has four columns, or six; with six the speakers are known.
        other: Score file of another system on the same utterances, to compare with.
        asv_scores: Score file of the ASV system on the same partition, for min t-DCF.
        asv_rates: `la19-dev` or `la19-eval`: known error rates instead of `asv_scores`.

    Returns:
        Plain data: the metrics of `core.evaluation.measure.measure`. With `other` also `compared_with`, `other_eer` and
        `difference`, the EER minus the other EER with a 95 % interval and a p-value over utterances, and
        `difference_speakers`, the same over speakers. All rates are fractions in [0, 1].

    Raises:
        InputError: A file cannot be read, has no keys, or holds only one class; or the two systems did not score the
            same utterances.
    """
    scores = read_cm_scores(path)
    if scores.labels is None:
        raise InputError(f"{path}: the lines have no key (bonafide or spoof); evaluation needs it")
    for key, scores_of_class in (("bonafide", scores.bona_fide), ("spoof", scores.spoof)):
        if not len(scores_of_class):
            raise InputError(f"{path}: no line with the key {key}; both keys are needed")
    paired = _other_scores(path, scores, other) if other else None
    result = {"scores": str(path), **measure(scores, _asv_rates(asv_scores, asv_rates))}
    if set(result.get("eer_per_attack", ())) == {"-"}:
        del result["eer_per_attack"]  # the attack column is there, but no line names an attack
    if paired is not None:
        result["compared_with"] = str(other)
        result["other_eer"] = metrics.eer(paired.bona_fide, paired.spoof)[0]
        speakers, _ = usable_speakers(scores)
        for suffix, units in (("", None), *([("_speakers", speakers)] if speakers is not None else [])):
            comparison = compare_eer(scores.scores, paired.scores, scores.labels, units)
            result[f"difference{suffix}"] = {
                "eer": comparison.difference,
                "interval": [comparison.interval.low, comparison.interval.high],
                "p_value": comparison.p_value,
            }
    return result


def _asv_rates(asv_scores: str | None, asv_rates: str | None) -> AsvErrorRates | None:
    if asv_scores:
        asv = read_asv_scores(Path(asv_scores))
        return tandem.asv_error_rates(asv.target, asv.nontarget, asv.spoof)
    return tandem.LA19_ASV[asv_rates.removeprefix("la19-")] if asv_rates else None


def _other_scores(path: Path, scores: CmScores, other: Path) -> CmScores:
    """Scores of the other system for the utterances in `scores`, in the order of `scores`."""
    second = read_cm_scores(other)
    other_scores = dict(zip(second.utterance_ids.tolist(), second.scores.tolist(), strict=True))
    utterances = scores.utterance_ids.tolist()
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
        keys = dict(zip(second.utterance_ids.tolist(), second.labels.tolist(), strict=True))
        assert scores.labels is not None
        for utterance, label in zip(utterances, scores.labels.tolist(), strict=True):
            if keys[utterance] != label:
                raise InputError(f"{other}: the key of {utterance} differs from the key in {path}")
    return dataclasses.replace(scores, scores=np.array([other_scores[utterance] for utterance in utterances]))
