"""Progress of scoring: a bar on a terminal, otherwise a line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 30.0
"""Seconds between two lines of progress where the output is no terminal."""


class ScoringProgress:
    """Counts recordings that are done, and the seconds of audio that were scored."""

    def __init__(self, bar: Progress, task: TaskID, title: str, total: int) -> None:
        self._bar, self._task, self._title, self._total = bar, task, title, total
        self._done, self._seconds = 0, 0.0
        self._printed = time.monotonic()

    def advance(self) -> None:
        """Counts a recording."""
        self._done += 1
        self._show()

    def heard(self, seconds: float) -> None:
        """Counts seconds of audio."""
        self._seconds += seconds
        self._show()

    def _show(self) -> None:
        self._bar.update(self._task, completed=self._done, seconds=self._seconds)
        if not self._bar.console.is_terminal and time.monotonic() - self._printed > SECONDS_BETWEEN_LINES:
            self._printed = time.monotonic()
            text = f"{self._title}: {self._done} of {self._total} recordings, {self._seconds:,.0f} s of audio"
            self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def scoring_progress(console: Console, title: str, total: int, *, unit: str) -> Iterator[ScoringProgress]:
    """Shows the progress of scoring, and at the end a line with the time if there was more than one recording.

    Args:
        console: Where it is shown.
        title: What is scored, for the user.
        total: Number of recordings.
        unit: Word for the recordings.
    """
    started = time.monotonic()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} " + unit),
        TextColumn("{task.fields[seconds]:,.0f} s of audio"),
        TimeRemainingColumn(),
    )
    # A bar would write into lines on the same terminal; lines into a file must go where they were sent.
    with Progress(
        *columns,
        console=console,
        disable=not console.is_terminal,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=True,
    ) as bar:
        yield ScoringProgress(bar, bar.add_task(title, total=total, seconds=0.0), title, total)
    if total > 1:
        seconds = time.monotonic() - started
        console.print(f"{title}: {total} {unit} scored in {seconds:.1f} s", highlight=False, soft_wrap=True)
