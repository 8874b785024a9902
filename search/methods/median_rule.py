"""Ray's median stopping rule, which also tolerates failed trials and can be restored when a search is resumed."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from ray.tune.schedulers import MedianStoppingRule

from search.methods.ray_internals import forget_stopped, median_reports


class MedianRule(MedianStoppingRule):
    """Ray's rule with two additions: failed trials and resumption.

    The last report of a failed trial has no epoch. Ray's rule would keep that report and raise an error at its next
    decision, so this class drops it.

    When a search is resumed, `replay_report` and `replay_end` restore the state of the rule from the record of the
    run. `adopt` then connects the reports of an unfinished trial with the trial that continues it.
    """

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

    def replay_report(self, number: int, epoch: int, objective: float) -> bool:
        """Replays a report from before the search was interrupted.

        Args:
            number: Number of the trial.
            epoch: Epoch of the report, from 1.
            objective: Value of the report, lower is better.

        Returns:
            Whether the rule stops the trial at this report.
        """
        no_live_trials: Any = SimpleNamespace(get_live_trials=list)
        former: Any = _Former(number)
        report = {self._epoch_key: epoch, self._objective_key: objective}
        decision = self.on_trial_result(no_live_trials, former, report)
        forget_stopped(self, former)
        return bool(decision == self.STOP)

    def replay_end(self, number: int) -> None:
        """Replays the end of a trial from before the search was interrupted."""
        former: Any = _Former(number)
        reports = median_reports(self)
        if former in reports:
            self.on_trial_complete(None, former, reports[former][-1])

    def adopt(self, number: int, trial_id: str) -> None:
        """Connects an unfinished trial with the trial that continues it.

        Must be called before Ray Tune adds the new trial.

        Args:
            number: Number of the unfinished trial.
            trial_id: Ray's identifier of the trial that continues it.
        """
        self._former[trial_id] = _Former(number)


class _Former(NamedTuple):
    """Stands for a trial from before the interruption, among the trial objects of Ray Tune."""

    number: int

    @property
    def trial_id(self) -> str:
        """Name of the trial in Ray's log."""
        return f"trial {self.number} of an earlier part"
