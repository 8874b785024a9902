"""CONFIRMATIONS: whether a search ends by training its best configurations again with fresh seeds.

The best value of a search is the minimum of many noisy values, so it is too optimistic (selection bias): the seed can
change an EER by as much as the hyperparameters do. Therefore the detector to export is selected by trainings that the
search has not seen.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

NUMBER_STRIDE = 1000
"""Training `index` of the configuration of trial `number` has the number `number * NUMBER_STRIDE + index`."""


FIRST_SEEDS = 2
"""Trainings that every configuration of a race gets: one value alone has no spread."""


class Confirmation(NamedTuple):
    """How the best configurations are trained again.

    Attributes:
        top: Number of configurations.
        seeds: Number of trainings per configuration, with a fresh seed for every training; in a race, the maximum.
        level: Probability at which a race is settled, see `undecided`; None = every configuration gets all seeds.
    """

    top: int
    seeds: int
    level: float | None = None


def no_confirmation() -> None:
    """No confirmation: the best trial of the search is exported."""


def retrain(*, top: int = 3, seeds: int = 3) -> Confirmation:
    """Trains the best configurations, and the paper's if the search tried it, again in full with fresh seeds.

    Configurations are ranked by the mean over their seeds. Of the best one, the training with the median value is
    exported.

    Args:
        top: Number of configurations, at least 1. The paper's comes in addition if it is not among the best.
        seeds: Number of trainings per configuration, from 1 to 999.

    Raises:
        ValueError: `top` or `seeds` is out of its range.
    """
    _check_top(top)
    if not 1 <= seeds < NUMBER_STRIDE:
        raise ValueError(f"seeds is {seeds}; it must be from 1 to {NUMBER_STRIDE - 1}")
    return Confirmation(top, seeds)


def race(*, top: int = 3, seeds: int = 5, level: float = 0.9) -> Confirmation:
    """As `retrain`, but a configuration gets a fresh seed only while that can change which one is the best.

    All configurations are trained with two seeds. Then the best one and its rivals get one seed more, round by round,
    until the race is settled: see `undecided`. A round waits for all its trainings, so the result depends neither on
    their order nor on how many run at a time.

    Args:
        top: Number of configurations, at least 1. The baseline comes in addition if it is not among the best.
        seeds: Maximum number of trainings per configuration, from 2 to 999.
        level: Probability at which the seeds that were saved would not have changed the choice; from 0.5 to below 1.

    Raises:
        ValueError: An option is out of its range.
    """
    _check_top(top)
    if not FIRST_SEEDS <= seeds < NUMBER_STRIDE:
        raise ValueError(f"seeds is {seeds}; it must be from {FIRST_SEEDS} to {NUMBER_STRIDE - 1}")
    if not 0.5 <= level < 1:
        raise ValueError(f"level is {level}; it must be from 0.5 to below 1")
    return Confirmation(top, seeds, level)


def _check_top(top: int) -> None:
    if top < 1:
        raise ValueError(f"top is {top}; it must be at least 1")


def undecided(values: Sequence[Sequence[float]], *, seeds: int, level: float) -> list[int]:
    """Configurations of a race that need a further seed: the best one so far and its rivals.

    A rival is a configuration whose mean could still be the lowest once all have been trained with `seeds` seeds.
    Given a normal spread that is the same for all configurations, and nothing known beforehand, the final difference of
    two means has Student's t distribution around the present difference, with the scale `s * sqrt(1/n + 1/m -
    2/seeds)`. Here n and m are the seeds so far and s is the pooled deviation. A configuration is a rival if the
    probability that it ends before the best one exceeds `(1 - level) / (number of configurations - 1)`. So the choice
    is that of `seeds` seeds for all with at least the probability `level`.

    This is stochastic curtailment with the predictive probability (Spiegelhalter, Freedman and Blackburn 1986),
    applied to the choice of the best of several. A configuration that was no rival may become one again. Tests that
    eliminate for good, as in F-Race (Birattari 2002), ask for significance, which few seeds rarely reach.

    Args:
        values: Objectives of every configuration, lower is better; at least two each.
        seeds: Maximum number of seeds per configuration.
        level: Probability from 0.5 to below 1.

    Returns:
        Indices of the configurations that need one seed more; empty: the race is settled.
    """
    from scipy.special import stdtr

    counts, means = [len(row) for row in values], [statistics.fmean(row) for row in values]
    best = min(range(len(values)), key=means.__getitem__, default=0)
    freedom = sum(counts) - len(values)
    squares = (sum((value - mean) ** 2 for value in row) for row, mean in zip(values, means, strict=True))
    variance = sum(squares) / max(freedom, 1)
    limit = (1 - level) / max(len(values) - 1, 1)

    def may_win(rival: int) -> bool:
        scale = (variance * (1 / counts[best] + 1 / counts[rival] - 2 / seeds)) ** 0.5
        behind = means[rival] - means[best]
        # Without any spread, as where dev is saturated, further seeds would repeat what is known.
        return bool(scale > 0 and stdtr(freedom, -behind / scale) > limit)

    running = [index for index in range(len(values)) if min(counts[index], counts[best]) < seeds]
    rivals = [index for index in running if index != best and may_win(index)]
    return [index for index in sorted([best, *rivals]) if counts[index] < seeds] if rivals else []


CONFIRMATIONS: dict[str, Callable[..., Any]] = {"none": no_confirmation, "retrain": retrain, "race": race}
