"""All metrics of a countermeasure's scores on one partition, for a search, a report, an export or a score file."""

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
        asv: Error rates of the ASV on the same utterances; None = unknown.

    Returns:
        `eer` in [0, 1], its `threshold` in score units, `auc` in [0, 1], `n_bona_fide` and `n_spoof`. `eer_interval` is
        the 95 % interval over utterances as `[low, high]`. `eer_interval_speakers` is the one over speakers, if two
        or more are known. `eer_per_attack` maps attacks to rates, if the attacks are known. `min_tdcf_2019` and
        `min_tdcf_2021` are in [0, 1], if `asv` is known.

    Raises:
        ValueError: A class is missing, the labels are unknown, or a score is not finite.
    """
    bona_fide, spoof = scores.bona_fide, scores.spoof
    rate, threshold = metrics.eer(bona_fide, spoof)
    measured: dict[str, Any] = {
        "eer": rate,
        "threshold": threshold,
        "auc": metrics.auc(bona_fide, spoof),
        "n_bona_fide": len(bona_fide),
        "n_spoof": len(spoof),
    }
    assert scores.labels is not None
    with ThreadPoolExecutor() as pool:  # NumPy releases the interpreter lock, so both intervals run in parallel
        intervals = {
            f"eer_interval{key}": pool.submit(eer_interval, scores.scores, scores.labels, speakers)
            for key, speakers in resampled(scores)
        }
        for name, interval in intervals.items():
            measured[name] = [interval.result().low, interval.result().high]
    if asv is not None:
        measured["min_tdcf_2019"] = metrics.min_tdcf_2019(bona_fide, spoof, asv)
        measured["min_tdcf_2021"] = metrics.min_tdcf_2021(bona_fide, spoof, asv)
    if scores.attack_ids is not None:
        attacks = np.asarray(scores.attack_ids)[scores.labels == 0]
        measured["eer_per_attack"] = metrics.eer_per_attack(bona_fide, spoof, attacks)
    return measured


def resampled(scores: CmScores) -> list[tuple[str, NDArray[np.str_] | None]]:
    """The units that the bootstrap resamples, as pairs: the suffix of a metric's name, and the speakers.

    Utterances (no suffix, None) come first. Speakers (`_speakers`) follow if every utterance has one and there are at
    least two.
    """
    speakers = None if scores.speaker_ids is None else np.asarray(scores.speaker_ids)
    known = speakers is not None and "-" not in speakers and len(np.unique(speakers)) > 1
    return [("", None), *([("_speakers", speakers)] if known else [])]
