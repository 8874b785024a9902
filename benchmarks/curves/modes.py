"""Siamese training against training in one phase, cell by cell of front end, layer and pooling."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.curves.table import Table

CELL = ("front_end.name", "input.layer", "backbone.name")


def print_modes(table: Table) -> None:
    """Prints, for every loss of the Siamese phase, its EER minus that of the original mode, in points.

    In every cell, dev chooses the learning rate, the schedule and, for the original mode, the head. A configuration has
    the mean of its seeds, at the epochs that dev chooses. The intervals are Student's over the cells.
    """
    curves = table.objective("dev_eer")
    at = curves.argmin(axis=2)[:, :, None]
    dev = 100 * curves.min(axis=2).mean(axis=1)
    unseen = 100 * np.take_along_axis(table.eval_eer, at, axis=2)[:, :, 0].mean(axis=1)
    cells: dict[tuple[Any, ...], list[int]] = {}
    for number, values in enumerate(table.configurations):
        cells.setdefault(tuple(values.get(name) for name in CELL), []).append(number)
    losses = sorted({str(values["loss"]) for values in table.configurations if "loss" in values})
    print(f"\nSiamese minus original over {len(cells)} cells, points (95 % interval, p)\n")
    print("| loss of the Siamese phase | dev | eval |\n|---|---|---|")
    for loss in [*losses, "the best of them by dev"]:
        pairs = [
            (_best(dev, _of(table.configurations, numbers, loss)), _best(dev, _of(table.configurations, numbers, None)))
            for numbers in cells.values()
        ]
        cells_of = [np.array([values[one] - values[other] for one, other in pairs]) for values in (dev, unseen)]
        print(f"| {loss} | {' | '.join(map(_difference, cells_of))} |")


def _of(configurations: Sequence[Mapping[str, Any]], numbers: Sequence[int], loss: str | None) -> list[int]:
    """Those of the configurations that have the loss; all Siamese ones if no loss has the name; None: the others."""
    siamese = [number for number in numbers if "loss" in configurations[number]]
    if loss is None:
        return [number for number in numbers if number not in siamese]
    return [number for number in siamese if str(configurations[number]["loss"]) == loss] or siamese


def _best(dev: NDArray[np.float64], numbers: Sequence[int]) -> int:
    return min(numbers, key=lambda number: float(dev[number]))


def _difference(values: NDArray[np.float64]) -> str:
    """Mean, interval and p of a paired t-test."""
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return f"{values.mean():+.1f} ({low:+.1f} to {high:+.1f}, p = {stats.ttest_1samp(values, 0).pvalue:.2g})"
