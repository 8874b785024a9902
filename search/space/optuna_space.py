"""What Optuna sees of a space: its distributions, and configurations that a trial of Optuna's has drawn."""

import optuna

from search.space.parameter import Values
from search.space.space import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line for every study would drown what matters


def suggest(space: Space, trial: optuna.trial.BaseTrial) -> Values:
    """One configuration from Optuna; parameters whose condition does not hold are not asked for."""
    values: Values = {}
    for parameter in space.searched:
        if parameter.active(values):
            values[parameter.path] = parameter.suggest(trial)
    return values


def distributions(space: Space) -> dict[str, optuna.distributions.BaseDistribution]:
    """Optuna's distribution of every searched parameter."""
    found: dict[str, optuna.distributions.BaseDistribution] = {}
    for parameter in space.searched:
        trial = optuna.create_study().ask()
        parameter.suggest(trial)
        found.update(trial.distributions)
    return found


def random_values(space: Space, seed: int) -> Values:
    """A configuration drawn uniformly, for showing what a space holds."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return suggest(space, study.ask())
