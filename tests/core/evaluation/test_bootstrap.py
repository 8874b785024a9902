"""Bootstrap intervals and the paired test, against plain resampling and by simulation."""

import numpy as np
import pytest

from core.evaluation.bootstrap import _draws, _Sorted, compare_eer, eer_interval
from core.evaluation.metrics import eer


def scores_of(n_bona_fide, n_spoof, shift=1.0, seed=0, ties=None):
    draw = np.random.default_rng(seed)
    labels = np.r_[np.ones(n_bona_fide, int), np.zeros(n_spoof, int)]
    scores = draw.normal(size=len(labels)) + shift * labels
    return (scores if ties is None else np.round(scores, ties)), labels


def plain_eer(scores, labels):
    return eer(scores[labels == 1], scores[labels == 0])[0]


@pytest.mark.parametrize("ties", [None, 1, 0])
def test_where_all_count_once_it_is_the_eer(ties):
    scores, labels = scores_of(40, 70, ties=ties)
    assert _Sorted(scores, labels).eer((np.ones(70, int), np.ones(40, int))) == plain_eer(scores, labels)


@pytest.mark.parametrize("ties", [None, 1, 0])
@pytest.mark.parametrize("by_speaker", [False, True])
def test_a_resample_has_the_eer_of_its_utterances_written_out(ties, by_speaker):
    scores, labels = scores_of(30, 50, ties=ties)
    speakers = np.arange(80) % 7 if by_speaker else None
    order = np.random.default_rng(5).permutation(80)
    scores, labels = scores[order], labels[order]

    def written_out(scores, labels, speakers):
        for counts in _draws(labels, speakers, 60, seed=1):
            chosen = np.concatenate([np.repeat(np.flatnonzero(labels == k), counts[k]) for k in (0, 1)])
            yield counts, plain_eer(scores[chosen], labels[chosen])

    fast = _Sorted(scores, labels)
    for counts, expected in written_out(scores, labels, speakers):
        assert fast.eer(counts) == pytest.approx(expected, abs=1e-12)
    if by_speaker:  # an interval draws from the utterances in the order of their scores
        rising = np.argsort(scores, kind="stable")
        plain = [rate for _, rate in written_out(scores[rising], labels[rising], speakers[rising])]
        found = eer_interval(scores, labels, speakers, n_resamples=60, seed=1)
        np.testing.assert_allclose((found.low, found.high), np.quantile(plain, [0.025, 0.975]), atol=1e-12)


@pytest.mark.parametrize("ties", [None, 1, 0])
def test_without_drawing_utterances_the_eers_are_distributed_as_with(ties):
    scores, labels = scores_of(30, 50, ties=ties)
    fast, draw, n = _Sorted(scores, labels), np.random.default_rng(3), 4000
    one = np.array([fast.drawn_eer(draw) for _ in range(n)])
    other = np.array([fast.eer(counts) for counts in _draws(labels, None, n, seed=4)])
    assert abs(one.mean() - other.mean()) <= 4 * np.sqrt((one.var() + other.var()) / n)
    assert one.std() == pytest.approx(other.std(), rel=0.06)
    levels = [0.025, 0.25, 0.5, 0.75, 0.975]
    np.testing.assert_allclose(np.quantile(one, levels), np.quantile(other, levels), atol=0.012)


def test_over_utterances_both_classes_keep_their_size():
    _, labels = scores_of(3, 9)
    for spoof, bona_fide in _draws(labels, None, 50, seed=0):
        assert (bona_fide.sum(), spoof.sum()) == (3, 9)
        assert (len(bona_fide), len(spoof)) == (3, 9)


