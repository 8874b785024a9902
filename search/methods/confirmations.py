"""CONFIRMATIONS: whether a search ends by training its best configurations again with fresh seeds.

The best value of a search is the minimum of many noisy values, so it is too optimistic (selection bias): the seed can
change an EER by as much as the hyperparameters do. Therefore the detector to export is selected by trainings that the
search has not seen.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

NUMBER_STRIDE = 1000
"""Training `index` of the configuration of trial `number` has the number `number * NUMBER_STRIDE + index`."""


class Confirmation(NamedTuple):
    """How the best configurations are trained again.

    Attributes:
        top: Number of configurations.
        seeds: Number of trainings per configuration, with a fresh seed for every training.
    """

    top: int
    seeds: int


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
    if top < 1:
        raise ValueError(f"top is {top}; it must be at least 1")
    if not 1 <= seeds < NUMBER_STRIDE:
        raise ValueError(f"seeds is {seeds}; it must be from 1 to {NUMBER_STRIDE - 1}")
    return Confirmation(top, seeds)


CONFIRMATIONS: dict[str, Callable[..., Any]] = {"none": no_confirmation, "retrain": retrain}
