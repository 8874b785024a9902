"""OBJECTIVES: the metrics that can select the best epoch and rank trials. Importing this module loads no NumPy."""

import math
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A metric that can select the best epoch and rank trials.

    Attributes:
        name: Name among the metrics of an epoch, such as `dev_eer`.
        sign: 1 = lower is better, -1 = higher is better. The objective is the sign times the value.
        unit: `%` if it is shown in per cent, else empty.
        chance: Value of a detector whose scores carry no information.
    """

    name: str
    sign: Literal[1, -1]
    unit: Literal["%", ""]
    chance: float

    @property
    def folded(self) -> str:
        """Name of the metric's mean over the folds of a search, such as `fold_eer`."""
        return "fold_" + self.name.removeprefix("dev_")

    @property
    def scale(self) -> float:
        """Factor from an objective (lower is better) to the displayed value, in the metric's unit and with its sign."""
        return self.sign * (100.0 if self.unit else 1.0)

    @property
    def label(self) -> str:
        """Name with unit, for an axis."""
        return f"{self.name}, %" if self.unit else self.name

    def describe(self, objective: float) -> str:
        """An objective as text, such as `12.50 %`: in the metric's unit, with its own sign; `-` if not finite."""
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
        Metric("dev_min_dcf", 1, "", 1.0),
        Metric("dev_min_cllr", 1, "", 1.0),
        Metric("dev_min_tdcf", 1, "", 1.0),
        Metric("dev_auc", -1, "", 0.5),
        Metric("dev_loss", 1, "", math.log(2)),
    )
}
"""Metrics that can select the best epoch, by name.

`dev_eer` is the EER of all attacks pooled. `dev_attack_eer` is the mean of the EERs of the single attacks against all
bona fide speech, and `dev_worst_attack_eer` the largest of them. `dev_min_dcf` has the
prior and costs of ASVspoof 5. `dev_min_cllr` is the cost of the log-likelihood ratios after the best increasing map, in
bits; `dev_loss` over ln 2 is that of the scores as they are. `dev_min_tdcf` is the form of 2019 behind the corpus's own
ASV, so the corpus needs ASV scores of dev.
"""

METRICS = {**OBJECTIVES, **{metric.folded: replace(metric, name=metric.folded) for metric in OBJECTIVES.values()}}
"""All metrics that can rank trials, by name: those of OBJECTIVES and their means over the folds of a search."""
