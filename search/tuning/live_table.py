"""Progress of a running search: a table on a terminal, lines in a file, JSON lines for scripts."""

import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ray.tune import Callback
from rich.console import Group
from rich.live import Live
from rich.text import Text

from search.runs.describe import describe_objective, describe_values, trial_table
from search.runs.facts import event_facts, progress_facts
from search.runs.journal import Journal, TrialRecord
from search.runs.output import Output
from search.runs.progress import Progress, Watch, best_first, describe_left, describe_progress
from search.runs.time_left import is_running
from search.space.space import Space

N_BEST = 5
"""Trials that have ended in the table, besides those that run."""


class LiveTable(Callback):
    """Shows the trials of a search while it runs.

    A terminal has a table that is redrawn every second. Other outputs get a line when a trial ends, with `--verbose`
    also after every epoch. With `--json`, every event of the journal and the progress after it is an object.
    """

    def __init__(
        self,
        journal: Path,
        space: Space,
        n_trials: int,
        *,
        run: str,
        part: str,
        output: Output,
        at_a_time: int = 1,
        unfinished: Collection[int] = (),
    ) -> None:
        """A table that appears when Tune starts.

        Args:
            journal: Journal of the trials. It is read by an object of its own, because the table has its own thread.
            space: Space of the search.
            n_trials: Trials in total, ended ones included.
            run: Name of the run.
            part: `search` or `confirmation`.
            output: Where the progress is shown.
            at_a_time: Trials that may run at a time.
            unfinished: Numbers of the trials that are resumed.
        """
        self.journal = Journal(journal)
        self.run, self.part = run, part
        self.space = space
        self.watch = Watch(n_trials, at_a_time=at_a_time, unfinished=unfinished, hours=space.search.hours)
        self._output: Output | None = output
        self._live: Live | None = None
        self._position = 0
        self._drawn: Group | str = ""
        self._lock: threading.Lock | None = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_live": None, "_output": None, "_lock": None}

    def setup(self, *arguments: Any, **info: Any) -> None:
        if self._output is None:
            return
        if self._output.emit:
            _, self._position = self.journal.events_after(0)
        elif self._output.console.is_terminal and not self._output.console.quiet:
            self._live = Live(
                console=self._output.console, refresh_per_second=1, get_renderable=self.render, transient=False
            )
            self._live.start(refresh=True)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._emit()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._emit()
        if self._output and self._output.verbose:
            self._say(int(trial.config["number"]))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._emit()
        self._say(int(trial.config["number"]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._emit()
        self._say(int(trial.config["number"]))

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.close()

    def close(self) -> None:
        """Updates the table for the last time and leaves it on the terminal."""
        if self._live:
            self._live.stop()  # draws it once more
            self._live = None

    def render(self) -> Group | str:
        """The table now; the one before if the journal cannot be read at the moment."""
        assert self._output is not None
        assert self._lock is not None
        with self._lock:  # Rich draws in a thread of its own, and once more in that of `close`.
            try:
                records = self.journal.trials()
            except OSError:
                return self._drawn
            self._drawn = self._table(records, self.watch.look(records), self._output)
        return self._drawn

    def _table(self, records: list[TrialRecord], progress: Progress, output: Output) -> Group:
        best, running = shown_trials(records, self.watch.started)
        room = max(1, output.console.height - 5 - len(best))
        title = self.run if self.part == "search" else f"{self.run} ({self.part})"
        head = [Text(line, no_wrap=True) for line in describe_progress(progress, title, self.space.metric)]
        rows = trial_table([*best, *running[:room]], self.space.metric, one_line=output.one_line)
        rest = [Text(f"and {len(running) - room} more that run")] if len(running) > room else []
        return Group(*head, rows, *rest)

    def _emit(self) -> None:
        """Writes the new events of the journal as JSON, and the progress after them."""
        if self._output is None or self._output.emit is None:
            return
        events, self._position = self.journal.events_after(self._position)
        for event in events:
            self._output.emit(event_facts(event, self.run, self.part))
        if events:
            progress = self.watch.look(self.journal.trials())
            self._output.emit(progress_facts(progress, self.run, self.part))

    def _say(self, number: int) -> None:
        """A line about a trial, for an output that has no table."""
        if self._output is None or self._live or self._output.emit:
            return
        records = self.journal.trials()
        record = next(record for record in records if record.number == number)
        progress = self.watch.look(records)
        objective = describe_objective(self.space.metric, record.objective)
        error = f" ({record.error})" if record.error else ""
        line = f"[{progress.n_done}/{progress.n_trials}] trial {number} {record.status} at epoch {record.epoch}"
        times = f"{record.seconds:.0f} s, {describe_left(progress)}"
        self._output.say(f"{line}, {objective}, {times}: {describe_values(record.values)}{error}")


def shown_trials(records: list[TrialRecord], started: float) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """The best trials that have ended, and the running ones, oldest first."""
    running = [record for record in records if is_running(record, started)]
    ended = [record for record in records if record not in running]
    return best_first(ended)[:N_BEST], running
