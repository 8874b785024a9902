"""Layers of a front end in a report: what the trials reached with them, and the weights of learned mixes."""

import math
import statistics
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core import checkpoint
from core.detector import Detector
from core.training.fit import best_detector
from search.report.looks import legend_below, styles
from search.report.tables import Table
from search.runs.describe import describe_objective
from search.runs.journal import TrialRecord
from search.runs.trial_folder import TrialFolder

LAYER = "input.layer"
"""Path of the hyperparameter that says which layer a trial reads."""

LayerWeights = Mapping[int, Mapping[int, float]]
"""Number of a trial -> index of a layer -> its weight in the learned mix."""


def layer_weights_of(run: TrialFolder, records: Sequence[TrialRecord]) -> LayerWeights:
    """Weights of the layers in the best detectors of trials that learned a mix, in the order of `records`.

    Args:
        run: Folder of the trials.
        records: Trials with a checkpoint.
    """
    weights: dict[int, Mapping[int, float]] = {}
    for record in records:
        path = run.checkpoint(record.number)
        assert path is not None
        state = checkpoint.load(path)
        if state["experiment"]["input"].get("layer") == "mix":  # states of earlier versions have no layer
            detector = best_detector(state)
            assert isinstance(detector, Detector)
            weights[record.number] = detector.layer_weights()
    return weights


def layers_table(records: Sequence[TrialRecord], objective: str) -> Table | None:
    """One row per searched value of `input.layer`, the best first; None if no trial with a finite objective has one.

    Args:
        records: All trials of the search.
        objective: Key of METRICS.
    """
    by_layer: dict[str, list[float]] = {}
    for record in records:
        if LAYER in record.values and math.isfinite(record.objective):
            by_layer.setdefault(str(record.values[LAYER]), []).append(record.objective)
    if not by_layer:
        return None
    rows = []
    for layer, values in sorted(by_layer.items(), key=lambda item: min(item[1])):
        cells = (describe_objective(objective, value, name=False) for value in (min(values), statistics.median(values)))
        rows.append((layer, str(len(values)), *cells))
    heads = (LAYER, "trials", f"best {objective}", f"median {objective}")
    return Table("Layers of the front end in the search", heads, tuple(rows))


def layer_weights_table(weights: LayerWeights) -> Table:
    """One row per trial that learned a mix: the weight of every layer in per cent. A layer that it lacks has `-`."""
    layers = sorted({layer for of_trial in weights.values() for layer in of_trial})
    rows = []
    for number, of_trial in weights.items():
        cells = (f"{100 * of_trial[layer]:.1f}" if layer in of_trial else "-" for layer in layers)
        rows.append((str(number), *cells))
    heads = ("trial", *(f"layer {layer}" for layer in layers))
    return Table("Weights of the layers in learned mixes, %", heads, tuple(rows))


def plot_layer_weights(weights: LayerWeights) -> Figure:
    """The weights of learned mixes against the layer, one line per trial; at least one trial."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for (number, of_trial), style in zip(weights.items(), styles(len(weights)), strict=True):
        layers = sorted(of_trial)
        axes.plot(layers, [of_trial[layer] for layer in layers], **style, marker="o", label=f"trial {number}")
    layers = sorted({layer for of_trial in weights.values() for layer in of_trial})
    axes.set_xticks(layers)
    axes.axhline(1 / len(layers), color="0.6", linestyle="dotted", label="equal weights")
    axes.set_ylim(0, 1.1 * max(weight for of_trial in weights.values() for weight in of_trial.values()))
    axes.set_xlabel("layer of the front end")
    axes.set_ylabel("weight in the mix")
    axes.set_title("Learned mixes of layers")
    axes.grid(alpha=0.3)
    legend_below(figure, axes, columns=5)
    return figure
