"""SAMPLERS: how the next configuration is suggested. Rows build an Optuna sampler from a seed."""

from collections.abc import Callable
from typing import Any

# Rows import Optuna when they are called, so that a space can be read without Optuna.


def tpe(seed: int, *, n_startup_trials: int = 10, multivariate: bool = True) -> Any:
    """Tree-structured Parzen estimator (TPE).

    Trials that are still running count as bad ones (constant liar), so that parallel trials differ.

    Args:
        seed: Seed of this suggestion.
        n_startup_trials: Number of random configurations before the model is used; should be at least the concurrency.
        multivariate: Whether the hyperparameters are modelled jointly.

    Raises:
        ValueError: `n_startup_trials` is negative.
    """
    import optuna

    if n_startup_trials < 0:
        raise ValueError(f"n_startup_trials is {n_startup_trials}; it must not be negative")
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=n_startup_trials, multivariate=multivariate, constant_liar=True
    )


def random(seed: int) -> Any:
    """Random search: independent draws from the ranges, uniform or log-uniform as the space says."""
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


def gp(seed: int, *, n_startup_trials: int = 10) -> Any:
    """Gaussian process with expected improvement, for few and expensive trials. It models the noise of the objective.

    Args:
        seed: Seed of this suggestion.
        n_startup_trials: Number of random configurations before the model is used.

    Raises:
        ValueError: `n_startup_trials` is negative.
    """
    import optuna

    if n_startup_trials < 0:
        raise ValueError(f"n_startup_trials is {n_startup_trials}; it must not be negative")
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=n_startup_trials, deterministic_objective=False)


def grid(seed: int) -> Any:
    """Grid search: every configuration of a finite space once, in the order of the ranges in the YAML file."""
    return random(seed)  # the searcher enqueues the configurations, which leave nothing to this sampler


SAMPLERS: dict[str, Callable[..., Any]] = {"tpe": tpe, "random": random, "gp": gp, "grid": grid}
