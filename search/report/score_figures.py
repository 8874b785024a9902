"""Figures of CM scores and embeddings: DET curves, histograms, EER per attack, t-SNE."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import norm

from core.evaluation import metrics
from core.evaluation.score_file import CmScores
from search.report.looks import BLUE, ORANGE, fills, legend_below, marks, styles
from search.report.scoring import Result

matplotlib.use("agg")  # draws into files: a report needs no screen

BONA_FIDE, SPOOF = BLUE, ORANGE
TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
"""Rates with a tick on the axes of a DET plot (Martin et al., 1997), which has their normal deviates."""

MAX_DET_POINTS = 500
"""Maximum number of drawn points of a DET curve."""


def plot_det_curves(results: Sequence[Result], partition: str, labels: Sequence[str]) -> Figure:
    """DET curves of trials: miss rate against false alarm rate, on axes of normal deviates.

    Args:
        results: Results of the trials, one curve per trial.
        partition: Partition whose scores are drawn.
        labels: Legend of every curve; the EER is added to it.
    """
    figure = Figure(figsize=(6.5, 6.5 + 0.2 * len(results)), layout="constrained")
    axes = figure.add_subplot()
    rates = [float(result.measured[partition]["eer"]) for result in results]
    # Beyond, a detector is of no use, and the middle, where detectors differ, would be small.
    highest, lowest = min(0.95, max(0.4, 2 * max(rates))), 0.4
    for result, label, rate, style in zip(results, labels, rates, styles(len(results)), strict=True):
        bona_fide, spoof = result.scores[partition].bona_fide, result.scores[partition].spoof
        p_miss, p_fa, _ = metrics.det_curve(bona_fide, spoof)
        # Normal deviates of 0 and 1 are infinite: the ends of a curve are drawn at half an utterance.
        p_miss = np.clip(p_miss, 0.5 / len(bona_fide), 1 - 0.5 / len(bona_fide))
        p_fa = np.clip(p_fa, 0.5 / len(spoof), 1 - 0.5 / len(spoof))
        inside = (p_miss <= highest) & (p_fa <= highest)
        lowest = min([lowest, *p_miss[inside], *p_fa[inside]])
        shown = np.unique(np.linspace(0, len(p_miss) - 1, MAX_DET_POINTS).astype(int))
        text = f"{label} ({_percent(result, partition)} %)"
        axes.plot(norm.ppf(p_fa[shown]), norm.ppf(p_miss[shown]), **style, linewidth=1.4, label=text)
        if 0 < rate < 1:
            axes.plot(*norm.ppf([[rate], [rate]]), marker="o", markersize=4, color=style["color"])
    lowest = max(0.7 * lowest, 1e-4)
    ends = norm.ppf([lowest, highest])
    axes.plot(ends, ends, color="0.7", linewidth=0.8, linestyle=":")
    ticks = [tick for tick in TICKS if lowest <= tick <= highest]
    for axis, set_limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        axis.set_ticks(norm.ppf(ticks), [f"{100 * tick:g}" for tick in ticks])
        set_limits(*ends)
    axes.set_xlabel("false alarm rate %: spoofed speech accepted")
    axes.set_ylabel("miss rate %: bona fide speech rejected")
    axes.set_title(f"DET curves on {partition} (EER in brackets, at the dots)")
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    legend_below(figure, axes)
    return figure


def plot_score_histogram(scores: CmScores, threshold: float, title: str) -> Figure:
    """Histograms of the CM scores of both classes, with the same area, and the threshold.

    Args:
        scores: The scores; both classes are needed.
        threshold: Threshold of the equal error rate on dev, in score units.
        title: Title of the figure.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    bona_fide, spoof = scores.bona_fide, scores.spoof
    bins = np.histogram_bin_edges(scores.scores, bins=60).tolist()
    axes.hist(spoof, bins, density=True, alpha=0.6, color=SPOOF, label=f"spoofed ({len(spoof)})")
    axes.hist(bona_fide, bins, density=True, alpha=0.6, color=BONA_FIDE, label=f"bona fide ({len(bona_fide)})")
    axes.axvline(threshold, color="0.2", linestyle="--", linewidth=1, label="threshold of the EER on dev")
    axes.set_xlabel("CM score (higher = more bona fide)")
    axes.set_ylabel("density")
    axes.set_title(title)
    legend_below(figure, axes, columns=3)
    return figure


def plot_eer_per_attack(results: Sequence[Result], partition: str, labels: Sequence[str]) -> Figure:
    """EER of every attack of a partition as bars, one colour per trial.

    Args:
        results: Results of the trials.
        partition: Partition whose attacks are drawn.
        labels: Legend of every trial.
    """
    attacks = sorted({attack for result in results for attack in result.measured[partition]["eer_per_attack"]})
    bars = len(attacks) * (len(results) + 1.5)
    figure = Figure(figsize=(7, 1.2 + 0.12 * bars + 0.2 * len(results)), layout="constrained")
    axes = figure.add_subplot()
    height = 0.85 / len(results)
    for position, (result, label, fill) in enumerate(zip(results, labels, fills(len(results)), strict=True)):
        rates = [100 * result.measured[partition]["eer_per_attack"].get(attack, np.nan) for attack in attacks]
        offsets = np.arange(len(attacks)) + (position - (len(results) - 1) / 2) * height
        axes.barh(offsets, rates, height, label=label, **fill)
    axes.axvline(50, color="0.7", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(attacks)), list(map(literal, attacks)))
    axes.set_ylim(len(attacks) - 0.4, -0.6)
    axes.set_xlabel("EER % of one attack against all bona fide speech")
    axes.set_title(f"EER per attack on {partition}")
    legend_below(figure, axes)
    return figure


def plot_embeddings(
    positions: Mapping[str, NDArray[np.float32]], attack_ids: Sequence[str], labels: NDArray[Any]
) -> Figure:
    """Embeddings in two dimensions, coloured by class (left) and by attack (right).

    Args:
        positions: Title of a row of panels -> positions `(n, 2)` of the utterances.
        attack_ids: Attacks of the utterances, `(n,)`.
        labels: Classes of the utterances, `(n,)`; 1 = bona fide.
    """
    figure = Figure(figsize=(12, 5 * len(positions)), layout="constrained")
    grid = figure.subplots(len(positions), 2, squeeze=False)
    attacks = np.where(labels == 1, "bona fide", np.asarray(attack_ids))
    names = ["bona fide", *sorted(set(attacks) - {"bona fide"})]
    for (title, points), (by_class, by_attack) in zip(positions.items(), grid, strict=True):
        for label, colour, mark, name in ((0, SPOOF, "o", "spoofed"), (1, BONA_FIDE, "x", "bona fide")):
            by_class.scatter(*points[labels == label].T, s=9, color=colour, marker=mark, linewidth=0.8, label=name)
        for name, mark_of in zip(names, marks(len(names)), strict=True):
            by_attack.scatter(*points[attacks == name].T, s=9, **mark_of, linewidth=0.5, label=literal(name))
        for axes, colouring in ((by_class, "class"), (by_attack, "attack")):
            axes.set_title(f"{title}, by {colouring}")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.legend(fontsize="x-small", markerscale=1.5, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def literal(text: object) -> str:
    """A name as Matplotlib draws it letter by letter. Two dollar signs would enclose a formula, which may be wrong."""
    return str(text).replace("$", r"\$")


def _percent(result: Result, partition: str) -> str:
    return f"{100 * result.measured[partition]['eer']:.2f}"
