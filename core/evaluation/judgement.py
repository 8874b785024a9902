"""The metrics of an epoch on dev, and what the epoch is worth."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import TrainingDiverged
from core.evaluation import metrics
from core.evaluation.objectives import OBJECTIVES

if TYPE_CHECKING:
    from core.stores.store import FeatureStore

TIE_BREAKER = 1e-6
"""Weight of 1 - AUC in an objective. Error rates move in steps of an utterance, so that epochs and trials tie, above
all where they are small. The area under the curve moves with every pair of scores, and like an EER it is the same under
any increasing map of the scores, which a loss is not. So small a weight hardly ever outdoes a step of an error rate."""


def dev_metrics(cm_scores: NDArray[np.float64], dev: "FeatureStore", epoch: int) -> dict[str, float]:
    """The metrics that judge an epoch, of the CM scores `(n_utterances,)` of dev.

    Raises:
        TrainingDiverged: a score is not finite.
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
        "dev_min_tdcf": metrics.min_tdcf_2019(bona_fide, spoof, metrics.LA19_ASV["dev"]),
        "dev_threshold": float(threshold),
        "dev_auc": float(metrics.auc(bona_fide, spoof)),
        "dev_loss": float(loss),
    }


def judgement(objective: str, measured: Mapping[str, float], prefix: str = "dev_") -> float:
    """What an epoch is worth, lower is better: an objective with its tie-breaker.

    Args:
        objective: Key of OBJECTIVES.
        measured: Metrics of the epoch.
        prefix: What stands in their names for `dev_`.
    """
    name = prefix + objective.removeprefix("dev_")
    return OBJECTIVES[objective].sign * measured[name] + TIE_BREAKER * (1 - measured[f"{prefix}auc"])