def test_over_speakers_all_of_a_speaker_comes_along_and_no_class_is_missing():
    labels = np.array([1, 0, 1, 0, 0, 0])
    speakers = np.array(["a", "a", "b", "b", "c", "c"])
    seen = set()
    for spoof, bona_fide in _draws(labels, speakers, 200, seed=0):
        a, b, c, also_c = spoof
        assert tuple(bona_fide) == (a, b)
        assert c == also_c
        assert bona_fide.any()
        seen.add((a, b, c))
    assert (0, 0, 3) not in seen
    assert len(seen) == 9  # of the ten ways to draw three of three


def test_the_same_seed_gives_the_same_interval():
    scores, labels = scores_of(50, 50)
    assert eer_interval(scores, labels, seed=3) == eer_interval(scores, labels, seed=3)
    assert eer_interval(scores, labels, seed=3) != eer_interval(scores, labels, seed=4)


def test_alike_utterances_of_a_speaker_widen_the_interval_over_speakers():
    draw = np.random.default_rng(0)
    speakers = np.repeat(np.arange(20), 20)
    labels = np.tile([0, 1], 200)
    scores = labels + draw.normal(size=20)[speakers] + 0.1 * draw.normal(size=400)
    over_utterances = eer_interval(scores, labels)
    over_speakers = eer_interval(scores, labels, speakers)
    assert over_speakers.high - over_speakers.low > 1.5 * (over_utterances.high - over_utterances.low)


def test_an_interval_of_90_per_cent_covers_the_true_eer_about_as_often():
    true = 0.30854  # of two normal distributions one deviation apart
    covered = 0
    for seed in range(200):
        scores, labels = scores_of(150, 150, seed=seed)
        found = eer_interval(scores, labels, level=0.9, n_resamples=200, seed=seed)
        covered += found.low <= true <= found.high
    assert 165 <= covered <= 195


def paired(n, seed, gain=0.0):
    draw = np.random.default_rng(seed)
    labels = np.r_[np.ones(n, int), np.zeros(n, int)]
    common = draw.normal(size=2 * n) + labels
    return common + draw.normal(size=2 * n) / 2, common + gain * labels + draw.normal(size=2 * n) / 2, labels


def test_without_a_difference_few_comparisons_find_one():
    p_values = [compare_eer(*paired(150, seed), n_resamples=200, seed=seed).p_value for seed in range(200)]
    assert 1 <= sum(p < 0.05 for p in p_values) <= 22  # ten are expected; below or above this range in 1 of 1,000
    assert np.median(p_values) == pytest.approx(0.55, abs=0.15)


def test_a_difference_is_found_and_has_a_sign():
    first, second, labels = paired(300, seed=1, gain=1.0)
    found = compare_eer(first, second, labels)
    assert found.difference == plain_eer(first, labels) - plain_eer(second, labels)
    assert 0 < found.interval.low < found.difference < found.interval.high
    assert found.p_value < 0.01
    turned = compare_eer(second, first, labels)
    assert turned.difference == -found.difference
    assert turned.p_value == found.p_value


def test_pairs_tell_more_than_two_intervals():
    first, second, labels = paired(300, seed=2)
    found = compare_eer(first, second, labels).interval
    alone = eer_interval(first, labels)
    assert found.high - found.low < alone.high - alone.low


def test_a_system_compared_with_itself_does_not_differ():
    first, _, labels = paired(50, seed=0)
    found = compare_eer(first, first, labels)
    assert (found.difference, found.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [1, 1, 1, 1]}, "spoofed scores"),
        ({"labels": [1, 0, 1]}, "4 scores have 3 labels"),
        ({"scores": [1, 2, np.nan, 3]}, "not finite"),
        ({"speakers": ["a", "b"]}, "4 scores have 2 speakers"),
        ({"speakers": ["a"] * 4}, "one speaker"),
        ({"level": 1.0}, "level is 1.0"),
        ({"n_resamples": 0}, "n_resamples is 0"),
    ],
)
def test_mistakes_are_explained(change, message):
    arguments = {"scores": [1.0, 2, 3, 4], "labels": [1, 0, 1, 0], **change}
    with pytest.raises(ValueError, match=message):
        eer_interval(**arguments)
