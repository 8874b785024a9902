"""All metrics of a countermeasure's scores on one partition, for a search, a report, an export or a score file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation import metrics, tandem
from core.evaluation.intervals import checked_speakers, eer_interval
from core.evaluation.score_file import CmScores
from core.evaluation.tandem import AsvErrorRates


def measure(scores: CmScores, asv: AsvErrorRates | None = None) -> dict[str, Any]:
    """The metrics of scores whose labels are known, as plain data.

    Args:
        scores: CM scores; both classes are needed.
        asv: Error rates of the ASV on the same utterances; None = unknown.

    Returns:
        `eer` in [0, 1], its `threshold` in score units, `auc` in [0, 1], `n_bona_fide` and `n_spoof`. `eer_interval` is
        the 95 % interval over utterances as `[low, high]`. If speakers are known, `n_speakers` is their number, and
        `eer_interval_speakers` the interval over them, or `no_interval_speakers` the reason why there is none.
        `eer_per_attack` maps attacks to rates, if the attacks are known. `min_tdcf_2019` and `min_tdcf_2021` are in
        [0, 1], if `asv` is known.

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
    interval = eer_interval(scores.scores, scores.labels)
    measured["eer_interval"] = [interval.low, interval.high]
    speakers, reason = usable_speakers(scores)
    if speakers is not None or reason:
        measured["n_speakers"] = len(set(np.asarray(scores.speaker_ids).tolist()) - {"-"})
    if speakers is not None:
        interval = eer_interval(scores.scores, scores.labels, speakers)
        measured["eer_interval_speakers"] = [interval.low, interval.high]
    elif reason:
        measured["no_interval_speakers"] = reason
    if asv is not None:
        measured["min_tdcf_2019"] = tandem.min_tdcf_2019(bona_fide, spoof, asv)
        measured["min_tdcf_2021"] = tandem.min_tdcf_2021(bona_fide, spoof, asv)
    if scores.attack_ids is not None:
        attacks = np.asarray(scores.attack_ids)[scores.labels == 0]
        measured["eer_per_attack"] = metrics.eer_per_attack(bona_fide, spoof, attacks)
    return measured


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
