"""The metrics that may choose the best epoch and rank trials. Plain data: importing it loads no NumPy."""

import math
from dataclasses import dataclass, replace
from typing import Literal


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
