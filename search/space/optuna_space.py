"""Spaces in Optuna: the distributions of the parameters, and configurations that Optuna suggests."""

import optuna

from search.space.parameter import Values
from search.space.space import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)  # Optuna would print a line for every study


def suggest(space: Space, trial: optuna.trial.BaseTrial) -> Values:
    """A configuration that Optuna suggests.

    Args:
        space: The space.
        trial: Optuna's trial. It is asked only for parameters whose condition holds.

    Returns:
        The values of the active parameters, by path.
    """
    values: Values = {}
    for parameter in space.searched:
        if parameter.active(values):
            values[parameter.path] = parameter.suggest(trial)
    return values


def distributions(space: Space) -> dict[str, optuna.distributions.BaseDistribution]:
    """Optuna's distribution of every searched parameter, by path; conditions are ignored."""
    by_path: dict[str, optuna.distributions.BaseDistribution] = {}
    for parameter in space.searched:
        trial = optuna.create_study().ask()
        parameter.suggest(trial)
        by_path.update(trial.distributions)
    return by_path


def random_values(space: Space, seed: int) -> Values:
    """A random configuration, for instance as an example of the space; equal seeds give equal configurations."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return suggest(space, study.ask())
