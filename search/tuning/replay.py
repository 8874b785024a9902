"""Restores a trial scheduler from the journal, and records ends of trials that the journal lacks."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from core import table
from search.methods.proxies import PROXIES
from search.methods.ray_internals import rename_in_rungs, report_to_rungs
from search.runs.journal import TrialRecord
from search.runs.run import Run
from search.space.parameter import Values
from search.space.space import Space


class Replayed(NamedTuple):
    """Result of a replay.

    Attributes:
        stopped: Numbers of the trials that the scheduler stopped after their last report.
        adopt: Function to be called with the number of a resumed trial and the ID that Ray gives it now.
    """

    stopped: set[int]
    adopt: Callable[[int, str], None]


def replay(scheduler: Any, events: Iterable[Mapping[str, Any]]) -> Replayed:
    """Repeats the recorded reports to a new scheduler. `asha` and `median` are restored; `hyperband` starts anew.

    Args:
        scheduler: A new scheduler, built from a row of SCHEDULERS.
        events: Events of the run's journal, in order.
    """
    earlier = adapter_of(scheduler)
    if earlier is None:
        return Replayed(set(), lambda number, trial_id: None)
    stopped: set[int] = set()
    for event in events:
        number = int(event["trial"])
        if event["event"] == "epoch":
            objective = event.get("objective")
            ended = earlier.replay_report(number, int(event["epoch"]), math.inf if objective is None else objective)
            stopped = stopped | {number} if ended else stopped - {number}
        elif event["event"] == "end" and event.get("status") in ("finished", "stopped"):
            earlier.replay_end(number)
    return Replayed(stopped, earlier.adopt)


def adapter_of(scheduler: Any) -> Any:
    """An object with `replay_report`, `replay_end` and `adopt` for a scheduler; None if it cannot be restored."""
    from ray.tune.schedulers import ASHAScheduler

    if isinstance(scheduler, ASHAScheduler):
        return _Rungs(scheduler)
    return scheduler if hasattr(scheduler, "replay_report") else None


class _Rungs:
    """An ASHAScheduler with the methods that `replay` calls."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    def replay_report(self, number: int, epoch: int, objective: float) -> bool:
        return report_to_rungs(self._scheduler, _former(number), epoch, objective)

    def replay_end(self, number: int) -> None:
        pass  # The rungs know all from the report of the last epoch.

    def adopt(self, number: int, trial_id: str) -> None:
        rename_in_rungs(self._scheduler, _former(number), trial_id)


def _former(number: int) -> str:
    return f"trial {number} of an earlier part"


def record_missing_ends(space: Space, run: Run, unfinished: Sequence[TrialRecord], stopped: set[int]) -> set[int]:
    """Records the ends of trials that were complete when the search was interrupted before it could record them.

    Args:
        space: Space of the search.
        run: Run with the journal.
        unfinished: Trials without a recorded end.
        stopped: Numbers of the trials that the scheduler stopped after their last report.

    Returns:
        Numbers of the trials whose end is recorded now.
    """
    from search.tuning.hparams import columns_of
    from search.tuning.tensorboard import TensorBoardWriter

    columns = columns_of(space.searched, (record.values for record in unfinished))
    curves, ended = TensorBoardWriter(run.tensorboard, columns, run.journal), set()
    for record in unfinished:
        finished = record.epoch >= trial_epochs(space, record.values)
        complete = record.number in stopped or (finished and run.keeps_last_epoch(record.number))
        if record.status == "failed" or not complete or not run.checkpoint(record.number):
            continue
        status = "finished" if finished else "stopped"
        run.journal.record("end", record.number, status=status, seconds=record.seconds)
        curves.start(record.number, record.values)
        curves.end(record.number)
        ended.add(record.number)
    return ended


def trial_epochs(space: Space, values: Values) -> int:
    """Epochs of a trial with the given values; a proxy of the space may reduce them."""
    proxy, experiment = table.build("search.proxy", PROXIES, space.search.proxy), space.experiment(values)
    return int((proxy.experiment(experiment) if proxy else experiment).epochs)
