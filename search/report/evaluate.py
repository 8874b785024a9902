"""Metrics of a score file, for the command line. Needs NumPy alone: no torch, no Ray."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.evaluation import metrics
from core.evaluation.bootstrap import compare_eer
from core.evaluation.measure import measure, resampled
from core.evaluation.metrics import AsvErrorRates
from core.evaluation.score_file import CmScores, read_asv_scores, read_cm_scores


def evaluate(
    path: Path, *, other: Path | None = None, asv_scores: str | None = None, asv_rates: str | None = None
) -> dict[str, Any]:
    """EER with its 95 % intervals, threshold, AUC, EER per attack and, with an ASV's errors, both min t-DCFs.

    Args:
        path: Score file with keys (four or six columns; with six the speakers are known).
        other: Score file of another system on the same utterances, to compare with.
        asv_scores: Score file of the ASV system on the same partition.
        asv_rates: `la19-dev` or `la19-eval`, instead of such a file.

    Returns:
        Plain data; rates are fractions.

    Raises:
        InputError: a file cannot be read, or holds one class alone.
    """
    scores = read_cm_scores(path)
    if scores.labels is None:
        raise InputError(f"{path}: its lines have no key (bonafide or spoof); without it nothing can be evaluated")
    for key, side in (("bonafide", scores.bona_fide), ("spoof", scores.spoof)):
        if not len(side):
            raise InputError(f"{path}: no line with the key {key}; both keys are needed")
    paired = _matched(path, scores, other) if other else None
    result = {"scores": str(path), **measure(scores, _asv_rates(asv_scores, asv_rates))}
    if set(result.get("eer_per_attack", ())) == {"-"}:
        del result["eer_per_attack"]  # the file has the column and names no attack
    if paired is not None:
        result["compared_with"] = str(other)
        result["other_eer"] = metrics.eer(paired.bona_fide, paired.spoof)[0]
        for ending, speakers in resampled(scores):
            compared = compare_eer(scores.scores, paired.scores, scores.labels, speakers)
            result[f"difference{ending}"] = {
                "eer": compared.difference,
                "interval": [compared.interval.low, compared.interval.high],
                "p_value": compared.p_value,
            }
    return result


def _asv_rates(asv_scores: str | None, asv_rates: str | None) -> AsvErrorRates | None:
    if asv_scores:
        asv = read_asv_scores(Path(asv_scores))
        return metrics.asv_error_rates(asv.target, asv.nontarget, asv.spoof)
    return metrics.LA19_ASV[asv_rates.removeprefix("la19-")] if asv_rates else None


def _matched(path: Path, scores: CmScores, other: Path) -> CmScores:
    """The utterances of the first system with the scores of another one."""
    second = read_cm_scores(other)
    theirs = dict(zip(second.utterance_ids.tolist(), second.scores.tolist(), strict=True))
    ours = scores.utterance_ids.tolist()
    problems = []
    for file, missing in (
        (other, [each for each in ours if each not in theirs]),
        (path, sorted(set(theirs) - set(ours))),
    ):
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            problems.append(f"{file}: no score of {', '.join(missing[:3])}{more}; both files need the same utterances")
    if problems:
        raise InputError(problems)
    if second.labels is not None:
        keys = dict(zip(second.utterance_ids.tolist(), second.labels.tolist(), strict=True))
        assert scores.labels is not None
        for utterance, label in zip(ours, scores.labels.tolist(), strict=True):
            if keys[utterance] != label:
                raise InputError(f"{other}: {utterance} has another key than in {path}")
    return dataclasses.replace(scores, scores=np.array([theirs[utterance] for utterance in ours]))
