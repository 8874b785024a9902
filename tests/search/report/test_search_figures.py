"""What a report tells of a space, on trials whose objective is known."""

import itertools
import math

import numpy as np
import pytest

from core.cost import Cost
from search.report.importance import MIN_TRIALS, importances, pareto_front
from search.report.search_figures import (
    NOT_USED,
    plot_history,
    plot_importances,
    plot_parallel_coordinates,
    plot_pareto_front,
    plot_slices,
)
from search.report.tables import cost_table, importance_table
from search.runs.journal import TrialRecord
from search.space.optuna_space import random_values
from search.space.reader import space_from_yaml
from search.space.yaml_file import parse

SPACE = """\
name: example
corpus: {layout: asvspoof2019_la, path: data}
experiment:
  front_end: lfcc
  mode: {choice: [siamese, original]}
  backbone: {name: {choice: [resnet18, senet18, senet34]}}
  loss: {margin: {uniform: [0.5, 3], when: {mode: siamese}}}
  optimizer: {name: adamw, weight_decay: {log_uniform: [1e-4, 1e-1]}}
"""


@pytest.fixture(scope="module")
def space():
    return space_from_yaml(parse(SPACE))


def trials(space, n, value):
    found = []
    for number in range(n):
        values = random_values(space, number)
        found.append(TrialRecord(number, values, "finished", 8, value(values)))
    return found


def by_decay(values):
    return 0.1 + 0.1 * math.log10(values["optimizer.weight_decay"] / 1e-4)


def by_margin(values):
    return 0.3 if values["mode"] == "original" else abs(values["loss.margin"] - 1) / 10


def test_the_parameter_that_decides_is_the_most_important(space):
    found = importances(space, trials(space, 60, by_decay))
    assert found[0].path == "optimizer.weight_decay"
    assert found[0].fraction > 0.8
    assert found[0].n_trials == 60
    assert {each.path for each in found} == {each.path for each in space.searched}


def test_a_conditional_parameter_is_judged_where_it_is_active(space):
    records = trials(space, 80, by_margin)
    found = {each.path: each for each in importances(space, records)}
    n_siamese = sum(each.values["mode"] == "siamese" for each in records)
    assert found["loss.margin"].n_trials == n_siamese < 80
    assert found["loss.margin"].fraction > 0.6
    assert found["mode"].fraction > 0.6


def test_few_or_failed_trials_tell_nothing(space):
    assert importances(space, trials(space, MIN_TRIALS - 1, by_decay)) == []
    assert importances(space, trials(space, 40, lambda values: math.nan)) == []
    assert importances(space, trials(space, 40, lambda values: 0.5)) == []


def test_the_table_of_importances_has_the_number_of_trials(space):
    table = importance_table(importances(space, trials(space, 30, by_decay)))
    assert table.rows[0][0] == "optimizer.weight_decay"
    assert table.rows[0][2] == "30"


def made_up_costs():
    points = [(0.10, 9.0), (0.20, 4.0), (0.20, 5.0), (0.30, 1.0), (0.35, 1.0), (0.05, None), (math.nan, 0.5)]
    records = [TrialRecord(k, {}, "finished", 1, objective) for k, (objective, _) in enumerate(points)]
    return records, {k: Cost(1000 + k, gmacs, None) for k, (_, gmacs) in enumerate(points)}


def test_the_front_holds_what_no_other_beats():
    assert pareto_front(*made_up_costs()) == {0, 1, 3}


def test_equal_trials_stand_on_the_front_together():
    records = [TrialRecord(k, {}, "finished", 1, 0.2) for k in range(2)]
    assert pareto_front(records, {0: Cost(1, 2.0, None), 1: Cost(1, 2.0, None)}) == {0, 1}


def test_costs_stand_beside_the_objective():
    records, costs = made_up_costs()
    table = cost_table(records, costs, "dev_eer")
    assert table.rows[0] == ("0", "10.00 %", "1,000", "9.000", "-", "yes", "-")
    assert table.rows[2][5] == ""
    assert table.rows[5][3] == "-"


def lines_of(figure):
    return [line for axes in figure.axes for line in axes.lines]


def test_slices_show_each_trial_where_it_has_the_parameter(space):
    records = trials(space, 30, by_margin)
    figure = plot_slices(space, records, "dev_eer")
    panels = {axes.get_xlabel(): axes for axes in figure.axes if axes.get_xlabel()}
    assert set(panels) == {each.path for each in space.searched}
    points = panels["loss.margin"].collections[0].get_offsets()
    margins = [each.values["loss.margin"] for each in records if "loss.margin" in each.values]
    np.testing.assert_allclose(points[:, 0], margins)
    assert panels["optimizer.weight_decay"].get_xscale() == "log"


