"""Progress of a running search on the terminal."""

import math
import time
from typing import Any

from ray.tune import Callback
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from search.runs.describe import describe_objective, describe_values, duration, trial_table
from search.runs.journal import Journal
from search.space.space import Space


class LiveTable(Callback):
    """A table of the trials that is updated on the terminal. Other outputs get a line when a trial ends."""

    def __init__(self, journal: Journal, space: Space, n_trials: int, *, title: str) -> None:
        """A table that appears when Tune starts.

        Args:
            journal: Journal of the trials.
            space: Space of the search.
            n_trials: Trials in total, ended ones included.
            title: Title of the table, such as the name of the run.
        """
        self.journal = journal
        self.title = title
        self.space = space
        self.n_trials = n_trials
        self.started = time.time()
        self._live: Live | None = None
        self._console: Console | None = None
        self._drawn = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_live": None, "_console": None}

    def setup(self, *arguments: Any, **info: Any) -> None:
        self._console = Console(markup=False, emoji=False)  # Values may contain square brackets and colons.
        if self._console.is_terminal:
            self._live = Live(self._render(), console=self._console, refresh_per_second=2)
            self._live.start()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if self._live and time.time() - self._drawn > 1:
            self._drawn = time.time()
            self._live.update(self._render())

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._show_end(int(trial.config["number"]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._show_end(int(trial.config["number"]))

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.close()

    def close(self) -> None:
        """Updates the table for the last time and leaves it on the terminal."""
        if self._live:
            self._live.update(self._render())
            self._live.stop()
            self._live = None

    def _show_end(self, number: int) -> None:
        if self._live:
            self._live.update(self._render())
        elif self._console:
            records = self.journal.trials()
            record = next(record for record in records if record.number == number)
            n_done = sum(record.status != "running" for record in records)
            objective = describe_objective(self.space.metric, record.objective)
            error = f" ({record.error})" if record.error else ""
            line = f"[{n_done}/{self.n_trials}] trial {number} {record.status} at epoch {record.epoch}, {objective}, "
            self._console.print(
                f"{line}{record.seconds:.0f} s: {describe_values(record.values)}{error}", soft_wrap=True, markup=False
            )

    def _render(self) -> Group:
        records = self.journal.trials()
        counts = {
            status: sum(record.status == status for record in records)
            for status in ("running", "finished", "stopped", "failed")
        }
        n_done = sum(counts.values()) - counts["running"]
        elapsed = time.time() - self.started
        left = "?" if not n_done else duration(elapsed / n_done * (self.n_trials - n_done))
        if self.space.search.hours and n_done:
            left = "at most " + duration(max(0.0, self.space.search.hours * 3600 - elapsed))
        by_status = ", ".join(f"{count} {status}" for status, count in counts.items())
        times = f"{duration(elapsed)} elapsed, left: {left}"
        head = Text(f"{self.title}: {n_done} of {self.n_trials} trials done ({by_status}); {times}")
        measured = [record for record in records if math.isfinite(record.objective)]
        best = sorted(measured, key=lambda record: record.objective)[:5]
        running = [record for record in records if record.status == "running" and record not in best]
        return Group(head, trial_table([*best, *running], self.space.metric))
