"""The paired comparison of two systems, by hand and by simulation."""

import numpy as np
import pytest

from core.evaluation.comparison import compare_eer
from core.evaluation.intervals import eer_interval
from core.evaluation.metrics import eer


def plain_eer(scores, labels):
    return eer(scores[labels == 1], scores[labels == 0])[0]


def paired(n, seed, gain=0.0):
    draw = np.random.default_rng(seed)
    labels = np.r_[np.ones(n, int), np.zeros(n, int)]
    common = draw.normal(size=2 * n) + labels
    return common + draw.normal(size=2 * n) / 2, common + gain * labels + draw.normal(size=2 * n) / 2, labels


def test_without_a_difference_few_comparisons_find_one():
    p_values = [compare_eer(*paired(150, seed)).p_value for seed in range(200)]
    assert 1 <= sum(p < 0.05 for p in p_values) <= 22  # ten are expected; below or above this range in 1 of 1,000
    assert np.median(p_values) == pytest.approx(0.55, abs=0.15)


@pytest.mark.parametrize("n_speakers", [3, 4, 10])
def test_speakers_who_differ_by_chance_are_no_difference(n_speakers):
    n_found = 0
    labels, speakers = np.repeat([1, 0], 200), np.tile(np.arange(200), 2) % n_speakers
    for seed in range(150):
        draw = np.random.default_rng(seed)
        common = draw.normal(size=400) + 2 * labels
        systems = [common + (labels * draw.normal(size=n_speakers)[speakers]) for _ in range(2)]
        n_found += compare_eer(*systems, labels, speakers).p_value < 0.05
    assert n_found <= 16  # 7.5 are expected; above in 3 of 1,000. A bootstrap over the speakers has more than 40.


def test_a_difference_is_found_and_has_a_sign():
    first, second, labels = paired(300, seed=1, gain=1.0)
    found = compare_eer(first, second, labels)
    assert found.difference == plain_eer(first, labels) - plain_eer(second, labels)
    assert 0 < found.interval.low < found.difference < found.interval.high
    assert found.p_value < 0.01
    turned = compare_eer(second, first, labels)
    assert turned.difference == -found.difference
    assert turned.p_value == pytest.approx(found.p_value)


@pytest.mark.parametrize("seed", range(8))
def test_the_p_value_agrees_with_the_interval(seed):
    first, second, labels = paired(100, seed, gain=0.4)
    speakers = np.arange(200) % 12
    for units in (None, speakers):
        found = compare_eer(first, second, labels, units)
        assert (found.p_value < 0.05) == (found.interval.low > 0 or found.interval.high < 0)


def test_pairs_tell_more_than_two_intervals():
    first, second, labels = paired(300, seed=2)
    found = compare_eer(first, second, labels).interval
    alone = eer_interval(first, labels)
    assert found.high - found.low < alone.high - alone.low


def test_a_system_compared_with_itself_does_not_differ():
    first, _, labels = paired(50, seed=0)
    found = compare_eer(first, first, labels)
    assert (found.difference, found.interval.low, found.interval.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_two_systems_without_an_error_may_differ_yet():
    labels = np.repeat([1, 0], [80, 100])
    found = compare_eer(labels + np.arange(180) / 1e4, labels * 1.0, labels)
    assert found.p_value == 1
    assert -0.05 < found.interval.low < -0.01 < 0.01 < found.interval.high < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"second": [1.0, 2]}, "2 scores have 4 labels"),
        ({"speakers": ["a"] * 4}, "have 1 speaker"),
        ({"level": 0.0}, "level is 0.0"),
    ],
)
def test_mistakes_are_explained(change, message):
    arguments = {"first": [1.0, 2, 3, 4], "second": [4.0, 3, 2, 1], "labels": [1, 0, 1, 0], **change}
    with pytest.raises(ValueError, match=message):
        compare_eer(**arguments)
