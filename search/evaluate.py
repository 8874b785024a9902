"""Metrics of a score file, for the command line. Needs NumPy alone: no torch, no Ray."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import metrics
from core.errors import InputError
from core.score_file import CmScores, read_asv_scores, read_cm_scores
from core.uncertainty import compare_eer, eer_interval


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
    bona_fide, spoof = scores.scores[scores.labels == 1], scores.scores[scores.labels == 0]
    for name, side in (("bonafide", bona_fide), ("spoof", spoof)):
        if not len(side):
            raise InputError(f"{path}: no line with the key {name}; both keys are needed")
    paired = _matched(path, scores, other) if other else None
    rate, threshold = metrics.eer(bona_fide, spoof)
    result: dict[str, Any] = {
        "scores": str(path),
        "n_bona_fide": len(bona_fide),
        "n_spoof": len(spoof),
        "eer": rate,
        "threshold": threshold,
        "auc": metrics.auc(bona_fide, spoof),
    }
    with ThreadPoolExecutor() as pool:  # NumPy lets go of the interpreter: one does not wait for the other
        intervals = {
            key: pool.submit(eer_interval, scores.scores, scores.labels, speakers)
            for key, speakers in _groupings(scores)
        }
        for key, each in intervals.items():
            result[f"eer_interval{key}"] = [each.result().low, each.result().high]
    if paired is not None:
        result["compared_with"] = str(other)
        result["other_eer"] = metrics.eer(paired[scores.labels == 1], paired[scores.labels == 0])[0]
        for key, speakers in _groupings(scores):
            compared = compare_eer(scores.scores, paired, scores.labels, speakers)
            result[f"difference{key}"] = {
                "eer": compared.difference,
                "interval": [compared.interval.low, compared.interval.high],
                "p_value": compared.p_value,
            }
    if asv_scores or asv_rates:
        if asv_scores:
            asv = read_asv_scores(Path(asv_scores))
            rates = metrics.asv_error_rates(asv.target, asv.nontarget, asv.spoof)
        else:
            rates = metrics.LA19_ASV[str(asv_rates).removeprefix("la19-")]
        result["min_tdcf_2019"] = metrics.min_tdcf_2019(bona_fide, spoof, rates)
        result["min_tdcf_2021"] = metrics.min_tdcf_2021(bona_fide, spoof, rates)
    if scores.attack_ids is not None:
        attacks = np.asarray(scores.attack_ids)[scores.labels == 0]
        if set(attacks) != {"-"}:
            result["eer_per_attack"] = metrics.eer_per_attack(bona_fide, spoof, attacks)
    return result


def _groupings(scores: CmScores) -> list[tuple[str, NDArray[np.str_] | None]]:
    """What the bootstrap resamples: utterances, and speakers where two or more are known."""
    speakers = scores.speaker_ids
    known = speakers is not None and "-" not in speakers and len(np.unique(speakers)) > 1
    return [("", None), *([("_speakers", speakers)] if known else [])]


def _matched(path: Path, scores: CmScores, other: Path) -> NDArray[np.float64]:
    """Scores of another system in the order of the first."""
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
    return np.array([theirs[each] for each in ours])


def show_evaluation(result: dict[str, Any]) -> str:
    """The result of `evaluate` for people: rates in per cent, every digit that a comparison may need."""
    lines = [
        f"{result['scores']}: {result['n_bona_fide']} bona fide, {result['n_spoof']} spoofed",
        f"EER            {100 * result['eer']:.9f} %   at threshold {result['threshold']:.6g}",
        *(
            f"  95 % interval {100 * result[key][0]:.3f} to {100 * result[key][1]:.3f} %   over {what}"
            for key, what in (("eer_interval", "utterances"), ("eer_interval_speakers", "speakers"))
            if key in result
        ),
        f"AUC            {result['auc']:.9f}",
    ]
    if "compared_with" in result:
        lines.append(f"{result['compared_with']}: EER {100 * result['other_eer']:.9f} %")
        for key, what in (("difference", "utterances"), ("difference_speakers", "speakers")):
            if key in result:
                low, high = (100 * end for end in result[key]["interval"])
                lines.append(
                    f"  difference {100 * result[key]['eer']:+.3f} points, 95 % {low:+.3f} to {high:+.3f}, "
                    f"p = {result[key]['p_value']:.3f}   paired, over {what}"
                )
    for year in ("2019", "2021"):
        if f"min_tdcf_{year}" in result:
            lines.append(f"min t-DCF {year} {result[f'min_tdcf_{year}']:.12f}")
    if "min_tdcf_2019" not in result:
        lines.append("min t-DCF      needs the ASV's errors: --asv-scores F, or --asv-rates la19-dev or la19-eval")
    if "eer_per_attack" in result:
        lines.append("EER per attack")
        lines += [f"  {attack:<12} {100 * rate:.3f} %" for attack, rate in result["eer_per_attack"].items()]
    return "\n".join(lines)
