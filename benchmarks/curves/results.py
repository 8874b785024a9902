"""What a replay prints and draws: regret by budget, and how many epochs a method saves against the first one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.report.looks import COLOURS

Regret = Mapping[tuple[str, int], Sequence[NDArray[np.float64]]]
"""Method and trials at a time -> regret on dev and on eval, `(n_repetitions, n_budgets)`, after half trainings."""

PARTITIONS = ("dev", "eval")
CONFIDENCE = 0.95


def print_table(regret: Regret, trainings: Sequence[int]) -> None:
    """Mean regret with its 95 % interval."""
    columns = 2 * np.array(trainings) - 1
    for partition, name in enumerate(PARTITIONS):
        n_repetitions = len(next(iter(regret.values()))[partition])
        print(f"\nmean regret on {name}, points; {n_repetitions} repetitions\n")
        print(f"| method | at a time | {' | '.join(f'{n} trainings' for n in trainings)} |")
        print(f"|---|---|{'---|' * len(trainings)}")
        for (method, workers), values in regret.items():
            kept = values[partition][:, columns]
            widths = 1.96 * kept.std(axis=0, ddof=1) / np.sqrt(len(kept))
            cells = [f"{mean:.2f} ± {width:.2f}" for mean, width in zip(kept.mean(axis=0), widths, strict=True)]
            print(f"| {method} | {workers} | {' | '.join(cells)} |")


def print_savings(regret: Regret, trainings: Sequence[int]) -> None:
    """How many times fewer epochs a method needs to the median regret on dev that the first method has."""
    print("\nbudget of the first method over the budget with its median regret on dev; 95 % interval (bootstrap)\n")
    print(f"| method | at a time | {' | '.join(f'{n} trainings' for n in trainings)} |")
    print(f"|---|---|{'---|' * len(trainings)}")
    first = next(iter(regret))[0]
    for (method, workers), values in regret.items():
        ratios = [savings(values[0], regret[first, workers][0], n) for n in trainings]
        print(
            f"| {method} | {workers} | {' | '.join(f'{r:.1f} ({low:.1f} to {high:.1f})' for r, low, high in ratios)} |"
        )


def savings(
    values: NDArray[np.float64], reference: NDArray[np.float64], trainings: int, n_resamples: int = 200
) -> tuple[float, float, float]:
    """Ratio of budgets at equal median regret, and its interval from resampled repetitions; 0: never as good."""
    draw = np.random.default_rng(0)

    def ratio(rows: NDArray[np.float64], others: NDArray[np.float64]) -> float:
        as_good = np.median(rows, axis=0) <= np.median(others[:, 2 * trainings - 1]) + 1e-9
        return 2 * trainings / (int(as_good.argmax()) + 1) if as_good.any() else 0.0

    resampled = [
        ratio(
            values[draw.integers(len(values), size=len(values))],
            reference[draw.integers(len(reference), size=len(reference))],
        )
        for _ in range(n_resamples)
    ]
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return ratio(values, reference), float(low), float(high)


def save_plot(regret: Regret, path: Path) -> None:
    """Mean regret against the budget, with its 95 % interval: a row for dev and eval, a column for trials at a time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    at_a_time = sorted({workers for _, workers in regret})
    figure, grid = pyplot.subplots(2, len(at_a_time), figsize=(5 * len(at_a_time), 7), squeeze=False, sharex=True)
    for column, workers in enumerate(at_a_time):
        for row, name in enumerate(PARTITIONS):
            axes = grid[row][column]
            methods = [method for method, n in regret if n == workers]
            for index, method in enumerate(methods):
                values = regret[method, workers][row]
                mean, width = values.mean(axis=0), 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
                budgets = np.arange(1, values.shape[1] + 1) / 2
                color = COLOURS[index % len(COLOURS)]
                style = ("-", "--", ":")[index % 3]
                axes.plot(budgets, mean, style, color=color, label=method)
                axes.fill_between(budgets, mean - width, mean + width, color=color, alpha=0.2, linewidth=0)
            axes.set(xscale="log", title=f"{name}, {workers} at a time", ylabel="mean regret, points")
            if row == 1:
                axes.set_xlabel("budget, full trainings")
    grid[0][-1].legend(fontsize="x-small")
    figure.tight_layout()
    figure.savefig(path)
