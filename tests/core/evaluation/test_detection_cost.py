"""Detection costs and Cllr: by hand, against explicit loops, and against the ASVspoof 5 evaluation package."""

import math

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from core.evaluation.calibration import Calibration, fit_calibration
from core.evaluation.detection_cost import ASVSPOOF5, DetectionCosts, act_dcf, cllr, min_cllr, min_dcf
from core.evaluation.metrics import eer
from core.evaluation.spoof_aware import SpoofAwareCosts, a_dcf, t_eer
from core.evaluation.tandem import KNOWN_ASV, min_tdcf_2021

REFERENCE = {
    "eer": 0.138125,
    "min_dcf": 0.3433499999999999,
    "act_dcf": 0.35919999999999996,
    "cllr": 0.4725564054026668,
    "a_dcf": 0.08330084033613445,
    "t_eer": 0.12572587500000001,
    "min_tdcf": 0.47345684029615653,
}
"""Values of the public evaluation package of ASVspoof 5 on the scores of `made_scores`; its per cent are fractions."""


def made_scores():
    """5,000 CM scores (bona fide, spoofed), and ASV and joint scores (target, non-target, spoofed), without ties."""
    draw = np.random.default_rng(2024)
    cm = draw.normal(2.2, 1.6, 1000), draw.normal(-1.7, 2.0, 4000)
    draw = np.random.default_rng(2025)
    asv = draw.normal(3, 1.2, 500), draw.normal(-1, 1.2, 500), draw.normal(1.5, 1.6, 4000)
    joint = draw.normal(3, 1.3, 500), draw.normal(-1, 1.3, 500), draw.normal(-2, 1.3, 4000)
    return cm, asv, joint


@pytest.mark.parametrize("metric", REFERENCE)
def test_values_are_those_of_the_asvspoof_5_evaluation_package(metric):
    cm, asv, joint = made_scores()
    values = {
        "eer": lambda: eer(*cm)[0],
        "min_dcf": lambda: min_dcf(*cm),
        "act_dcf": lambda: act_dcf(*cm),
        "cllr": lambda: cllr(*cm),
        "a_dcf": lambda: a_dcf(*joint),
        "t_eer": lambda: t_eer(*cm, *asv),
        "min_tdcf": lambda: min_tdcf_2021(*cm, KNOWN_ASV["asvspoof5-eval"].rates),
    }
    assert values[metric]() == pytest.approx(REFERENCE[metric], rel=0, abs=1e-12)


def test_costs_by_hand():
    # Weights .95 and .5: missing one of two costs .475, accepting one of four .125. The latter is cheaper; over .5.
    bona_fide, spoof = [1.0, 3.0], [2.0, -1.0, -2.0, -3.0]
    assert ASVSPOOF5.weights == pytest.approx((0.95, 0.5))
    assert min_dcf(bona_fide, spoof) == pytest.approx(0.25)
    assert ASVSPOOF5.threshold == pytest.approx(math.log(0.5 / 0.95))
    assert act_dcf(bona_fide, spoof) == pytest.approx(0.25)
    assert act_dcf([-1.0, 3.0], spoof) == pytest.approx((0.475 + 0.125) / 0.5)
    dear = DetectionCosts(p_spoof=0.5, miss=1, false_alarm=10)
    assert min_dcf(bona_fide, spoof, dear) == pytest.approx(0.5)  # missing one of two: .25, over .5
    assert dear.threshold == pytest.approx(math.log(10))


def test_ratios_without_information_cost_one_bit_and_constant_scores_the_better_default():
    assert cllr([0.0], [0.0, 0.0]) == 1.0
    assert min_cllr([3.0], [3.0, 3.0]) == pytest.approx(1.0)
    assert min_dcf([3.0], [3.0]) == 1.0
    assert cllr([1000.0], [-1000.0]) == 0.0
    assert cllr([-1000.0], [1000.0]) == pytest.approx(1000 / math.log(2))


def test_min_cllr_is_that_of_scikit_learns_isotonic_regression_and_of_any_scale():
    draw = np.random.default_rng(0)
    bona_fide, spoof = draw.normal(1, 1, 80).round(1), draw.normal(0, 1, 150).round(1)
    scores, labels = np.r_[bona_fide, spoof], np.r_[np.ones(80), np.zeros(150)]
    weights = np.where(labels == 1, 1 / 80, 1 / 150)
    posterior = IsotonicRegression(y_min=0, y_max=1).fit(scores, labels, weights).predict(scores)
    with np.errstate(divide="ignore"):
        llr = np.log(posterior) - np.log1p(-posterior)
    expected = cllr_of_infinite(llr[:80], llr[80:])
    assert min_cllr(bona_fide, spoof) == pytest.approx(expected, rel=1e-9)
    assert min_cllr(np.exp(bona_fide), np.exp(spoof)) == pytest.approx(expected, rel=1e-9)
    assert min_cllr(bona_fide, spoof) < cllr(bona_fide, spoof)
    assert min_cllr([2.0, 3.0], [0.0, 1.0]) == 0.0


def cllr_of_infinite(bona_fide, spoof):
    return (np.logaddexp(0, -bona_fide).mean() + np.logaddexp(0, spoof).mean()) / (2 * math.log(2))


@pytest.mark.parametrize(("p_spoof", "miss"), [(0.0, 1.0), (1.0, 1.0), (math.nan, 1.0), (0.5, 0.0), (0.5, math.inf)])
def test_costs_out_of_range(p_spoof, miss):
    with pytest.raises(ValueError, match=r"p_spoof is|cost miss is"):
        DetectionCosts(p_spoof=p_spoof, miss=miss)


