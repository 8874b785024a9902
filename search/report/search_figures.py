"""Figures of a search: importances, slices, parallel coordinates, history, Pareto front of objective and cost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from core.cost import Cost
from core.evaluation.objectives import METRICS
from search.report.importance import Importance, pareto_front
from search.report.looks import BLUE, ORANGE, label_points, legend_below
from search.report.score_figures import literal
from search.runs.journal import TrialRecord
from search.space.parameter import Parameter
from search.space.space import Space

NOT_USED = -0.15
"""Height in parallel coordinates of trials that lack a conditional hyperparameter, below the range of its values."""

BEHIND_TEXT = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
"""Keeps a text legible on lines."""


def plot_importances(importances: Sequence[Importance]) -> Figure:
    """Importances of hyperparameters as bars, the first on top; at least one importance."""
    figure = Figure(figsize=(7, 1 + 0.35 * len(importances)), layout="constrained")
    axes = figure.add_subplot()
    fractions = [importance.fraction for importance in importances]
    axes.barh([importance.path for importance in importances], fractions, color=BLUE)
    for row, importance in enumerate(importances):
        text = f" {importance.fraction:.2f} ({importance.n_trials} trials)"
        axes.text(importance.fraction, row, text, va="center", fontsize="small")
    axes.set_xlim(0, 1.25 * max(fractions) or 1)
    axes.invert_yaxis()
    axes.set_xlabel("fraction of the objective's variance")
    axes.set_title("Importance of hyperparameters")
    return figure


def plot_slices(space: Space, records: Sequence[TrialRecord], objective: str) -> Figure:
    """The objective against every hyperparameter, one panel per hyperparameter, one point per trial that has it.

    Args:
        space: The space that was searched.
        records: Its trials; those without a finite objective are left out, and at least one is needed.
        objective: Key of METRICS.
    """
    records = [record for record in records if math.isfinite(record.objective)]
    shown = _varied(space, records)
    n_columns = 2 if len(shown) == 4 else min(3, len(shown))
    n_rows = -(-len(shown) // n_columns)
    figure = Figure(figsize=(4 * n_columns, 3 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
    scale = METRICS[objective].scale
    random = np.random.default_rng(0)
    colours = _colours([float(record.number) for record in records], "viridis")  # one scale for all panels
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, parameter in zip(grid.flat, shown, strict=False):
        active = [record for record in records if parameter.path in record.values]
        positions = np.array([_position(parameter, record.values[parameter.path]) for record in active])
        if parameter.kind == "choice":
            axes.set_xticks(range(len(parameter.labels)), [literal(label) for label in parameter.labels], rotation=20)
            axes.set_xlim(-0.5, len(parameter.labels) - 0.5)
            positions = positions + random.uniform(-0.15, 0.15, len(positions))  # equal values do not hide each other
        elif parameter.kind == "log_uniform":
            axes.set_xscale("log")
        values = [scale * record.objective for record in active]
        axes.scatter(positions, values, color=colours.to_rgba([record.number for record in active]), s=18)
        axes.set_xlabel(parameter.path)
        axes.grid(alpha=0.3)
    for row in grid:
        row[0].set_ylabel(METRICS[objective].label)
    figure.colorbar(colours, ax=list(grid.flat), label="trial", shrink=0.8)
    return figure


def plot_parallel_coordinates(space: Space, records: Sequence[TrialRecord], objective: str) -> Figure:
    """Parallel coordinates: a trial is a line through its hyperparameter values, coloured by its objective.

    Where a conditional hyperparameter is inactive, the line passes below the range, at the mark "not used".

    Args:
        space: The space that was searched.
        records: Its trials; those without a finite objective are left out, and at least one is needed.
        objective: Key of METRICS.
    """
    finite = (record for record in records if math.isfinite(record.objective))
    records = sorted(finite, key=lambda record: -record.objective)
    shown = _varied(space, records)
    figure = Figure(figsize=(max(7, 1.6 * len(shown)), 5), layout="constrained")
    axes = figure.add_subplot()
    values = [METRICS[objective].scale * record.objective for record in records]
    colours = _colours(values, "viridis_r")
    for record, value in zip(records, values, strict=True):  # the best are drawn last, on top
        heights = [
            _height(parameter, record.values[parameter.path]) if parameter.path in record.values else NOT_USED
            for parameter in shown
        ]
        axes.plot(range(len(shown)), heights, color=colours.to_rgba(value), marker="o", markersize=3, linewidth=1)
    for column, parameter in enumerate(shown):
        axes.axvline(column, color="0.6", linewidth=0.8)
        for height, text in _ticks(parameter):
            axes.text(column + 0.03, height, text, fontsize="x-small", va="center", bbox=BEHIND_TEXT)
        if any(parameter.path not in record.values for record in records):
            axes.text(
                column + 0.03, NOT_USED, "not used", fontsize="x-small", va="center", style="italic", bbox=BEHIND_TEXT
            )
    axes.set_xticks(range(len(shown)), [parameter.path for parameter in shown], rotation=20, ha="right")
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(shown) - 0.6)
    axes.set_title("Parallel coordinates of the configurations")
    figure.colorbar(colours, ax=axes, label=METRICS[objective].label)
    return figure


def plot_history(records: Sequence[TrialRecord], epochs: Sequence[tuple[int, int, float]], objective: str) -> Figure:
    """The best objective so far, by trial and by epoch.

    Args:
        records: The trials, which are drawn in the order in which they ended; those without an end are left out.
        epochs: Epochs of all trials in the order of their ends: number of the trial, epoch, objective.
        objective: Key of METRICS.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    by_trial, by_epoch = figure.subplots(1, 2, sharey=True)
    scale = METRICS[objective].scale
    records = sorted(
        (record for record in records if record.status != "running"), key=lambda record: (record.time, record.number)
    )
    trial_values = np.array([scale * record.objective for record in records])
    trials = range(1, len(trial_values) + 1)
    by_trial.scatter(trials, trial_values, s=14, color=BLUE, label="trial")
    by_trial.step(trials, _best_so_far(trial_values, scale), where="post", color=ORANGE, label="best so far")
    by_trial.set_xlabel("trials, in the order of their ends")
    epoch_values = np.array([scale * value for _, _, value in epochs])
    by_epoch.step(range(1, len(epoch_values) + 1), _best_so_far(epoch_values, scale), where="post", color=ORANGE)
    by_epoch.set_xlabel("epochs of all trials")
    by_trial.set_ylabel(METRICS[objective].label)
    legend_below(figure, by_trial, columns=2)
    for axes in (by_trial, by_epoch):
        axes.grid(alpha=0.3)
    return figure


