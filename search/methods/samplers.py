"""SAMPLERS: what suggests the next configuration. Rows build an Optuna sampler from a seed."""

from collections.abc import Callable
from typing import Any

# Rows import Optuna themselves: a space is read without it.


def tpe(seed: int, *, n_startup_trials: int = 10, multivariate: bool = True) -> Any:
    """Tree-structured Parzen estimator, which spreads trials that run at the same time (constant liar).

    Args:
        seed: Seed of this suggestion.
        n_startup_trials: Random configurations before the model is used; at least the concurrency.
        multivariate: Models parameters jointly.
    """
    import optuna

    if n_startup_trials < 0:
        raise ValueError(f"n_startup_trials is {n_startup_trials}; it must not be negative")
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=n_startup_trials, multivariate=multivariate, constant_liar=True
    )


def random(seed: int) -> Any:
    """Independent uniform draws."""
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


def gp(seed: int, *, n_startup_trials: int = 10) -> Any:
    """Gaussian process with expected improvement: for few, expensive trials; models the noise of a trial.

    Args:
        seed: Seed of this suggestion.
        n_startup_trials: Random configurations before the model is used.
    """
    import optuna

    if n_startup_trials < 0:
        raise ValueError(f"n_startup_trials is {n_startup_trials}; it must not be negative")
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=n_startup_trials, deterministic_objective=False)


def grid(seed: int) -> Any:
    """Every configuration of a finite space once, in the order in which the ranges stand in the YAML."""
    return random(seed)  # the configurations are enqueued; this sampler only fills in what is fixed by them


SAMPLERS: dict[str, Callable[..., Any]] = {"tpe": tpe, "random": random, "gp": gp, "grid": grid}
