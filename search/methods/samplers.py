"""SAMPLERS: how the next configuration is suggested. Rows build an Optuna sampler from a seed and the parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

# Rows import Optuna when they are called, so that a space can be read without Optuna.


class Range(Protocol):
    """What a sampler needs of a hyperparameter; `search.space.parameter.Parameter` has it."""

    path: str
    kind: Any
    low: float
    high: float
    when: Mapping[str, tuple[Any, ...]]

    @property
    def labels(self) -> tuple[Any, ...]:
        """The values of a choice."""


def tpe(seed: int, ranges: Sequence[Range], *, n_startup_trials: int = 10, multivariate: bool = True) -> Any:
    """Tree-structured Parzen estimator (TPE).

    Trials that are still running count as bad ones (constant liar), so that parallel trials differ.

    Args:
        seed: Seed of this suggestion.
        ranges: Parameters of the space; not used.
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


def random(seed: int, ranges: Sequence[Range]) -> Any:
    """Random search: independent draws from the ranges, uniform or log-uniform as the space says."""
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


def gp(seed: int, ranges: Sequence[Range], *, n_startup_trials: int = 4) -> Any:
    """Gaussian process with expected improvement. It models the noise of the objective, and unfinished trainings.

    Args:
        seed: Seed of this suggestion.
        ranges: Parameters of the space.
        n_startup_trials: Number of random configurations with a value before the model is used.

    Raises:
        ValueError: `n_startup_trials` is negative.
    """
    from search.methods.gp_sampler import GaussianProcessSampler

    if n_startup_trials < 0:
        raise ValueError(f"n_startup_trials is {n_startup_trials}; it must not be negative")
    return GaussianProcessSampler(seed, ranges, n_startup_trials=n_startup_trials)


def grid(seed: int, ranges: Sequence[Range]) -> Any:
    """Grid search: every configuration of a finite space once, in the order of the ranges in the YAML file."""
    return random(seed, ranges)  # the searcher enqueues the configurations, which leave nothing to this sampler


SAMPLERS: dict[str, Callable[..., Any]] = {"tpe": tpe, "random": random, "gp": gp, "grid": grid}
