"""Figures of a search: which hyperparameters matter, where good values lie, what a better EER costs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from core.cost import Cost
from core.evaluation.objectives import METRICS
from search.report.importance import Importance, pareto_front
from search.runs.journal import TrialRecord
from search.space.parameter import Parameter
from search.space.space import Space

BLUE, ORANGE = "#0072b2", "#d55e00"  # told apart by colour-blind readers too


def importance_bars(found: Sequence[Importance]) -> Figure:
    """Importances as bars, the greatest on top."""
    figure = Figure(figsize=(7, 1 + 0.35 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([each.path for each in found], [each.share for each in found], color=BLUE)
    for row, each in enumerate(found):
        axes.text(each.share, row, f" {each.share:.2f} ({each.n_trials} trials)", va="center", fontsize="small")
    axes.set_xlim(0, 1.25 * max(each.share for each in found) or 1)
    axes.invert_yaxis()
    axes.set_xlabel("share of the objective's variance")
    axes.set_title("Importance of hyperparameters")
    return figure


def slices(space: Space, records: Sequence[TrialRecord], objective: str) -> Figure:
    """The objective against each parameter, one panel each; a trial is a point wherever it has the parameter."""
    records = [each for each in records if math.isfinite(each.objective)]
    shown = [each for each in space.searched if any(each.path in one.values for one in records)]
    n_columns = min(3, len(shown))
    n_rows = -(-len(shown) // n_columns)
    figure = Figure(figsize=(4 * n_columns, 3 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
    scale = METRICS[objective].scale
    draw = np.random.default_rng(0)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, parameter in zip(grid.flat, shown, strict=False):
        having = [each for each in records if parameter.path in each.values]
        places = np.array([_place(parameter, each.values[parameter.path]) for each in having])
        if parameter.kind == "choice":
            axes.set_xticks(range(len(parameter.labels)), [str(each) for each in parameter.labels], rotation=20)
            axes.set_xlim(-0.5, len(parameter.labels) - 0.5)
            places = places + draw.uniform(-0.15, 0.15, len(places))
        elif parameter.kind == "log_uniform":
            axes.set_xscale("log")
        values = [scale * each.objective for each in having]
        points = axes.scatter(places, values, c=[each.number for each in having], cmap="viridis", s=18)
        axes.set_xlabel(parameter.path)
        axes.grid(alpha=0.3)
    for row in grid:
        row[0].set_ylabel(METRICS[objective].label)
    figure.colorbar(points, ax=list(grid.flat), label="trial", shrink=0.8)
    return figure


def parallel(space: Space, records: Sequence[TrialRecord], objective: str) -> Figure:
    """Each trial as a line through its values, coloured by the objective; where a parameter is off, the line breaks."""
    records = sorted((each for each in records if math.isfinite(each.objective)), key=lambda each: -each.objective)
    shown = [each for each in space.searched if any(each.path in one.values for one in records)]
    figure = Figure(figsize=(max(7, 1.6 * len(shown)), 5), layout="constrained")
    axes = figure.add_subplot()
    values = [METRICS[objective].scale * each.objective for each in records]
    colours = _colours(values)
    for each, value in zip(records, values, strict=True):  # the best are drawn last, on top
        heights = [_height(parameter, each.values.get(parameter.path)) for parameter in shown]
        axes.plot(range(len(shown)), heights, color=colours.to_rgba(value), marker="o", markersize=3, linewidth=1)
    for column, parameter in enumerate(shown):
        axes.axvline(column, color="0.6", linewidth=0.8)
        for height, text in _ticks(parameter):
            axes.text(column + 0.02, height, text, fontsize="x-small", va="center")
    axes.set_xticks(range(len(shown)), [each.path for each in shown], rotation=20, ha="right")
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(shown) - 0.6)
    axes.set_title("Configurations")
    figure.colorbar(colours, ax=axes, label=METRICS[objective].label)
    return figure


def history(records: Sequence[TrialRecord], epochs: Sequence[tuple[int, int, float]], objective: str) -> Figure:
    """The best value so far against trials that ended and against epochs that were spent."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    by_trial, by_epoch = figure.subplots(1, 2, sharey=True)
    scale = METRICS[objective].scale
    ended = np.array([scale * each.objective for each in records])
    by_trial.scatter(range(1, len(ended) + 1), ended, s=14, color=BLUE, label="a trial")
    by_trial.step(range(1, len(ended) + 1), _best(ended, scale), where="post", color=ORANGE, label="best so far")
    by_trial.set_xlabel("trials")
    spent = np.array([scale * value for _, _, value in epochs])
    by_epoch.step(range(1, len(spent) + 1), _best(spent, scale), where="post", color=ORANGE)
    by_epoch.set_xlabel("epochs of all trials")
    by_trial.set_ylabel(METRICS[objective].label)
    by_trial.legend(fontsize="small")
    for axes in (by_trial, by_epoch):
        axes.grid(alpha=0.3)
    return figure


def tradeoff(records: Sequence[TrialRecord], costs: Mapping[int, Cost], objective: str) -> Figure:
    """The objective against operations; the trials on the Pareto front are joined and named."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    best, scale = pareto_front(records, costs), METRICS[objective].scale
    known = [each for each in records if math.isfinite(each.objective) and costs[each.number].gmacs is not None]
    places = {each.number: (costs[each.number].gmacs or 0.0, scale * each.objective) for each in known}
    everyone = np.array(list(places.values()))
    axes.scatter(everyone[:, 0], everyone[:, 1], s=16, color="0.6", label="a trial")
    line = np.array(sorted(places[number] for number in best))
    axes.plot(line[:, 0], line[:, 1], color=ORANGE, marker="o", label="Pareto front")
    for number in best:
        axes.annotate(f"trial {number}", places[number], textcoords="offset points", xytext=(5, 5), fontsize="small")
    axes.set_xscale("log")
    axes.set_xlabel("GMACs an utterance")
    axes.set_ylabel(METRICS[objective].label)
    axes.set_title("What a better detector costs")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def _best(values: np.ndarray[Any, Any], scale: float) -> np.ndarray[Any, Any]:
    """The best of the values so far; infinite where there was none."""
    known = np.where(np.isfinite(values), values, math.copysign(math.inf, scale))
    found: np.ndarray[Any, Any] = (np.maximum if scale < 0 else np.minimum).accumulate(known)
    return np.where(np.isfinite(found), found, np.nan)


def _place(parameter: Parameter, value: Any) -> float:
    return parameter.labels.index(value) if parameter.kind == "choice" else float(value)


def _height(parameter: Parameter, value: Any) -> float:
    """Where a value lies between the ends of its range, from 0 to 1; NaN where there is none."""
    if value is None and (parameter.kind != "choice" or None not in parameter.labels):
        return math.nan
    if parameter.kind == "choice":
        return parameter.labels.index(value) / max(len(parameter.labels) - 1, 1)
    low, high, place = parameter.low, parameter.high, float(value)
    if parameter.kind == "log_uniform":
        low, high, place = math.log(low), math.log(high), math.log(place)
    return (place - low) / (high - low)


def _ticks(parameter: Parameter) -> list[tuple[float, str]]:
    if parameter.kind == "choice":
        return [(_height(parameter, each), str(each)) for each in parameter.labels]
    return [(0.0, f"{parameter.low:g}"), (1.0, f"{parameter.high:g}")]


def _colours(values: Sequence[float]) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(min(values), max(values)), "viridis_r")
