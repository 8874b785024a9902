"""Time that a search still needs, from the record of its trials.

The estimate is built from epochs, and not from ended trials alone: the trials that end first are the short ones, and
while a long one runs no trial ends. Three quantities are read from the record, that of earlier parts of a resumed run
included:

- seconds per epoch of every trial;
- the chance that the scheduler stops a trial after a given epoch (Kaplan and Meier, 1958: a running trial counts as
  far as it has come, so that it does not count as a short one);
- the mean length of a trial, over ended ones and the expected lengths of running ones.

What is left of the running trials, and then the new trials, are spread over as many places as run at a time: the
estimate is the end of the last one. Between two events it can only fall, because a trial that keeps us waiting is
expected to have less left, and at least nothing.
"""

import heapq
import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

from search.runs.journal import TrialRecord

ENDED = ("finished", "stopped", "failed")


def time_left(
    records: Sequence[TrialRecord],
    *,
    n_trials: int,
    at_a_time: int,
    started: float,
    now: float,
    unfinished: Collection[int] = (),
) -> float | None:
    """Estimated seconds until the last trial ends; None before the record allows an estimate.

    Args:
        records: The trials so far, those before a resumption included.
        n_trials: Trials in total.
        at_a_time: Trials that run at a time, at least 1.
        started: Start of this part of the run, in seconds since 1970. Trials without an end whose last event is older
            do not run.
        now: The current time, in seconds since 1970.
        unfinished: Numbers of the trials of earlier parts that this part resumes.
    """
    running = [record for record in records if is_running(record, started)]
    waiting = [record for record in records if is_waiting(record, started, unfinished)]
    left = _EpochsLeft([record for record in records if record.epoch or record.status in ENDED])
    rest = {
        record.number: left(record) * record.seconds / record.epoch for record in [*running, *waiting] if record.epoch
    }
    lengths = [record.seconds for record in records if record.status in ENDED and record not in waiting]
    lengths += [record.seconds + rest[record.number] for record in [*running, *waiting] if record.epoch]
    if not lengths:
        return None
    mean = statistics.fmean(lengths)
    # A trial without a report yet has a whole length before it.
    places = [max(0.0, rest.get(record.number, mean) - (now - recorded_at(record))) for record in running]
    places += [0.0] * (at_a_time - len(places))
    heapq.heapify(places)
    for seconds in [*(rest.get(record.number, mean) for record in waiting), *[mean] * (n_trials - len(records))]:
        heapq.heapreplace(places, places[0] + seconds)
    return max(places)


def is_running(record: TrialRecord, started: float) -> bool:
    """Whether a trial runs in the part of the run that started at this time; not one that a killed part has left."""
    return record.status == "running" and recorded_at(record) >= started


def is_waiting(record: TrialRecord, started: float, unfinished: Collection[int]) -> bool:
    """Whether a trial of an earlier part waits for its resumption."""
    return record.number in unfinished and recorded_at(record) < started


def recorded_at(record: TrialRecord) -> float:
    """Time of the last event of a trial in seconds since 1970; 0 if it is not known."""
    return datetime.fromisoformat(record.time).timestamp() if record.time else 0.0


class _EpochsLeft:
    """Expected further epochs of a trial, given that the trials of a search sometimes end before their last epoch."""

    def __init__(self, records: Sequence[TrialRecord]) -> None:
        self._epochs = max((max(record.epochs, record.epoch) for record in records), default=0)
        reached = Counter(record.epoch for record in records)
        ended = Counter(record.epoch for record in records if record.status in ("stopped", "failed"))
        at_risk = len(records)
        self._continues: list[float] = []  # chance that a trial continues after epoch k, of those that reached it
        for epoch in range(self._epochs + 1):
            self._continues.append(1 - ended[epoch] / at_risk if at_risk else 1.0)
            at_risk -= reached[epoch]

    def __call__(self, record: TrialRecord) -> float:
        expected, chance = 0.0, 1.0
        for epoch in range(record.epoch + 1, (record.epochs or self._epochs) + 1):
            expected += chance
            chance *= self._continues[epoch]
        return expected
