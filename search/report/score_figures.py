"""Figures of a report: DET curves, score histograms, EER per attack, embeddings in the plane."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import norm

from core.evaluation import metrics
from core.evaluation.score_file import CmScores
from search.report.scoring import Result

matplotlib.use("agg")  # files alone: a report needs no screen

BONA_FIDE, SPOOF = "#0072b2", "#d55e00"  # told apart by colour-blind readers too
TICKS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
POINTS = 500
"""A DET curve is drawn through at most so many of its points."""


def det_curves(results: Sequence[Result], partition: str, labels: Sequence[str]) -> Figure:
    """Miss against false alarm rate of each result, both on the scale of normal deviates."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.add_subplot()
    lowest = 1.0
    for each, label in zip(results, labels, strict=True):
        bona_fide, spoof = each.scores[partition].bona_fide, each.scores[partition].spoof
        p_miss, p_fa, _ = metrics.det_curve(bona_fide, spoof)
        # Rates of 0 and 1 lie at infinity: the ends are drawn at half an utterance.
        p_miss = np.clip(p_miss, 0.5 / len(bona_fide), 1 - 0.5 / len(bona_fide))
        p_fa = np.clip(p_fa, 0.5 / len(spoof), 1 - 0.5 / len(spoof))
        lowest = min(lowest, float(p_miss.min()), float(p_fa.min()))
        shown = np.unique(np.linspace(0, len(p_miss) - 1, POINTS).astype(int))
        axes.plot(norm.ppf(p_fa[shown]), norm.ppf(p_miss[shown]), label=f"{label} ({_percent(each, partition)} %)")
    ends = norm.ppf([max(lowest, 1e-4), 0.95])
    axes.plot(ends, ends, color="0.7", linewidth=0.8, linestyle=":")
    ticks = [tick for tick in TICKS if tick >= lowest]
    for axis, set_limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        axis.set_ticks(norm.ppf(ticks), [f"{100 * tick:g}" for tick in ticks])
        set_limits(*ends)
    axes.set_xlabel("false alarms: spoofed speech accepted, %")
    axes.set_ylabel("misses: bona fide speech rejected, %")
    axes.set_title(f"DET on {partition} (EER)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def histogram(scores: CmScores, threshold: float, title: str) -> Figure:
    """CM scores of both classes, each with the same area, and the threshold of the equal error rate on dev."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    bona_fide, spoof = scores.bona_fide, scores.spoof
    bins = np.histogram_bin_edges(scores.scores, bins=60).tolist()
    axes.hist(spoof, bins, density=True, alpha=0.6, color=SPOOF, label=f"spoofed ({len(spoof)})")
    axes.hist(bona_fide, bins, density=True, alpha=0.6, color=BONA_FIDE, label=f"bona fide ({len(bona_fide)})")
    axes.axvline(threshold, color="0.2", linestyle="--", linewidth=1, label="threshold of dev's EER")
    axes.set_xlabel("CM score (higher = more bona fide)")
    axes.set_ylabel("density")
    axes.set_title(title)
    axes.legend(fontsize="small")
    return figure


def attack_bars(results: Sequence[Result], partition: str, labels: Sequence[str]) -> Figure:
    """EER of each attack, a row of bars for each attack and a colour for each result."""
    attacks = sorted({attack for each in results for attack in each.measured[partition]["eer_per_attack"]})
    figure = Figure(figsize=(7, 1 + 0.12 * len(attacks) * (len(results) + 1.5)), layout="constrained")
    axes = figure.add_subplot()
    height = 0.85 / len(results)
    for number, (each, label) in enumerate(zip(results, labels, strict=True)):
        rates = [100 * each.measured[partition]["eer_per_attack"].get(attack, np.nan) for attack in attacks]
        places = np.arange(len(attacks)) + (number - (len(results) - 1) / 2) * height
        axes.barh(places, rates, height, label=label)
    axes.axvline(50, color="0.7", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(attacks)), attacks)
    axes.invert_yaxis()
    axes.set_xlabel("EER %, each attack against all bona fide speech")
    axes.set_title(f"Attacks of {partition}")
    axes.legend(fontsize="small")
    return figure


def planes(positions: Mapping[str, NDArray[np.float32]], attack_ids: Sequence[str], labels: NDArray[Any]) -> Figure:
    """Embeddings in the plane: a row for each entry of `positions`, coloured by class (left) and by attack (right).

    Args:
        positions: Title of a row -> `(n, 2)`.
        attack_ids: Attack of each utterance, `(n,)`.
        labels: `(n,)`, 1 = bona fide.
    """
    figure = Figure(figsize=(11, 5 * len(positions)), layout="constrained")
    grid = figure.subplots(len(positions), 2, squeeze=False)
    attacks = np.where(labels == 1, "bona fide", np.asarray(attack_ids))
    names = ["bona fide", *sorted(set(attacks) - {"bona fide"})]
    colours = matplotlib.colormaps["tab20"](np.linspace(0, 1, max(len(names), 2)))
    for (title, places), (by_class, by_attack) in zip(positions.items(), grid, strict=True):
        for label, colour, name in ((0, SPOOF, "spoofed"), (1, BONA_FIDE, "bona fide")):
            by_class.scatter(*places[labels == label].T, s=5, color=colour, label=name)
        for name, colour in zip(names, colours, strict=False):
            by_attack.scatter(*places[attacks == name].T, s=5, color=colour, label=name)
        for axes, what in ((by_class, "class"), (by_attack, "attack")):
            axes.set_title(f"{title}, by {what}")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.legend(fontsize="x-small", markerscale=2, loc="best")
    return figure


def _percent(result: Result, partition: str) -> str:
    return f"{100 * result.measured[partition]['eer']:.2f}"
