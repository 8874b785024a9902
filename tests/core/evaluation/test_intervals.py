"""Confidence intervals of an EER: by hand, against SciPy's exact interval, and by simulation."""

import numpy as np
import pytest
import scipy.stats

from core.evaluation.intervals import eer_errors, eer_interval, effective_speakers

LABELS = np.repeat([1, 0], [80, 100])
TRUE = 0.1  # the EER of `drawn`


def separated(n_bona_fide=80, n_spoof=100):
    """Scores of a detector without an error."""
    return np.r_[np.full(n_bona_fide, 2.0), np.full(n_spoof, 1.0)] + np.arange(n_bona_fide + n_spoof) / 1e4


def drawn(n_bona_fide, n_spoof, n_speakers, seed):
    """Scores whose EER over all speakers is TRUE. Speakers deviate: 0.8 (bona fide) and 0.3 of the scatter within."""
    draw = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [n_bona_fide, n_spoof])
    speakers = np.r_[np.arange(n_bona_fide), np.arange(n_spoof)] % n_speakers
    deviations = np.where(labels == 1, 0.8 * draw.normal(size=n_speakers)[speakers], 0)
    deviations += np.where(labels == 0, 0.3 * draw.normal(size=n_speakers)[speakers], 0)
    apart = -scipy.stats.norm.ppf(TRUE) * (np.hypot(1, 0.8) + np.hypot(1, 0.3))
    return draw.normal(size=len(labels)) + deviations + apart * labels, labels, speakers


def coverage(n_speakers, *, by_speaker, repeats=150):
    covered = 0
    for seed in range(repeats):
        scores, labels, speakers = drawn(80, 100, n_speakers, seed)
        interval = eer_interval(scores, labels, speakers if by_speaker else None)
        covered += interval.low <= TRUE <= interval.high
    return covered / repeats


def test_without_an_error_the_interval_ends_at_the_exact_bound_of_the_smaller_class():
    interval = eer_interval(separated(), LABELS)
    assert interval.low == 0
    exact = scipy.stats.binomtest(0, 80).proportion_ci(0.95, method="exact").high
    assert interval.high == pytest.approx(exact) == pytest.approx(0.0451, abs=1e-4)
    assert eer_interval(-separated(), LABELS).low == pytest.approx(1 - exact)


def test_without_an_error_fewer_speakers_widen_the_interval():
    ends = [eer_interval(separated(), LABELS, np.arange(180) % n).high for n in (20, 10, 6, 4, 3)]
    assert ends == sorted(ends)
    assert eer_interval(separated(), LABELS).high < ends[0] < 0.06
    assert ends[-1] > 0.15  # three speakers say little of others


def test_many_scores_of_equal_scatter_count_as_the_mean_of_both_rates():
    draw = np.random.default_rng(0)
    labels = np.repeat([1, 0], [4000, 6000])
    scores = draw.normal(size=10_000) + 2 * labels
    errors, interval = eer_errors(scores, labels), eer_interval(scores, labels)
    assert errors.miss_weights[0] == pytest.approx(0.5, abs=0.05)
    assert errors.miss_weights[1] < errors.miss_weights[0] < errors.miss_weights[2]
    deviation = np.sqrt(errors.rate * (1 - errors.rate) * (1 / 4000 + 1 / 6000) / 4)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * deviation, rel=0.06)


def test_the_rate_of_the_class_with_less_scatter_has_less_weight():
    draw = np.random.default_rng(0)
    labels = np.repeat([1, 0], [4000, 4000])
    scores = draw.normal(size=8000) * np.where(labels == 1, 1, 3) + 5 * labels
    # Densities at one threshold: bona fide 3 times that of spoof, so the miss rate has 1 / (1 + 3).
    assert eer_errors(scores, labels).miss_weights[0] == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("rising", [np.exp, lambda scores: scores**3], ids=["exp", "cube"])
def test_increasing_maps_change_nothing(rising):
    scores, labels, speakers = drawn(80, 100, 6, seed=1)
    for units in (None, speakers):
        assert eer_interval(rising(scores), labels, units) == eer_interval(scores, labels, units)


def test_order_and_names_of_speakers_change_nothing():
    scores, labels, speakers = drawn(80, 100, 6, seed=2)
    order = np.random.default_rng(0).permutation(180)
    names = np.array(list("fbdace"))[speakers]
    one, other = eer_interval(scores, labels, speakers), eer_interval(scores[order], labels[order], names[order])
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


@pytest.mark.parametrize("n_speakers", [3, 4, 6, 10, 20])
def test_over_speakers_the_interval_holds_the_true_rate_of_all_speakers(n_speakers):
    assert coverage(n_speakers, by_speaker=True) >= 0.94


def test_over_utterances_the_interval_holds_the_true_rate_of_the_same_speakers():
    assert 0.94 <= coverage(180, by_speaker=False) <= 0.995
    assert coverage(4, by_speaker=False) < 0.9  # it does not hold for other speakers


def test_more_confidence_and_rare_errors_widen_an_interval():
    scores, labels, _ = drawn(80, 100, 6, seed=3)
    narrow, wide = (eer_interval(scores, labels, level=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_speaker_with_nearly_all_utterances_hardly_counts():
    assert effective_speakers(np.array([5, 5, 5, 0])) == pytest.approx(3)
    assert effective_speakers(np.array([100, 1])) == pytest.approx(101**2 / 10001)


def test_constant_scores_have_an_interval_around_one_half():
    interval = eer_interval(np.zeros(180), LABELS, np.arange(180) % 9)
    assert 0 < interval.low < 0.5 < interval.high < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [1, 1, 1, 1]}, "spoofed scores"),
        ({"labels": [1, 0, 1]}, "4 scores have 3 labels"),
        ({"scores": [1, 2, np.nan, 3]}, "not finite"),
        ({"speakers": ["a", "b"]}, "4 scores have 2 speakers"),
        ({"speakers": ["a"] * 4}, "the bona fide utterances have 1 speaker; an"),
        (
            {"scores": range(7), "labels": [1, 1, 1, 0, 0, 0, 0], "speakers": [*"abcaabb"]},
            "the spoofed utterances have 2 speakers; an interval over speakers needs 3",
        ),
        ({"level": 1.0}, "level is 1.0"),
    ],
)
def test_mistakes_are_explained(change, message):
    arguments = {"scores": [1.0, 2, 3, 4], "labels": [1, 0, 1, 0], **change}
    with pytest.raises(ValueError, match=message):
        eer_interval(**arguments)


def test_a_class_of_which_nearly_all_is_one_speaker_is_refused():
    speakers = np.r_[np.arange(80) % 5, np.full(90, 8), np.full(5, 6), np.full(5, 7)]
    with pytest.raises(ValueError, match=r"have 3 speakers, so unequally that they count as 1\.2; an interval"):
        eer_interval(separated(), LABELS, speakers)
