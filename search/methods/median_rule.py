"""Ray's median stopping rule, mended where trials fail and able to go on after a search was cut off."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from ray.tune.schedulers import MedianStoppingRule

from search.methods.ray_internals import forget_stopped, median_reports


class MedianRule(MedianStoppingRule):
    """What Ray's rule does, but for trials that fail: it would keep their last report, which has no epoch, and
    stumble over it at the next judgement."""

    def __init__(self, *, time_attr: str, metric: str, **options: Any) -> None:
        super().__init__(time_attr=time_attr, metric=metric, **options)
        self._epoch_key, self._objective_key = time_attr, metric
        self._former: dict[str, _Former] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        former, reports = self._former.pop(trial.trial_id, None), median_reports(self)
        if former in reports:
            reports[trial] = reports.pop(former)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> None:
        if self._epoch_key in result:
            super().on_trial_complete(tune_controller, trial, dict(result))

    def heard(self, number: int, epoch: int, objective: float) -> bool:
        """Takes a report of an earlier part of the search; returns whether it ends the trial."""
        nobody_waits: Any = SimpleNamespace(get_live_trials=list)
        former: Any = _Former(number)
        report = {self._epoch_key: epoch, self._objective_key: objective}
        decision = self.on_trial_result(nobody_waits, former, report)
        forget_stopped(self, former)
        return bool(decision == self.STOP)

    def ended(self, number: int) -> None:
        """Takes the end of a trial of an earlier part of the search."""
        former: Any = _Former(number)
        reports = median_reports(self)
        if former in reports:
            self.on_trial_complete(None, former, reports[former][-1])

    def adopt(self, number: int, trial_id: str) -> None:
        """Names the trial of this part that goes on with one of an earlier part; it is added after this."""
        self._former[trial_id] = _Former(number)


class _Former(NamedTuple):
    """A trial of an earlier part, beside Tune's own."""

    number: int

    @property
    def trial_id(self) -> str:
        """What Ray's log calls it."""
        return f"trial {self.number} of an earlier part"
