"""What an earlier part of a search has left behind: told to the scheduler again, and ended where it had ended."""

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
    """Where the reports of an earlier part of a search have brought a scheduler.

    Attributes:
        stopped: Trials that their last report ended.
        adopt: To be called with the number of a trial that goes on and the name that Ray gives it now.
    """

    stopped: set[int]
    adopt: Callable[[int, str], None]


def replay(scheduler: Any, events: Iterable[Mapping[str, Any]]) -> Replayed:
    """Brings `asha` and `median` to where an earlier part of the search left them; `hyperband` begins anew.

    Args:
        scheduler: A row of SCHEDULERS, unused.
        events: Of the run's record, in order.
    """
    from ray.tune.schedulers import ASHAScheduler

    if isinstance(scheduler, ASHAScheduler):
        earlier: Any = _Rungs(scheduler)
    elif hasattr(scheduler, "replay_report"):
        earlier = scheduler
    else:
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


class _Rungs:
    """The rungs of an ASHAScheduler."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    def replay_report(self, number: int, epoch: int, objective: float) -> bool:
        return report_to_rungs(self._scheduler, _former(number), epoch, objective)

    def replay_end(self, number: int) -> None:
        pass  # an end tells the rungs nothing that the last epoch has not

    def adopt(self, number: int, trial_id: str) -> None:
        rename_in_rungs(self._scheduler, _former(number), trial_id)


def _former(number: int) -> str:
    return f"trial {number} of an earlier part"


def end_what_had_ended(space: Space, run: Run, unfinished: Sequence[TrialRecord], stopped: set[int]) -> set[int]:
    """Records the end of trials whose last epoch was their end, when the search was cut off before it said so.

    Args:
        space: What is searched.
        run: Whose record it is.
        unfinished: Trials without an end in the record.
        stopped: Numbers of trials that the scheduler ended at their last report.

    Returns:
        The numbers of the trials that have their end in the record now.
    """
    from search.tuning.tensorboard import TensorBoardWriter

    curves, ended = TensorBoardWriter(run.tensorboard), set()
    for record in unfinished:
        finished = record.epoch >= trial_epochs(space, record.values)
        had_ended = finished or record.number in stopped
        if record.status == "failed" or not had_ended or not run.checkpoint(record.number):
            continue
        status = "finished" if finished else "stopped"
        run.journal.record("end", record.number, status=status, seconds=record.seconds)
        curves.start(record.number, record.values)
        last = {**record.metrics, "objective": record.objective, "epoch": record.epoch}
        curves.end(record.number, last, failed=False)
        ended.add(record.number)
    return ended


def trial_epochs(space: Space, values: Values) -> int:
    """Epochs of a configuration's trial, which is in part where the space has a proxy."""
    proxy, experiment = table.build("search.proxy", PROXIES, space.search.proxy), space.experiment(values)
    return int((proxy.experiment(experiment) if proxy else experiment).epochs)
