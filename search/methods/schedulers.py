"""SCHEDULERS: how trials are stopped early. Rows build a trial scheduler of Ray Tune; its unit of time is the epoch."""

from collections.abc import Callable
from typing import Any

# The first two arguments of every row are the metric to minimise and the number of epochs of the longest trial.


def asha(metric: str, epochs: int, *, grace_epochs: int = 3, reduction_factor: float = 3.0) -> Any:
    """Asynchronous successive halving (ASHA).

    At epochs 1, r, r^2, ... times `grace_epochs` only the best 1/r of the trials continue.

    Args:
        metric: Metric to minimise.
        epochs: Number of epochs of the longest trial.
        grace_epochs: No trial stops before this epoch; at least 1.
        reduction_factor: r, above 1.

    Raises:
        ValueError: `grace_epochs` or `reduction_factor` is out of its range.
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
    """Synchronous HyperBand: trials of a bracket pause for each other and resume from their checkpoints.

    Args:
        metric: Metric to minimise.
        epochs: Number of epochs of the longest trial.
        reduction_factor: At the end of a round the best 1/`reduction_factor` of a bracket continue; above 1.

    Raises:
        ValueError: `reduction_factor` is 1 or less.
    """
    from ray.tune.schedulers import HyperBandScheduler

    if reduction_factor <= 1:
        raise ValueError(f"reduction_factor is {reduction_factor}; it must be above 1")
    return HyperBandScheduler(
        time_attr="epoch", metric=metric, mode="min", max_t=epochs, reduction_factor=reduction_factor
    )


def median(metric: str, epochs: int, *, grace_epochs: int = 3, min_trials: int = 3) -> Any:
    """Median stopping rule: stops a trial whose best value is worse than the median of the other trials' running means.

    Args:
        metric: Metric to minimise.
        epochs: Number of epochs of the longest trial; not used.
        grace_epochs: No trial stops before this epoch; at least 1.
        min_trials: Minimum number of trials in the median; at least 1.

    Raises:
        ValueError: `grace_epochs` or `min_trials` is less than 1.
    """
    from search.methods.median_rule import MedianRule

    _positive(grace_epochs=grace_epochs, min_trials=min_trials)
    return MedianRule(
        time_attr="epoch", metric=metric, mode="min", grace_period=grace_epochs, min_samples_required=min_trials
    )


def none(metric: str, epochs: int) -> Any:
    """No early stopping: every trial runs to its last epoch. Both arguments are not used."""
    from ray.tune.schedulers import FIFOScheduler

    return FIFOScheduler()


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")


SCHEDULERS: dict[str, Callable[..., Any]] = {"asha": asha, "hyperband": hyperband, "median": median, "none": none}
