"""Confirmation as a race against the same number of seeds for all, by simulation.

    python benchmarks/racing.py                                      # two minutes on one core
    python benchmarks/racing.py --curves benchmarks/curves/dev.parquet

A search has tried `--trials` configurations once. Its `--top` best ones are trained again with fresh seeds, and the
lowest mean is chosen. Values of a configuration are normal around its true mean. The unit is their deviation over
seeds. The true means are normal with a deviation of `--ratios` times that unit, or those of a table of learning curves,
with the deviation over seeds of the configurations that are about as good.

The table has, for every method: how often it chooses the configuration of the lowest true mean among those confirmed;
how much worse the true mean of its choice is (in deviations over seeds); how often it chooses as if all had had all
seeds; and its trainings. The last column has the trainings that the same probability takes with the same number of
seeds for all, interpolated. The same draws serve all methods.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search.methods.confirmations import FIRST_SEEDS, undecided

FloatArray = NDArray[np.float64]

Population = Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray]]
"""Draws the true means and the deviations over seeds of a number of configurations."""

SAME_SEEDS = (2, 3, 4, 5, 7, 9)


class Choices(NamedTuple):
    """Results of one method in all repetitions: index of the chosen configuration, and number of trainings."""

    chosen: NDArray[np.int64]
    trainings: NDArray[np.int64]


def normal_population(ratio: float) -> Population:
    """True means with a deviation of `ratio` around 0; a deviation over seeds of 1."""
    return lambda draw, n: (draw.normal(0, ratio, n), np.ones(n))


def tabled_population(path: Path, objective: str) -> Population:
    """Configurations of a table of learning curves; every training counts with its best epoch.

    The deviation of a configuration is that of the 51 configurations around it in the order of the means, because two
    seeds alone say little.
    """
    import pyarrow.parquet as pq

    columns = pq.read_table(path, columns=["configuration", "seed", objective]).to_pydict()
    best: dict[tuple[int, int], float] = {}
    for key, value in zip(zip(columns["configuration"], columns["seed"], strict=True), columns[objective], strict=True):
        best[key] = min(best.get(key, np.inf), float(value))
    rows: dict[int, list[float]] = {}
    for (configuration, _), value in best.items():
        rows.setdefault(configuration, []).append(value)
    several = sorted((row for row in rows.values() if len(row) > 1), key=np.mean)
    means = np.array([np.mean(row) for row in several])
    variances = np.array([np.var(row, ddof=1) for row in several])
    around = [variances[max(0, index - 25) : index + 26].mean() for index in range(len(several))]
    unit = float(np.sqrt(variances.mean()))
    print(f"{len(several)} configurations of {path}, deviation over seeds {unit:.4g}, over means {means.std():.4g}")

    def population(draw: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
        drawn = draw.choice(len(several), n, replace=False)
        return means[drawn] / unit, np.sqrt(np.array(around)[drawn]) / unit

    return population


def confirmed_values(
    population: Population, *, n_trials: int, top: int, seeds: int, repeats: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """True means `(top,)` of the best configurations of searches, and values of fresh seeds `(top, seeds)`."""
    draw = np.random.default_rng(0)
    for _ in range(repeats):
        means, deviations = population(draw, n_trials)
        best = np.argsort(draw.normal(means, deviations))[:top]
        yield means[best], draw.normal(means[best, None], deviations[best, None], (top, seeds))


def raced(values: FloatArray, *, seeds: int, level: float) -> tuple[int, int]:
    """The choice of a race, and its trainings; `values` has the seeds that it may use."""
    n_seeds = [FIRST_SEEDS] * len(values)
    while True:
        known = [list(row[:n]) for row, n in zip(values, n_seeds, strict=True)]
        further = undecided(known, seeds=seeds, level=level)
        if not further:
            return int(np.argmin([np.mean(row) for row in known])), sum(n_seeds)
        for index in further:
            n_seeds[index] += 1


def compare(population: Population, *, n_trials: int, top: int, repeats: int) -> None:
    """Prints the table of one population."""
    draws = list(confirmed_values(population, n_trials=n_trials, top=top, seeds=max(SAME_SEEDS), repeats=repeats))
    true = np.array([means for means, _ in draws])
    right = true.argmin(axis=1)
    same = {
        n: Choices(
            np.array([values[:, :n].mean(axis=1).argmin() for _, values in draws]), np.full(repeats, top * n, np.int64)
        )
        for n in SAME_SEEDS
    }
    curve = [np.mean(choices.chosen == right) for choices in same.values()]
    counts = [top * n for n in same]
    lines = [(f"retrain, {n} seeds", n, choices) for n, choices in same.items()]
    for n in (3, 5, 7, 9):
        for level in (0.8, 0.9, 0.95):
            chosen, trainings = zip(*(raced(values, seeds=n, level=level) for _, values in draws), strict=True)
            lines.append((f"race, {n} seeds, level {level:g}", n, Choices(np.array(chosen), np.array(trainings))))
    print(f"{'method':28}{'right %':>14}{'worse by':>10}{'as all %':>10}{'trainings':>11}{'same seeds':>12}")
    for name, n, choices in lines:
        hits = choices.chosen == right
        error = 100 * np.sqrt(hits.mean() * (1 - hits.mean()) / repeats)
        worse = np.mean(true[np.arange(repeats), choices.chosen] - true.min(axis=1))
        agreement = 100 * np.mean(choices.chosen == same[n].chosen)
        needed = np.interp(hits.mean(), curve, counts)
        cells = f"{100 * hits.mean():8.1f} +-{error:3.1f}{worse:10.3f}{agreement:10.1f}{choices.trainings.mean():11.2f}"
        print(f"{name:28}{cells}{needed:12.1f}")


def main() -> None:
    """Prints a table for every ratio of the deviations, or for a table of learning curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.5, 1, 2, 4])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--top", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=4000)
    parser.add_argument("--curves", type=Path, help="Parquet file with configuration, seed, epoch and the objective")
    parser.add_argument("--objective", default="dev_eer")
    options = parser.parse_args()
    if options.curves is not None:
        populations = {str(options.curves): tabled_population(options.curves, options.objective)}
    else:
        populations = {
            f"deviation of the true means {ratio:g} times that over seeds": normal_population(ratio)
            for ratio in options.ratios
        }
    for title, population in populations.items():
        print(f"\n{title}; the best {options.top} of {options.trials} trials, {options.repeats} repetitions")
        compare(population, n_trials=options.trials, top=options.top, repeats=options.repeats)


if __name__ == "__main__":
    main()
