"""RULES: scores of the segments of a recording -> the CM score of the recording.

A row is a function of its options. It returns a function of segment scores `(n_segments,)`, which does not depend on
their order.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.table import Table

Rule = Callable[[NDArray[np.float64]], float]


def mean() -> Rule:
    """The mean. A part of the recording counts as much as its duration, so a short spoofed part is averaged away."""
    return lambda scores: float(np.mean(scores))


def quantile(*, fraction: float = 0.1) -> Rule:
    """The score that a fraction of the segments do not exceed: a spoofed part is not averaged away.

    A recording counts as spoofed as soon as about that fraction of it does. So does a long bona fide recording if the
    detector rejects that fraction of bona fide segments.

    Args:
        fraction: The fraction, from 0 (the lowest score) to 1 (the highest). Between two scores it is interpolated.

    Raises:
        ValueError: The fraction is out of range.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction is {fraction}; it must be from 0 to 1")
    return lambda scores: float(np.quantile(scores, fraction))


RULES: Table = {"mean": mean, "quantile": quantile}
