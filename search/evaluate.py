"""Metrics of a score file, for the command line. Needs NumPy alone: no torch, no Ray."""

from pathlib import Path
from typing import Any

import numpy as np

from core import metrics
from core.errors import InputError
from core.score_file import read_asv_scores, read_cm_scores


def evaluate(path: Path, *, asv_scores: str | None = None, asv_rates: str | None = None) -> dict[str, Any]:
    """EER, threshold, AUC, EER per attack and, where the ASV's errors are known, both min t-DCFs of a score file.

    Args:
        path: Score file with keys (four or six columns).
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
    rate, threshold = metrics.eer(bona_fide, spoof)
    result: dict[str, Any] = {
        "scores": str(path),
        "n_bona_fide": len(bona_fide),
        "n_spoof": len(spoof),
        "eer": rate,
        "threshold": threshold,
        "auc": metrics.auc(bona_fide, spoof),
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


def show_evaluation(result: dict[str, Any]) -> str:
    """The result of `evaluate` for people: rates in per cent, every digit that a comparison may need."""
    lines = [
        f"{result['scores']}: {result['n_bona_fide']} bona fide, {result['n_spoof']} spoofed",
        f"EER            {100 * result['eer']:.9f} %   at threshold {result['threshold']:.6g}",
        f"AUC            {result['auc']:.9f}",
    ]
    for year in ("2019", "2021"):
        if f"min_tdcf_{year}" in result:
            lines.append(f"min t-DCF {year} {result[f'min_tdcf_{year}']:.12f}")
    if "min_tdcf_2019" not in result:
        lines.append("min t-DCF      needs the ASV's errors: --asv-scores F, or --asv-rates la19-dev or la19-eval")
    if "eer_per_attack" in result:
        lines.append("EER per attack")
        lines += [f"  {attack:<12} {100 * rate:.3f} %" for attack, rate in result["eer_per_attack"].items()]
    return "\n".join(lines)
