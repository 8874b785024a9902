"""Decisions that depend on the numbers of trials and on seeds only, whatever the number of workers and their speed.

With a lag of L, everything that is decided about trial n follows from the trials up to n - L, all of which have ended:
its configuration, and the epoch at which it is stopped. The trials between them and n count as running. So a search
repeats itself with one worker or with L of them, and after every interruption.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from search.runs.journal import Journal, TrialRecord
from search.space.space import Space
from search.tuning.replay import adapter_of


class LaggedSearcher(Searcher):
    """Suggests what another searcher would suggest if it knew only the trials up to n - lag."""

    def __init__(
        self,
        space: Space,
        lag: int,
        searcher_of: Callable[..., Searcher],
        journal: Journal,
        *,
        unfinished: Sequence[TrialRecord] = (),
        on_resumed: Callable[[int, str], None] = lambda number, trial_id: None,
        max_running: Callable[[], int] | None = None,
    ) -> None:
        """A searcher for a new or a resumed search.

        Args:
            space: Space of the search.
            lag: Number of trials that trial n may overtake, itself included; at least 1. 1 = one after the other.
            searcher_of: Returns an OptunaSearcher for a `history` of ended trials, their `reports`, and `unfinished`
                trials.
            journal: Journal of the search.
            unfinished: Trials to be resumed. They are suggested first and keep their numbers.
            on_resumed: Called with the number of a resumed trial and the ID that Ray gives it now.
            max_running: Returns the trials that may run at a time now; None: no limit but Tune's and the lag.
        """
        super().__init__(metric="objective", mode="min")
        self._space, self._lag = space, lag
        self._searcher_of, self._journal = searcher_of, journal
        self._unfinished = list(unfinished)
        self._on_resumed = on_resumed
        self._max_running = max_running
        self._suggested: dict[int, TrialRecord] = {}
        self._running: dict[str, int] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next configuration, as of OptunaSearcher; None until the trials up to n - lag have ended."""
        if self._max_running is not None and len(self._running) >= self._max_running():
            return None
        if self._unfinished:
            record = self._unfinished.pop(0)
            self._running[trial_id] = record.number
            self._on_resumed(record.number, trial_id)
            return {"number": record.number, "values": record.values}
        known = {**self._suggested, **{record.number: record for record in self._journal.trials()}}
        number = 0
        while number in known:  # an interrupted search may lack a trial that was suggested but did not start
            number += 1
        last = number - self._lag
        if any(running <= last for running in self._running.values()):
            return None
        history = [known[earlier] for earlier in range(last + 1)]
        running = []
        for earlier in range(max(last + 1, 0), number):
            values = known[earlier].values
            if self._space.contains(values):
                running.append(TrialRecord(earlier, values))
            else:  # a trial of an earlier space: it only takes its number
                history.append(TrialRecord(earlier, values, status="interrupted"))
        reports = [report for report in self._journal.epochs() if report[0] <= last]
        searcher = self._searcher_of(history=history, reports=reports, unfinished=running)
        for record in running:
            searcher.suggest(f"trial {record.number}")
        config: Any = searcher.suggest(trial_id)
        if config != Searcher.FINISHED:
            self._running[trial_id] = number
            self._suggested[number] = TrialRecord(number, config["values"])
        return config

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Does nothing: the record has the values of ended trials."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Notes that a trial has ended."""
        self._running.pop(trial_id, None)

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the run's journal has the history."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing."""


class LaggedScheduler(FIFOScheduler):
    """Stops trial n where another scheduler would stop it if it knew only the trials up to n - lag, and n itself.

    No trial waits at a rung: those that it is compared with ended before it started.
    """

    def __init__(self, lag: int, scheduler_of: Callable[[], Any]) -> None:
        """A scheduler for a new search, or for one that `replay` restores.

        Args:
            lag: As of LaggedSearcher.
            scheduler_of: Returns a new scheduler, built from a row of SCHEDULERS that `replay` can restore.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._lag, self._scheduler_of = lag, scheduler_of
        self._reports: dict[int, dict[int, float]] = {}
        self._stops: dict[int, int] = {}
        self._views: dict[int, Any] = {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether the trial continues or is stopped after a report. The report of a failure has no epoch."""
        if "epoch" not in result:
            return str(self.CONTINUE)
        ended = self.replay_report(int(trial.config["number"]), int(result["epoch"]), float(result["objective"]))
        return str(self.STOP if ended else self.CONTINUE)

    def replay_report(self, number: int, epoch: int, objective: float) -> bool:
        """Notes a report, of now or of before an interruption; returns whether it stops the trial."""
        reports = self._reports.setdefault(number, {})
        if epoch in reports:  # the trial was interrupted after its report and has repeated the epoch
            return self._stops.get(number) == epoch
        if number not in self._views:
            self._views[number] = self._view(number)
        reports[epoch] = objective
        if self._views[number] is None or not self._views[number].replay_report(number, epoch, objective):
            return False
        self._stops[number] = epoch
        return True

    def replay_end(self, number: int) -> None:
        """Forgets what was needed for the decisions about a trial that has ended."""
        self._views.pop(number, None)

    def adopt(self, number: int, trial_id: str) -> None:
        """Does nothing: trials are known by their numbers."""

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Notes that a trial has ended."""
        self.replay_end(int(trial.config["number"]))

    def _view(self, number: int) -> Any:
        """A scheduler that has been told of the trials up to n - lag in their order, and of trial n so far."""
        view = adapter_of(self._scheduler_of())
        if view is None:
            return None
        for earlier in sorted(self._reports):
            if earlier <= number - self._lag or earlier == number:
                for epoch, objective in sorted(self._reports[earlier].items()):
                    view.replay_report(earlier, epoch, objective)
                if earlier != number:
                    view.replay_end(earlier)
        return view
