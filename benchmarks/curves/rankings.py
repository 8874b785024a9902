"""How well the metrics on dev rank configurations for eval: rank correlations, and the eval EER of what they choose.

Eval is read here to measure objectives that exist, not to choose configurations.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from benchmarks.curves.table import Table
from core.evaluation.objectives import OBJECTIVES

Array = NDArray[np.float64]
FRONT_END = "front_end.name"
SUBSET, N_SUBSETS, N_RESAMPLES = 60, 2000, 500
"""Configurations of a choice, choices, and resamples of an interval."""


def judged(table: Table) -> Mapping[str, tuple[Array, Array]]:
    """Objective -> its best value of every training, and the eval EER at that epoch, `(n_configurations, n_seeds)`.

    `mean rank` orders by the mean of the ranks by all objectives, and takes the epoch of `dev_eer`.
    """
    by_objective: dict[str, tuple[Array, Array]] = {}
    for name in OBJECTIVES:
        if name in table.metrics:
            curves = table.objective(name)
            best = curves.argmin(axis=2)[:, :, None]
            at_best = (np.take_along_axis(each, best, axis=2)[:, :, 0] for each in (curves, table.eval_eer))
            by_objective[name] = (next(at_best), next(at_best))
    ranks = [rankdata(values, axis=0) for values, _ in by_objective.values()]
    by_objective["mean rank"] = (np.mean(ranks, axis=0), by_objective["dev_eer"][1])
    return by_objective


def print_rankings(table: Table) -> None:
    """Prints the table of objectives."""
    families = np.array([str(values[FRONT_END]) for values in table.configurations])
    names = list(dict.fromkeys(families))
    lowest = np.nanmin(table.eval_eer.mean(axis=1))
    print(f"\nlowest eval EER of any epoch of a configuration, mean of its seeds (a bound): {100 * lowest:.1f} %\n")
    print(f"| objective | Spearman, all | {' | '.join(names)} | eval EER of the choice, all | {' | '.join(names)} |")
    print(f"|---|---|{'---|' * (2 * len(names) + 1)}")
    groups = [np.ones(len(families), dtype=bool), *(families == name for name in names)]
    for objective, (values, unseen) in judged(table).items():
        cells = [_correlation(values[group], unseen[group]) for group in groups]
        cells += [_choice(values[group], unseen[group]) for group in groups]
        print(f"| {objective} | {' | '.join(cells)} |", flush=True)


def _correlation(values: Array, unseen: Array) -> str:
    """Spearman's correlation of the means over seeds, with a 95 % interval from resampled configurations."""
    first, second = values.mean(axis=1), unseen.mean(axis=1)
    kept = np.isfinite(first) & np.isfinite(second)
    first, second, draw = first[kept], second[kept], np.random.default_rng(0)
    rows = draw.integers(len(first), size=(N_RESAMPLES, len(first)))
    low, high = np.quantile([spearmanr(first[r], second[r]).statistic for r in rows], (0.025, 0.975))
    return f"{spearmanr(first, second).statistic:+.2f} ({low:+.2f} to {high:+.2f})"


def _choice(values: Array, unseen: Array) -> str:
    """Mean and deviation of the eval EER of the best of 60 configurations by one seed, over random sets of 60, in %."""
    draw, chosen = np.random.default_rng(0), []
    for _ in range(N_SUBSETS):
        subset = draw.choice(len(values), size=min(SUBSET, len(values)), replace=False)
        seeds = draw.integers(values.shape[1], size=len(subset))
        best = int(np.argmin(np.nan_to_num(values[subset, seeds], nan=np.inf)))
        chosen.append(unseen[subset[best], seeds[best]])
    return f"{100 * np.mean(chosen):.1f} ± {100 * np.std(chosen):.1f}"
