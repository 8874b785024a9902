"""Which hyperparameters of a search matter, and which of its trials are on the Pareto front of EER and cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from core.cost import Cost
from search.runs.journal import TrialRecord
from search.space.optuna_space import distributions
from search.space.space import Space

ENOUGH = 12
"""Trials below which no importance is told: a forest on fewer finds patterns in noise."""


@dataclass(frozen=True)
class Importance:
    """How much of the objective's variance over the space a parameter explains.

    Attributes:
        path: Of the parameter.
        share: In [0, 1], beside the others that are active in the same trials.
        n_trials: On how many trials it rests: those in which the parameter was active.
    """

    path: str
    share: float
    n_trials: int


def importances(space: Space, records: Sequence[TrialRecord]) -> list[Importance]:
    """Importance of each parameter that was active in enough trials (fANOVA, Hutter 2014), the greatest first.

    A parameter under a condition is judged among the trials in which it was active; its share is not comparable with
    those of parameters that were active always, which is why the number of trials stands beside it.

    Args:
        space: What was searched.
        records: Its trials; those without a finite objective are left out.
    """
    found = []
    usable = [each for each in records if math.isfinite(each.objective) and space.contains(each.values)]
    known = distributions(space)
    for parameter in space.searched:
        having = [each for each in usable if parameter.path in each.values]
        values = {str(each.values[parameter.path]) for each in having}
        if len(having) < ENOUGH or len(values) < 2 or len({each.objective for each in having}) < 2:
            continue
        common = [each.path for each in space.searched if all(each.path in one.values for one in having)]
        study = optuna.create_study()
        study.add_trials(
            [
                optuna.trial.create_trial(
                    params={path: each.values[path] for path in common},
                    distributions={path: known[path] for path in common},
                    value=each.objective,
                )
                for each in having
            ]
        )
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
        found.append(Importance(parameter.path, float(shares.get(parameter.path, 0.0)), len(having)))
    return sorted(found, key=lambda each: (-each.share, each.path))


def pareto_front(records: Sequence[TrialRecord], costs: Mapping[int, Cost]) -> set[int]:
    """Numbers of the trials on the Pareto front of objective and operations.

    No other trial is at least equal to one of them in both, and better in one. A trial without a finite objective, or
    whose operations are not known, is on no front.
    """
    points = {}
    for each in records:
        gmacs = costs[each.number].gmacs
        if gmacs is not None and math.isfinite(each.objective):
            points[each.number] = (each.objective, gmacs)
    return {
        number
        for number, (objective, gmacs) in points.items()
        if not any(
            other[0] <= objective and other[1] <= gmacs and other != (objective, gmacs) for other in points.values()
        )
    }
