"""The metrics of an epoch on dev, and the value by which the epoch is judged."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import TrainingDiverged
from core.evaluation import metrics
from core.evaluation.detection_cost import min_cllr, min_dcf
from core.evaluation.objectives import OBJECTIVES
from core.evaluation.tandem import AsvErrorRates, min_tdcf_2019

if TYPE_CHECKING:
    from core.stores.store import FeatureStore

TIE_BREAKER = 1e-6
"""Weight of 1 - AUC in an objective.

Error rates change in steps of one utterance, so that epochs and trials tie, mainly if the rates are small. The AUC
changes with every pair of scores. Like an EER and unlike a loss, it does not change under an increasing map of the
scores. The weight is so small that the tie-breaker hardly ever exceeds a step of an error rate.
"""


def dev_metrics(
    cm_scores: NDArray[np.float64], dev: "FeatureStore", epoch: int, asv: AsvErrorRates | None = None
) -> dict[str, float]:
    """The metrics of an epoch on dev: those of OBJECTIVES, and `dev_threshold` in score units.

    Args:
        cm_scores: CM scores of dev, `(n_utterances,)`.
        dev: Features of dev, with labels and attacks.
        epoch: Number of the epoch, for the error.
        asv: Error rates of the ASV on dev; None = unknown, and there is no `dev_min_tdcf`.

    Returns:
        Rates and the AUC are in [0, 1]; `dev_loss` is the mean of both classes' logistic losses, in nats.

    Raises:
        TrainingDiverged: A score is not finite.
    """
    if not np.isfinite(cm_scores).all():
        raise TrainingDiverged(f"a CM score of epoch {epoch} is not finite")
    bona_fide, spoof = cm_scores[dev.labels == 1], cm_scores[dev.labels == 0]
    rate, threshold = metrics.eer(bona_fide, spoof)
    loss = (np.logaddexp(0, -bona_fide).mean() + np.logaddexp(0, spoof).mean()) / 2
    attacks = np.asarray(dev.attack_ids)[dev.labels == 0]
    by_attack = list(metrics.eer_per_attack(bona_fide, spoof, attacks).values())
    return {
        "dev_eer": float(rate),
        "dev_attack_eer": float(np.mean(by_attack)),
        "dev_worst_attack_eer": max(by_attack),
        "dev_min_dcf": min_dcf(bona_fide, spoof),
        "dev_min_cllr": min_cllr(bona_fide, spoof),
        **({} if asv is None else {"dev_min_tdcf": min_tdcf_2019(bona_fide, spoof, asv)}),
        "dev_threshold": float(threshold),
        "dev_auc": float(metrics.auc(bona_fide, spoof)),
        "dev_loss": float(loss),
    }


def judgement(objective: str, measured: Mapping[str, float], prefix: str = "dev_") -> float:
    """The value of an epoch: an objective with its tie-breaker; lower is better.

    Args:
        objective: Key of OBJECTIVES.
        measured: Metrics of the epoch, by name.
        prefix: Prefix of their names, instead of `dev_`.
    """
    name = prefix + objective.removeprefix("dev_")
    return OBJECTIVES[objective].sign * measured[name] + TIE_BREAKER * (1 - measured[f"{prefix}auc"])
