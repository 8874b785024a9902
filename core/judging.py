"""The metrics by which a search judges an epoch, and which of them may choose."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from core import metrics
from core.errors import TrainingDiverged

if TYPE_CHECKING:
    from core.features.store import FeatureStore


@dataclass(frozen=True)
class Metric:
    """A metric that may choose the best epoch and rank trials.

    Attributes:
        name: Its name among the metrics of an epoch, such as `dev_eer`.
        sign: 1 where lower is better, -1 where higher is: what makes an objective of its value.
        unit: `%` where people read it in per cent, else empty.
        chance: Its value for a detector that knows nothing.
    """

    name: str
    sign: Literal[1, -1]
    unit: Literal["%", ""]
    chance: float

    @property
    def folded(self) -> str:
        """The name of its mean over the folds of a search, such as `fold_eer`."""
        return "fold_" + self.name.removeprefix("dev_")

    @property
    def scale(self) -> float:
        """The factor from an objective (lower is better) to what people read: per cent, with the metric's own sign."""
        return self.sign * (100.0 if self.unit else 1.0)

    @property
    def label(self) -> str:
        """Its name with its unit, for an axis."""
        return f"{self.name}, %" if self.unit else self.name

    def describe(self, objective: float) -> str:
        """An objective as people read it, such as `12.50 %`: per cent for a rate, its own sign; `-` if not finite."""
        if not math.isfinite(objective):
            return "-"
        # Two decimals of a rate in per cent hide the tie-breaker.
        return f"{self.scale * objective:.2f} %" if self.unit else f"{self.scale * objective:.4f}"


OBJECTIVES = {
    metric.name: metric
    for metric in (
        Metric("dev_eer", 1, "%", 0.5),
        Metric("dev_attack_eer", 1, "%", 0.5),
        Metric("dev_worst_attack_eer", 1, "%", 0.5),
        Metric("dev_min_tdcf", 1, "", 1.0),
        Metric("dev_auc", -1, "", 0.5),
        Metric("dev_loss", 1, "", math.log(2)),
    )
}
"""Metrics that may choose the best epoch, by name.

`dev_eer` is of all attacks pooled, `dev_attack_eer` the mean over attacks, each against all bona fide speech, and
`dev_worst_attack_eer` the largest of them; `dev_min_tdcf` is the form of 2019 behind the ASV of ASVspoof 2019 LA's dev.
"""

METRICS = {**OBJECTIVES, **{m.folded: replace(m, name=m.folded) for m in OBJECTIVES.values()}}
"""The metrics of OBJECTIVES and their means over the folds of a search: all that may rank trials, by name."""

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