def test_a_calibration_gives_back_the_ratios_of_normal_scores():
    draw = np.random.default_rng(0)
    # Two normal distributions of deviation 1, three apart: the ratio of x is 3 x - 4.5. The scores are 5 + 10 x.
    bona_fide, spoof = 5 + 10 * draw.normal(3, 1, 20_000), 5 + 10 * draw.normal(0, 1, 30_000)
    calibration = fit_calibration(bona_fide, spoof)
    assert calibration.slope == pytest.approx(0.3, rel=0.03)
    assert calibration.llr(5 + 10 * 1.5) == pytest.approx(0, abs=0.05)
    assert cllr(calibration.llr(bona_fide), calibration.llr(spoof)) == pytest.approx(
        min_cllr(bona_fide, spoof), abs=0.01
    )
    threshold = calibration.threshold(ASVSPOOF5)
    assert calibration.llr(threshold) == pytest.approx(ASVSPOOF5.threshold)


def test_a_calibration_is_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    cm, _, _ = made_scores()
    scores = np.concatenate(cm)[:, None]
    targets = np.repeat([1001 / 1002, 1 / 4002], [1000, 4000])
    weights = np.repeat([2.5, 0.625], [1000, 4000])
    regression = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000)
    sample_weight = np.r_[weights * targets, weights * (1 - targets)]
    regression.fit(np.r_[scores, scores], np.repeat([1, 0], 5000), sample_weight=sample_weight)
    found = fit_calibration(*cm)
    assert (found.slope, found.offset) == pytest.approx((regression.coef_[0, 0], regression.intercept_[0]), rel=1e-5)


def test_a_calibration_of_separated_scores_is_bounded_and_a_prior_cancels():
    found = fit_calibration(np.arange(10) + 20.0, np.arange(10) * 1.0)
    assert 0 < found.slope < 1
    draw = np.random.default_rng(1)
    bona_fide, spoof = draw.normal(3, 1, 40_000), draw.normal(0, 1, 40_000)
    even, odd = (fit_calibration(bona_fide, spoof, p_bona_fide=prior) for prior in (0.5, 0.9))
    assert (odd.slope, odd.offset) == pytest.approx((even.slope, even.offset), abs=0.15)


def test_scores_that_rank_the_wrong_way_are_not_calibrated():
    with pytest.raises(ValueError, match="not above that of spoofed"):
        fit_calibration([0.0, 1.0], [2.0, 3.0])
    with pytest.raises(ValueError, match="p_bona_fide is 1"):
        fit_calibration([1.0], [0.0], p_bona_fide=1)
    with pytest.raises(ValueError, match="slope must be positive"):
        Calibration(-1.0, 0.0)


def test_a_dcf_and_t_eer_by_hand():
    assert a_dcf([2.0, 3.0], [0.0, 1.0], [-1.0]) == 0.0
    # Accepting everything costs .095 + .5, rejecting everything .9405: constant scores cost 1.
    assert a_dcf([1.0], [1.0], [1.0]) == 1.0
    # Rejecting the non-target leaves the spoofed utterance: .5 of .595.
    assert a_dcf([2.0], [1.0], [3.0]) == pytest.approx(0.5 / 0.595)
    of_the_authors = SpoofAwareCosts(0.9, 0.05, 0.05, false_alarm_spoof=20)
    assert a_dcf([1.0, 3.0], [0.0], [2.0], of_the_authors) == pytest.approx(0.45 / 0.9)
    assert a_dcf([2.0], [1.0], [3.0], SpoofAwareCosts(false_alarm_spoof=0)) == 0.0
    assert t_eer([2.0, 3.0], [0.0, 1.0], [2.0], [0.0], [1.0]) == 0.0
    with pytest.raises(ValueError, match="non-target scores have shape"):
        t_eer([1.0], [0.0], [1.0], [], [0.0])


@pytest.mark.parametrize("seed", range(5))
def test_t_eer_against_an_explicit_search_of_all_pairs(seed):
    draw = np.random.default_rng(seed)
    cm = draw.normal(1, 1, 40), draw.normal(0, 1, 60)
    asv = draw.normal(2, 1, 30), draw.normal(0, 1, 35), draw.normal(1, 1, 25)
    best = (math.inf, math.nan)
    for asv_threshold in sorted(np.concatenate(asv)):
        misses, others, spoofs = np.mean(asv[0] < asv_threshold), *(np.mean(side >= asv_threshold) for side in asv[1:])
        if misses >= (others + spoofs) / 2 or spoofs == 0:
            continue
        pairs = []
        for threshold in sorted(np.concatenate(cm)):
            p_miss, p_fa = np.mean(cm[0] < threshold), np.mean(cm[1] >= threshold)
            accepted = ((1 - p_miss) * others + p_fa * spoofs) / 2
            pairs.append((abs(p_miss + (1 - p_miss) * misses - accepted), threshold, p_miss, p_fa))
        least = min(pair[0] for pair in pairs)
        _, _, p_miss, p_fa = next(pair for pair in pairs if pair[0] <= least + 1e-12)
        if p_miss < 1 and abs(others / spoofs - p_fa / (1 - p_miss)) < best[0] - 1e-12:
            best = abs(others / spoofs - p_fa / (1 - p_miss)), spoofs * p_fa
    assert t_eer(*cm, *asv) == pytest.approx(best[1], abs=1e-12)
