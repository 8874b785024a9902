"""What a search tells of its space: which hyperparameters matter, where good values lie, what a better EER costs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from core.cost import Cost
from search.journal import TrialRecord
from search.optuna_space import distributions
from search.parameter import Parameter
from search.sheets import Sheet
from search.space import Space
from search.wording import describe_objective, describe_values

ENOUGH = 12
"""Trials below which no importance is told: a forest on fewer finds patterns in noise."""

BLUE, ORANGE = "#0072b2", "#d55e00"  # told apart by colour-blind readers too


@dataclass(frozen=True)
class Importance:
    """How much of the objective's variance over the space a parameter explains.

    Attributes:
        path: Of the parameter.
        share: In [0, 1], beside the others that are active in the same trials.
        n_trials: On how many trials it rests: those in which the parameter was active.
    """

    path: str
    share: float
    n_trials: int


def importances(space: Space, records: Sequence[TrialRecord]) -> list[Importance]:
    """Importance of each parameter that was active in enough trials (fANOVA, Hutter 2014), the greatest first.

    A parameter under a condition is judged among the trials in which it was active; its share is not comparable with
    those of parameters that were active always, which is why the number of trials stands beside it.

    Args:
        space: What was searched.
        records: Its trials; those without a finite objective are left out.
    """
    found = []
    usable = [each for each in records if math.isfinite(each.objective) and space.holds(each.values)]
    known = distributions(space)
    for parameter in space.searched:
        having = [each for each in usable if parameter.path in each.values]
        values = {str(each.values[parameter.path]) for each in having}
        if len(having) < ENOUGH or len(values) < 2 or len({each.objective for each in having}) < 2:
            continue
        common = [each.path for each in space.searched if all(each.path in one.values for one in having)]
        study = optuna.create_study()
        study.add_trials(
            [
                optuna.trial.create_trial(
                    params={path: each.values[path] for path in common},
                    distributions={path: known[path] for path in common},
                    value=each.objective,
                )
                for each in having
            ]
        )
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
        found.append(Importance(parameter.path, float(shares.get(parameter.path, 0.0)), len(having)))
    return sorted(found, key=lambda each: (-each.share, each.path))


def importance_sheet(found: Sequence[Importance]) -> Sheet:
    """The importances as a table."""
    rows = tuple((each.path, f"{each.share:.3f}", str(each.n_trials)) for each in found)
    title = "Importance of hyperparameters (fANOVA; each among the trials in which it was active)"
    return Sheet(title, ("parameter", "share of variance", "trials"), rows)


def cost_sheet(records: Sequence[TrialRecord], costs: Mapping[int, Cost], objective: str) -> Sheet:
    """What each trial's detector costs, and which ones no other beats in both objective and operations."""
    best = front(records, costs)
    rows = []
    for each in records:
        cost = costs[each.number]
        cells = (
            str(each.number),
            describe_objective(objective, each.objective, name=False),
            f"{cost.parameters:,}",
            "-" if cost.gmacs is None else f"{cost.gmacs:.3f}",
            "-" if cost.real_time_factor is None else f"{cost.real_time_factor:.4f}",
            "yes" if each.number in best else "",
            describe_values(each.values) or "-",
        )
        rows.append(cells)
    heads = ("trial", objective, "parameters", "GMACs an utterance", "real-time factor", "front", "configuration")
    return Sheet("Cost (real-time factor: this machine's CPU, front end included)", heads, tuple(rows))


def front(records: Sequence[TrialRecord], costs: Mapping[int, Cost]) -> set[int]:
    """Trials to which no other is at least equal in both objective and operations, and better in one (Pareto front)."""
    points = {}
    for each in records:
        gmacs = costs[each.number].gmacs
        if gmacs is not None and math.isfinite(each.objective):
            points[each.number] = (each.objective, gmacs)
    return {
        number
        for number, (objective, gmacs) in points.items()
        if not any(
            other[0] <= objective and other[1] <= gmacs and other != (objective, gmacs) for other in points.values()
        )
    }


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
    scale = _scale(objective)
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
        row[0].set_ylabel(_axis(objective))
    figure.colorbar(points, ax=list(grid.flat), label="trial", shrink=0.8)
    return figure


def parallel(space: Space, records: Sequence[TrialRecord], objective: str) -> Figure:
    """Each trial as a line through its values, coloured by the objective; where a parameter is off, the line breaks."""
    records = sorted((each for each in records if math.isfinite(each.objective)), key=lambda each: -each.objective)
    shown = [each for each in space.searched if any(each.path in one.values for one in records)]
    figure = Figure(figsize=(max(7, 1.6 * len(shown)), 5), layout="constrained")
    axes = figure.add_subplot()
    values = [_scale(objective) * each.objective for each in records]
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
    figure.colorbar(colours, ax=axes, label=_axis(objective))
    return figure


def history(records: Sequence[TrialRecord], epochs: Sequence[tuple[int, int, float]], objective: str) -> Figure:
    """The best value so far against trials that ended and against epochs that were spent."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    by_trial, by_epoch = figure.subplots(1, 2, sharey=True)
    scale = _scale(objective)
    ended = np.array([scale * each.objective for each in records])
    by_trial.scatter(range(1, len(ended) + 1), ended, s=14, color=BLUE, label="a trial")
    by_trial.step(range(1, len(ended) + 1), _best(ended, scale), where="post", color=ORANGE, label="best so far")
    by_trial.set_xlabel("trials")
    spent = np.array([scale * value for _, _, value in epochs])
    by_epoch.step(range(1, len(spent) + 1), _best(spent, scale), where="post", color=ORANGE)
    by_epoch.set_xlabel("epochs of all trials")
    by_trial.set_ylabel(_axis(objective))
    by_trial.legend(fontsize="small")
    for axes in (by_trial, by_epoch):
        axes.grid(alpha=0.3)
    return figure


def tradeoff(records: Sequence[TrialRecord], costs: Mapping[int, Cost], objective: str) -> Figure:
    """The objective against operations; the trials that no other beats in both are joined and named."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    best, scale = front(records, costs), _scale(objective)
    known = [each for each in records if math.isfinite(each.objective) and costs[each.number].gmacs is not None]
    places = {each.number: (costs[each.number].gmacs or 0.0, scale * each.objective) for each in known}
    everyone = np.array(list(places.values()))
    axes.scatter(everyone[:, 0], everyone[:, 1], s=16, color="0.6", label="a trial")
    line = np.array(sorted(places[number] for number in best))
    axes.plot(line[:, 0], line[:, 1], color=ORANGE, marker="o", label="none is better in both")
    for number in best:
        axes.annotate(f"trial {number}", places[number], textcoords="offset points", xytext=(5, 5), fontsize="small")
    axes.set_xscale("log")
    axes.set_xlabel("GMACs an utterance")
    axes.set_ylabel(_axis(objective))
    axes.set_title("What a better detector costs")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def _scale(objective: str) -> float:
    return 100.0 if objective.endswith("_eer") else -1.0 if objective.endswith("_auc") else 1.0


def _axis(objective: str) -> str:
    return f"{objective}, %" if objective.endswith("_eer") else objective


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
