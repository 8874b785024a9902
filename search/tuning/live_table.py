"""What a search shows while it runs."""

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
    """One table of the search on the terminal; where the output is no terminal, a line at each trial's end."""

    def __init__(self, journal: Journal, space: Space, n_trials: int, *, title: str) -> None:
        """A table that is drawn once Tune begins.

        Args:
            journal: Of the trials.
            space: What is searched.
            n_trials: Trials in all, those that have ended included.
            title: What the trials are called, such as the name of their run.
        """
        self.journal = journal
        self.title = title
        self.space = space
        self.n_trials = n_trials
        self.began = time.time()
        self._live: Live | None = None
        self._console: Console | None = None
        self._drawn = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_live": None, "_console": None}

    def setup(self, *arguments: Any, **info: Any) -> None:
        self._console = Console()
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
        self._ended(int(trial.config["number"]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(int(trial.config["number"]))

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.close()

    def close(self) -> None:
        """Draws the table for the last time and leaves it on the terminal."""
        if self._live:
            self._live.update(self._render())
            self._live.stop()
            self._live = None

    def _ended(self, number: int) -> None:
        if self._live:
            self._live.update(self._render())
        elif self._console:
            record = next(each for each in self.journal.trials() if each.number == number)
            done = sum(each.status != "running" for each in self.journal.trials())
            value = describe_objective(self.space.metric, record.objective)
            what = f" ({record.error})" if record.error else ""
            line = f"[{done}/{self.n_trials}] trial {number} {record.status} at epoch {record.epoch}, {value}, "
            self._console.print(
                f"{line}{record.seconds:.0f} s: {describe_values(record.values)}{what}", soft_wrap=True, markup=False
            )

    def _render(self) -> Group:
        records = self.journal.trials()
        counts = {
            status: sum(each.status == status for each in records)
            for status in ("running", "finished", "stopped", "failed")
        }
        done = sum(counts.values()) - counts["running"]
        elapsed = time.time() - self.began
        left = "?" if not done else duration(elapsed / done * (self.n_trials - done))
        if self.space.search.hours and done:
            left = "at most " + duration(max(0.0, self.space.search.hours * 3600 - elapsed))
        words = ", ".join(f"{count} {status}" for status, count in counts.items())
        head = Text(
            f"{self.title}: {done} of {self.n_trials} trials done ({words}); {duration(elapsed)} gone, left: {left}"
        )
        running = [each for each in records if each.status == "running"]
        best = sorted((each for each in records if math.isfinite(each.objective)), key=lambda each: each.objective)[:5]
        shown = [*best, *(each for each in running if each not in best)]
        return Group(head, trial_table(shown, self.space.metric))
