"""SCHEDULERS: what stops a trial early. Rows build a Ray Tune trial scheduler; the unit is the epoch."""

import math
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

# Context of every row: the metric to minimise and the epochs of the longest trial.


def asha(metric: str, epochs: int, *, grace_epochs: int = 3, reduction_factor: float = 3.0) -> Any:
    """Asynchronous successive halving: at 1, r, r^2, ... times the grace period only the best 1/r go on.

    Args:
        metric: Metric to minimise.
        epochs: Epochs of a trial.
        grace_epochs: No trial stops before this epoch.
        reduction_factor: r.
    """
    from ray.tune.schedulers import ASHAScheduler

    _positive(grace_epochs=grace_epochs)
    if reduction_factor <= 1:
        raise ValueError(f"reduction_factor is {reduction_factor}; it must be above 1")
    return ASHAScheduler(
        time_attr="epoch",
        metric=metric,
        mode="min",
        max_t=max(epochs, grace_epochs),
        grace_period=grace_epochs,
        reduction_factor=reduction_factor,
    )


def hyperband(metric: str, epochs: int, *, reduction_factor: float = 3.0) -> Any:
    """Synchronous HyperBand: brackets of trials that pause and go on from their checkpoints."""
    from ray.tune.schedulers import HyperBandScheduler

    if reduction_factor <= 1:
        raise ValueError(f"reduction_factor is {reduction_factor}; it must be above 1")
    return HyperBandScheduler(
        time_attr="epoch", metric=metric, mode="min", max_t=epochs, reduction_factor=reduction_factor
    )


def median(metric: str, epochs: int, *, grace_epochs: int = 3, min_trials: int = 3) -> Any:
    """Stops a trial whose best value is worse than the median of the running means of the others at that epoch."""
    from search.median import MedianRule

    _positive(grace_epochs=grace_epochs, min_trials=min_trials)
    return MedianRule(
        time_attr="epoch", metric=metric, mode="min", grace_period=grace_epochs, min_samples_required=min_trials
    )


def none(metric: str, epochs: int) -> Any:
    """Every trial runs to its last epoch."""
    from ray.tune.schedulers import FIFOScheduler

    return FIFOScheduler()


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
    elif hasattr(scheduler, "heard"):
        earlier = scheduler
    else:
        return Replayed(set(), lambda number, trial_id: None)
    stopped: set[int] = set()
    for event in events:
        number = int(event["trial"])
        if event["event"] == "epoch":
            objective = event.get("objective")
            ended = earlier.heard(number, int(event["epoch"]), math.inf if objective is None else objective)
            stopped = stopped | {number} if ended else stopped - {number}
        elif event["event"] == "end" and event.get("status") in ("finished", "stopped"):
            earlier.ended(number)
    return Replayed(stopped, earlier.adopt)


class _Rungs:
    """The rungs of an ASHAScheduler."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        (self._bracket,) = scheduler._brackets

    def heard(self, number: int, epoch: int, objective: float) -> bool:
        if epoch >= self._scheduler._max_t:  # at its last epoch a trial ends without asking the rungs
            return True
        trial: Any = SimpleNamespace(trial_id=_former(number))
        decision = self._bracket.on_result(trial, epoch, self._scheduler._metric_op * objective)
        return bool(decision == self._scheduler.STOP)

    def ended(self, number: int) -> None:
        pass  # an end tells the rungs nothing that the last epoch has not

    def adopt(self, number: int, trial_id: str) -> None:
        for _, recorded in self._bracket._rungs:
            if _former(number) in recorded:
                recorded[trial_id] = recorded.pop(_former(number))


def _former(number: int) -> str:
    return f"trial {number} of an earlier part"


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")


SCHEDULERS: dict[str, Callable[..., Any]] = {"asha": asha, "hyperband": hyperband, "median": median, "none": none}
