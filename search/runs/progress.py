"""Progress of a running search: how many trials have ended, how fast epochs pass, how long it still takes."""

import math
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from search.runs.describe import about, describe_objective, duration
from search.runs.journal import TrialRecord
from search.runs.time_left import is_running, is_waiting, time_left

MINUTE = 60.0


@dataclass(frozen=True)
class Progress:
    """The state of a running search at one moment.

    Attributes:
        n_done: Trials that have ended, in earlier parts of the run, too.
        n_trials: Trials in total.
        counts: Trials by status; `waiting` are those of an earlier part that are not resumed yet.
        epochs_per_minute: Epochs of the running trials together; None before the first report of one of them.
        elapsed: Seconds since the start of this part of the run.
        left: Estimated seconds until the last trial ends; None: not known yet.
        best: The trial with the best objective so far, if one has any.
    """

    n_done: int
    n_trials: int
    counts: dict[str, int]
    epochs_per_minute: float | None
    elapsed: float
    left: float | None
    best: TrialRecord | None


class Watch:
    """Follows the trials of one part of a run: from its launch or its resumption on."""

    def __init__(
        self,
        n_trials: int,
        *,
        at_a_time: int = 1,
        unfinished: Collection[int] = (),
        hours: float | None = None,
        started: float | None = None,
    ) -> None:
        """A watch that starts now.

        Args:
            n_trials: Trials in total, those of earlier parts included.
            at_a_time: Trials that may run at a time, as far as is known at the start.
            unfinished: Numbers of the trials that this part resumes.
            hours: Limit of this part in hours; None: no limit.
            started: Start in seconds since 1970; None: now.
        """
        self.started = time.time() if started is None else started
        self.n_trials, self.unfinished = n_trials, frozenset(unfinished)
        self._limit = hours * 3600 if hours else math.inf
        # Between the end of a trial and the start of the next one, fewer run than there are places for.
        self._places: deque[tuple[float, int]] = deque([(self.started, at_a_time)])

    def look(self, records: Sequence[TrialRecord], *, now: float | None = None) -> Progress:
        """The progress, given the record of the trials.

        Args:
            records: All trials of the run.
            now: The current time in seconds since 1970; None: the clock's.
        """
        now = time.time() if now is None else now
        elapsed = now - self.started
        running = [record for record in records if is_running(record, self.started)]
        waiting = [record for record in records if is_waiting(record, self.started, self.unfinished)]
        counts = {"running": len(running), "waiting": len(waiting)}
        for status in ("finished", "stopped", "failed"):
            counts[status] = sum(record.status == status and record not in waiting for record in records)
        left = time_left(
            records,
            n_trials=self.n_trials,
            at_a_time=max(1, _most(self._places, now, len(running))),
            started=self.started,
            now=now,
            unfinished=self.unfinished,
        )
        return Progress(
            n_done=len(records) - len(running) - len(waiting),
            n_trials=self.n_trials,
            counts=counts,
            epochs_per_minute=_epochs_per_minute(running),
            elapsed=elapsed,
            left=None if left is None else min(left, max(0.0, self._limit - elapsed)),
            best=next(iter(best_first(records)), None),
        )


def best_first(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials with a finite objective, best first."""
    measured = (record for record in records if math.isfinite(record.objective))
    return sorted(measured, key=lambda record: record.objective)


def describe_progress(progress: Progress, title: str, objective: str) -> list[str]:
    """Two lines about the progress of a search, each short enough for 80 columns with a short title.

    Args:
        progress: The progress.
        title: Name of the run.
        objective: Key of METRICS.
    """
    counts = ", ".join(f"{count} {status}" for status, count in progress.counts.items() if count)
    times = f"{duration(progress.elapsed)} elapsed"
    if progress.n_done < progress.n_trials:
        times += f", {describe_left(progress)}"
    if progress.epochs_per_minute is not None:
        times += f", {progress.epochs_per_minute:.3g} epochs/min"
    if progress.best is not None:
        times += f", best {describe_objective(objective, progress.best.objective)}"
    return [f"{title}: {progress.n_done} of {progress.n_trials} trials done; {counts or 'none started'}", times]


def describe_left(progress: Progress) -> str:
    """The time that a search still needs in words, such as `about 12 min left`."""
    return "time left not known yet" if progress.left is None else f"{about(progress.left)} left"


def _most(seen: deque[tuple[float, int]], now: float, value: int) -> int:
    """The largest value of the last minute, this one included."""
    seen.append((now, value))
    while len(seen) > 1 and now - seen[0][0] > MINUTE:
        seen.popleft()
    return max(count for _, count in seen)


def _epochs_per_minute(running: Sequence[TrialRecord]) -> float | None:
    """Epochs of the running trials per minute; None before the first report of one of them."""
    rates = [MINUTE * record.epoch / record.seconds for record in running if record.epoch and record.seconds]
    return sum(rates) if rates else None
