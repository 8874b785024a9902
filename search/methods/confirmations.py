"""CONFIRMATIONS: whether the best trials of a search are trained again, with fresh seeds, before one is chosen.

The best value of a search is the best of many draws, luck included: seeds move an EER by as much as settings do. So the
last word is given to trainings that the search has not seen.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

SEEDS = 1000
"""Trainings of a trial's configuration are numbered from its own number times this."""


class Confirmation(NamedTuple):
    """How many configurations are trained again, and with how many seeds each."""

    top: int
    seeds: int


def no_confirmation() -> None:
    """The best trial of the search is exported as it is."""


def retrain(*, top: int = 3, seeds: int = 3) -> Confirmation:
    """The best configurations, and the paper's where it was tried, are trained again in full with fresh seeds.

    The best by the mean over its seeds is exported: its training whose value is the median.

    Args:
        top: How many configurations, at least 1.
        seeds: Trainings of each, at least 1.
    """
    if top < 1:
        raise ValueError(f"top is {top}; it must be at least 1")
    if not 1 <= seeds < SEEDS:
        raise ValueError(f"seeds is {seeds}; it must be from 1 to {SEEDS - 1}")
    return Confirmation(top, seeds)


CONFIRMATIONS: dict[str, Callable[..., Any]] = {"none": no_confirmation, "retrain": retrain}
