"""SCHEDULERS: what stops a trial early. Rows build a Ray Tune trial scheduler; the unit is the epoch."""

from collections.abc import Callable
from typing import Any

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
    from search.methods.median_rule import MedianRule

    _positive(grace_epochs=grace_epochs, min_trials=min_trials)
    return MedianRule(
        time_attr="epoch", metric=metric, mode="min", grace_period=grace_epochs, min_samples_required=min_trials
    )


def none(metric: str, epochs: int) -> Any:
    """Every trial runs to its last epoch."""
    from ray.tune.schedulers import FIFOScheduler

    return FIFOScheduler()


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")


SCHEDULERS: dict[str, Callable[..., Any]] = {"asha": asha, "hyperband": hyperband, "median": median, "none": none}
