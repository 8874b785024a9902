"""Importance of the hyperparameters of a search, and the Pareto front of objective and operations."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from core.cost import Cost
from search.runs.journal import TrialRecord
from search.space.optuna_space import distributions
from search.space.space import Space

MIN_TRIALS = 12
"""Minimum number of trials for an importance: with fewer, a random forest finds patterns in noise."""


@dataclass(frozen=True)
class Importance:
    """Importance of one hyperparameter.

    Attributes:
        path: Path of the hyperparameter in the space, such as `loss.margin`.
        fraction: Fraction of the objective's variance over the space that the hyperparameter explains, in [0, 1]. The
            other hyperparameters that are active in the same trials explain the rest.
        n_trials: Number of trials in which the hyperparameter was active; the fraction is estimated from these.
    """

    path: str
    fraction: float
    n_trials: int


def importances(space: Space, records: Sequence[TrialRecord]) -> list[Importance]:
    """Importances of the hyperparameters (fANOVA, Hutter et al. 2014), the greatest first.

    A conditional hyperparameter is evaluated on the trials in which it was active. Its fraction is therefore not
    comparable with that of a hyperparameter that was always active; the number of trials shows the difference.

    Args:
        space: The space that was searched.
        records: Its trials. Those without a finite objective, or outside the space, are left out.

    Returns:
        One importance per hyperparameter that was active in at least MIN_TRIALS trials with at least two values and two
        objectives; possibly none.
    """
    computed = []
    usable = [record for record in records if math.isfinite(record.objective) and space.contains(record.values)]
    known_distributions = distributions(space)
    for parameter in space.searched:
        active = [record for record in usable if parameter.path in record.values]
        values = {str(record.values[parameter.path]) for record in active}
        if len(active) < MIN_TRIALS or len(values) < 2 or len({record.objective for record in active}) < 2:
            continue
        # fANOVA needs hyperparameters that all of its trials have.
        paths = [other.path for other in space.searched if all(other.path in record.values for record in active)]
        study = optuna.create_study()
        study.add_trials(
            [
                optuna.trial.create_trial(
                    params={path: record.values[path] for path in paths},
                    distributions={path: known_distributions[path] for path in paths},
                    value=record.objective,
                )
                for record in active
            ]
        )
        fractions = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
        computed.append(Importance(parameter.path, float(fractions.get(parameter.path, 0.0)), len(active)))
    return sorted(computed, key=lambda importance: (-importance.fraction, importance.path))


def pareto_front(records: Sequence[TrialRecord], costs: Mapping[int, Cost]) -> set[int]:
    """Numbers of the trials on the Pareto front of objective and operations (GMACs); lower is better for both.

    A trial is on the front if no other trial is at least as good in both and better in one. Trials without a finite
    objective, or with unknown operations, are left out.

    Args:
        records: The trials.
        costs: Cost by number of the trial; every trial of `records` is in it.
    """
    points = {}
    for record in records:
        gmacs = costs[record.number].gmacs
        if gmacs is not None and math.isfinite(record.objective):
            points[record.number] = (record.objective, gmacs)
    return {
        number
        for number, (objective, gmacs) in points.items()
        if not any(
            other[0] <= objective and other[1] <= gmacs and other != (objective, gmacs) for other in points.values()
        )
    }