def test_a_trial_has_the_same_colour_in_every_slice(space):
    records = trials(space, 30, by_margin)
    figure = plot_slices(space, records, "dev_eer")
    panels = {axes.get_xlabel(): axes.collections[0].get_facecolors() for axes in figure.axes if axes.get_xlabel()}
    numbers = [record.number for record in records if "loss.margin" in record.values]
    assert 0 not in numbers  # so that a scale of the panel's own would differ
    np.testing.assert_allclose(panels["loss.margin"], panels["optimizer.weight_decay"][numbers])


def test_lines_of_parallel_coordinates_pass_a_mark_where_a_parameter_is_off(space):
    records = trials(space, 20, by_margin)
    figure = plot_parallel_coordinates(space, records, "dev_eer")
    drawn = [np.asarray(line.get_ydata()) for line in lines_of(figure) if len(line.get_ydata()) == 4]
    assert len(drawn) == 20
    assert np.isfinite(drawn).all()
    n_original = sum(each.values["mode"] == "original" for each in records)
    assert sum((heights == NOT_USED).any() for heights in drawn) == n_original
    assert [text.get_text() for text in figure.axes[0].texts].count("not used") == 1


def test_the_history_is_in_the_order_of_the_ends():
    ends = {0: ("finished", "09:30", 0.3), 1: ("stopped", "09:10", 0.5), 2: ("running", "09:40", 0.1)}
    records = [
        TrialRecord(number, {}, status, 2, value, time=f"2026-01-01T{time}:00+00:00")
        for number, (status, time, value) in ends.items()
    ]
    by_trial, _ = plot_history(records, [(1, 1, 0.5)], "dev_eer").axes
    np.testing.assert_allclose(by_trial.collections[0].get_offsets()[:, 1], [50, 30])


def test_the_history_never_rises(space):
    records = [*trials(space, 20, by_margin), TrialRecord(20, {}, "failed", 0, math.nan)]
    epochs = [(0, 1, math.inf), (0, 2, 0.4), (1, 1, 0.5), (1, 2, 0.3)]
    by_trial, by_epoch = (axes.lines[0].get_ydata() for axes in plot_history(records, epochs, "dev_eer").axes)
    assert (np.diff(by_trial) <= 0).all()
    np.testing.assert_allclose(by_epoch, [np.nan, 40, 40, 30])


def test_of_an_auc_the_best_is_the_highest():
    epochs = [(0, 1, -0.7), (0, 2, -0.6), (1, 1, -0.9)]
    figure = plot_history([TrialRecord(0, {}, "finished", 2, -0.7)], epochs, "dev_auc")
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [0.7, 0.7, 0.9])


def test_the_tradeoff_joins_the_front():
    figure = plot_pareto_front(*made_up_costs(), "dev_eer")
    (line,) = lines_of(figure)
    np.testing.assert_allclose(np.transpose([line.get_xdata(), line.get_ydata()]), [[1, 30], [4, 20], [9, 10]])


def test_labels_of_a_crowded_front_cover_neither_each_other_nor_its_points():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    records = [TrialRecord(100 + k, {}, "finished", 8, 0.2 - 0.004 * k) for k in range(9)]
    costs = {record.number: Cost(10, 0.02 + 0.0004 * k, 0.01) for k, record in enumerate(records)}
    records.append(TrialRecord(7, {}, "finished", 8, 0.9))
    costs[7] = Cost(10, 2.0, 0.01)
    figure = plot_pareto_front(records, costs, "dev_eer")
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == 9
    assert not any(first.overlaps(second) for first, second in itertools.combinations(boxes, 2))
    points = axes.transData.transform(np.column_stack(lines_of(figure)[0].get_data()))
    assert not any(box.contains(*point) for box in boxes for point in points)


def test_bars_are_as_long_as_the_shares(space):
    found = importances(space, trials(space, 30, by_decay))
    widths = [patch.get_width() for patch in plot_importances(found).axes[0].patches]
    assert widths == [importance.fraction for importance in found]


def test_names_with_dollar_signs_are_drawn_as_they_are():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from search.report.score_figures import plot_embeddings

    attacks = [r"$\nosuch{$", "a$b", "$$", "-"]
    figure = plot_embeddings({"some": np.eye(4, 2, dtype=np.float32)}, attacks, np.array([0, 0, 0, 1]))
    FigureCanvasAgg(figure).draw()
    shown = {text.get_text() for text in figure.axes[1].get_legend().get_texts()}
    assert shown == {"bona fide", r"\$\nosuch{\$", r"a\$b", r"\$\$"}
