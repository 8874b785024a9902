"""Measures the scores of a countermeasure on one partition, for a search, a report, an export or a score file."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation import metrics
from core.evaluation.bootstrap import eer_interval
from core.evaluation.metrics import AsvErrorRates
from core.evaluation.score_file import CmScores


def measure(scores: CmScores, asv: AsvErrorRates | None = None) -> dict[str, Any]:
    """The metrics of scores whose labels are known, as plain data.

    Args:
        scores: CM scores; both classes are needed.
        asv: Error rates of the ASV on the same utterances; None = they are not known.

    Returns:
        `eer` in [0, 1], its `threshold` in score units, `auc` in [0, 1], `n_bona_fide` and `n_spoof`. `eer_interval` is
        the 95 % interval over utterances as `[low, high]`. `eer_interval_speakers` is the one over speakers, where two
        or more are known. `eer_per_attack` maps attacks to rates, where the attacks are known. `min_tdcf_2019` and
        `min_tdcf_2021` are in [0, 1], where `asv` is known.

    Raises:
        ValueError: a class is missing, the labels are not known, or a score is not finite.
    """
    bona_fide, spoof = scores.bona_fide, scores.spoof
    rate, threshold = metrics.eer(bona_fide, spoof)
    found: dict[str, Any] = {
        "eer": rate,
        "threshold": threshold,
        "auc": metrics.auc(bona_fide, spoof),
        "n_bona_fide": len(bona_fide),
        "n_spoof": len(spoof),
    }
    assert scores.labels is not None
    with ThreadPoolExecutor() as pool:  # NumPy lets go of the interpreter: one does not wait for the other
        intervals = {
            f"eer_interval{key}": pool.submit(eer_interval, scores.scores, scores.labels, speakers)
            for key, speakers in resampled(scores)
        }
        for name, interval in intervals.items():
            found[name] = [interval.result().low, interval.result().high]
    if asv is not None:
        found["min_tdcf_2019"] = metrics.min_tdcf_2019(bona_fide, spoof, asv)
        found["min_tdcf_2021"] = metrics.min_tdcf_2021(bona_fide, spoof, asv)
    if scores.attack_ids is not None:
        attacks = np.asarray(scores.attack_ids)[scores.labels == 0]
        found["eer_per_attack"] = metrics.eer_per_attack(bona_fide, spoof, attacks)
    return found


def resampled(scores: CmScores) -> list[tuple[str, NDArray[np.str_] | None]]:
    """What the bootstrap resamples, as the ending of a metric's name and the speakers.

    Utterances (no ending, None) come first. Speakers (`_speakers`) follow where every utterance has one and there are
    at least two of them.
    """
    speakers = None if scores.speaker_ids is None else np.asarray(scores.speaker_ids)
    known = speakers is not None and "-" not in speakers and len(np.unique(speakers)) > 1
    return [("", None), *([("_speakers", speakers)] if known else [])]
