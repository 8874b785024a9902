"""Figures of scores: the axes of a DET plot, legends beside the curves, and looks that differ without colour."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.stats import norm

from core.evaluation import metrics
from search.report.looks import COLOURS, fills, marks, styles
from search.report.score_figures import plot_det_curves, plot_eer_per_attack, plot_embeddings, plot_score_histogram

LABELS = [f"trial {number}: siamese resnet18 wd=0.0004449 m=2.941" for number in range(8)]


@pytest.fixture(scope="module")
def results():
    made, random = [], np.random.default_rng(0)
    for number in range(8):
        bona_fide, spoof = random.normal(3 - 0.1 * number, 1, 400), random.normal(0, 1, 3000)
        rate = float(metrics.eer(bona_fide, spoof)[0])
        scores = SimpleNamespace(bona_fide=bona_fide, spoof=spoof, scores=np.concatenate([bona_fide, spoof]))
        measured = {"eer": rate, "eer_per_attack": {f"A{attack:02d}": rate for attack in range(7, 20)}}
        made.append(SimpleNamespace(scores={"dev": scores}, measured={"dev": measured}))
    return made


def figures(results):
    labels = np.array([0, 0, 0, 1])
    points = {"epoch 3": np.eye(4, 2, dtype=np.float32)}
    return {
        "det": plot_det_curves(results, "dev", LABELS),
        "attacks": plot_eer_per_attack(results, "dev", LABELS),
        "histogram": plot_score_histogram(results[0].scores["dev"], 1.5, "trial 0 on dev"),
        "tsne": plot_embeddings(points, ["A07", "A08", "A09", "-"], labels),
    }


@pytest.mark.parametrize("name", ["det", "attacks", "histogram", "tsne"])
def test_no_legend_covers_the_axes_or_leaves_the_figure(results, name):
    figure = figures(results)[name]
    FigureCanvasAgg(figure).draw()
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    assert legends
    for legend in legends:
        box = legend.get_window_extent()
        assert not any(box.shrunk(0.99, 0.99).overlaps(axes.get_window_extent()) for axes in figure.axes)
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0


def test_det_axes_are_normal_deviates_so_that_normal_scores_give_straight_lines(results):
    figure = figures(results)["det"]
    (axes,) = figure.axes
    for axis in (axes.xaxis, axes.yaxis):
        rates = [float(text.get_text()) / 100 for text in axis.get_ticklabels()]
        np.testing.assert_allclose(axis.get_ticklocs(), norm.ppf(rates))
        assert {0.01, 0.05, 0.1, 0.2, 0.4} <= set(rates)
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_aspect() == 1
    curve = axes.lines[0].get_xydata()
    middle = curve[((curve > -2.2) & (curve < -0.8)).all(axis=1)]
    slope, _ = np.polyfit(middle[:, 0], middle[:, 1], 1)
    assert slope == pytest.approx(-1, abs=0.15)
    rate = norm.ppf(results[0].measured["dev"]["eer"])
    np.testing.assert_allclose(axes.lines[1].get_xydata(), [[rate, rate]])


@pytest.mark.parametrize("eer", [0.0, 0.5])
def test_det_curves_of_perfect_and_of_useless_detectors_can_be_drawn(eer):
    bona_fide = np.linspace(1, 2, 50) if eer == 0 else np.linspace(-1, 1, 50)
    scores = SimpleNamespace(bona_fide=bona_fide, spoof=np.linspace(-1, 0 if eer == 0 else 1, 60))
    result = SimpleNamespace(scores={"dev": scores}, measured={"dev": {"eer": eer}})
    figure = plot_det_curves([result], "dev", ["trial 0"])
    FigureCanvasAgg(figure).draw()
    low, high = figure.axes[0].get_xlim()
    assert np.isfinite([low, high]).all()
    assert low < high


def test_curves_bars_and_points_differ_without_colour():
    assert len({str(style["linestyle"]) for style in styles(8)}) == 8
    assert len({style["color"] for style in styles(8)}) == 8
    assert len({(mark["color"], mark["marker"]) for mark in marks(20)}) == 20
    hatches = [fill["hatch"] for fill in fills(8)]
    assert all(first != second for first, second in itertools.pairwise(hatches))
    assert len(set(COLOURS)) == 8