def plot_pareto_front(records: Sequence[TrialRecord], costs: Mapping[int, Cost], objective: str) -> Figure:
    """The objective against operations; the trials on the Pareto front are joined and labelled.

    Args:
        records: The trials; those without a finite objective or known operations are left out.
        costs: Cost by number of the trial; at least one trial has known operations.
        objective: Key of METRICS.
    """
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    front, scale = pareto_front(records, costs), METRICS[objective].scale
    points = {}
    for record in records:
        gmacs = costs[record.number].gmacs
        if gmacs is not None and math.isfinite(record.objective):
            points[record.number] = (gmacs, scale * record.objective)
    all_points = np.array(list(points.values()))
    axes.scatter(all_points[:, 0], all_points[:, 1], s=16, color="0.6", label="trial")
    line = np.array(sorted(points[number] for number in front))
    axes.plot(line[:, 0], line[:, 1], color=ORANGE, marker="o", label="Pareto front, with the numbers of its trials")
    axes.set_xscale("log")
    axes.set_xlabel("GMACs per utterance")
    axes.set_ylabel(METRICS[objective].label)
    axes.set_title("Pareto front of objective and operations")
    axes.grid(alpha=0.3)
    legend_below(figure, axes, columns=2)
    label_points(figure, axes, {str(number): points[number] for number in sorted(front, key=points.__getitem__)})
    return figure


def _varied(space: Space, records: Sequence[TrialRecord]) -> list[Parameter]:
    """The searched hyperparameters that at least one trial has."""
    return [parameter for parameter in space.searched if any(parameter.path in record.values for record in records)]


def _best_so_far(values: np.ndarray[Any, Any], scale: float) -> np.ndarray[Any, Any]:
    """Running best of the values (the maximum if `scale` is negative); NaN before the first finite value."""
    finite = np.where(np.isfinite(values), values, math.copysign(math.inf, scale))
    best: np.ndarray[Any, Any] = (np.maximum if scale < 0 else np.minimum).accumulate(finite)
    return np.where(np.isfinite(best), best, np.nan)


def _position(parameter: Parameter, value: Any) -> float:
    """Position of a value on a horizontal axis: the index of a label, or the number itself."""
    return parameter.labels.index(value) if parameter.kind == "choice" else float(value)


def _height(parameter: Parameter, value: Any) -> float:
    """Position of a value between the ends of its range, from 0 to 1."""
    if parameter.kind == "choice":
        return parameter.labels.index(value) / max(len(parameter.labels) - 1, 1)
    low, high, number = parameter.low, parameter.high, float(value)
    if parameter.kind == "log_uniform":
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low)


def _ticks(parameter: Parameter) -> list[tuple[float, str]]:
    """Heights and texts of the ticks of a hyperparameter: its labels, or the ends of its range."""
    if parameter.kind == "choice":
        return [(_height(parameter, label), literal(label)) for label in parameter.labels]
    return [(0.0, f"{parameter.low:g}"), (1.0, f"{parameter.high:g}")]


def _colours(values: Sequence[float], name: str) -> Any:
    """A scale of colours over the range of some values."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(min(values), max(values)), name)
