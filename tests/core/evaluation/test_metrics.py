import math
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from core.evaluation.metrics import FloatArray, auc, det_curve, eer, eer_per_attack
from core.evaluation.tandem import LA19_ASV, asv_error_rates, min_tdcf_2019, min_tdcf_2021, tdcf_costs


def scores(seed: int, *, n: int = 40, decimals: int = 6) -> tuple[FloatArray, FloatArray]:
    """Overlapping CM scores of `n` bona fide and `3 n + 1` spoofed utterances; few decimals make many ties."""
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 1.0, n).round(decimals), rng.normal(0.0, 1.0, 3 * n + 1).round(decimals)


def textbook_points(bona_fide: FloatArray, spoof: FloatArray) -> list[tuple[Fraction, Fraction, float]]:
    """Every operating point, counted score by score."""
    thresholds = [*sorted({*bona_fide.tolist(), *spoof.tolist()}), math.inf]
    return [
        (
            Fraction(sum(score < t for score in bona_fide.tolist()), len(bona_fide)),
            Fraction(sum(score >= t for score in spoof.tolist()), len(spoof)),
            t,
        )
        for t in thresholds
    ]


def textbook_eer(bona_fide: FloatArray, spoof: FloatArray) -> Fraction:
    points = textbook_points(bona_fide, spoof)
    gap = min(abs(miss - fa) for miss, fa, _ in points)
    rates = [(miss + fa) / 2 for miss, fa, _ in points if abs(miss - fa) == gap]
    return sum(rates, Fraction(0)) / len(rates)


@pytest.mark.parametrize("decimals", [6, 1, 0])
@pytest.mark.parametrize("seed", range(4))
def test_against_a_textbook_loop(seed: int, decimals: int) -> None:
    bona_fide, spoof = scores(seed, decimals=decimals)
    assert eer(bona_fide, spoof)[0] == pytest.approx(float(textbook_eer(bona_fide, spoof)), rel=1e-12)
    points = np.array(textbook_points(bona_fide, spoof), dtype=float)
    np.testing.assert_allclose(np.stack(det_curve(bona_fide, spoof), axis=1), points, rtol=1e-12)
    couples = [(b > s) + (b == s) / 2 for b in bona_fide for s in spoof]
    assert auc(bona_fide, spoof) == pytest.approx(np.mean(couples), rel=1e-12)
    c0, c1, c2 = tdcf_costs(LA19_ASV["eval"])
    costs = [c1 * miss + c2 * fa for miss, fa, _ in points]
    assert min_tdcf_2019(bona_fide, spoof, LA19_ASV["eval"]) == pytest.approx(min(costs) / c2, rel=1e-12)
    assert min_tdcf_2021(bona_fide, spoof, LA19_ASV["eval"]) == pytest.approx((c0 + min(costs)) / (c0 + c2), rel=1e-12)


@pytest.mark.parametrize(
    ("bona_fide", "spoof", "rate", "threshold"),
    [
        ([1, 2, 3, 4], [-4, -3, -2, -1], 0.0, 1.0),
        ([-4, -3, -2, -1], [1, 2, 3, 4], 1.0, 1.0),
        ([0, 0, 0], [0, 0], 0.5, 0.0),  # a collapsed detector
        ([7], [7], 0.5, 7.0),
        ([0, 2, 4, 6], [-5, -1, 1, 3], 0.25, 2.0),  # 0 is missed, 3 is let through
        ([1, 1, 2, 2], [0, 0, 1, 1], 0.25, 1.0),  # points (0, .5) and (.5, 0) are equally close
        ([0, 1, 1, 1], [0, 0, 0, 1], 0.25, 1.0),
        ([1], [0, 2], 0.5, 1.0),  # points (0, .5) and (1, .5)
    ],
)
def test_eer_by_hand(bona_fide: list[float], spoof: list[float], rate: float, threshold: float) -> None:
    assert eer(bona_fide, spoof) == (rate, threshold)


def test_eer_is_the_mean_at_the_closest_point_as_the_organisers_have_it() -> None:
    # Points (0, 2/3), (1/2, 2/3), (1/2, 1/3), (1, 1/3) lie around the diagonal; the closest are the inner two.
    assert eer([1, 3], [0, 2, 4])[0] == pytest.approx((1 / 2 + 2 / 3 + 1 / 2 + 1 / 3) / 4)
    # One more spoofed utterance far below leaves only one: (1/2, 2/4).
    assert eer([1, 3], [0, 2, 4, -9])[0] == 0.5


@pytest.mark.parametrize(
    "increasing", [lambda x: 3 * x - 7, np.exp, np.arctan, lambda x: x**3], ids=["affine", "exp", "arctan", "cube"]
)
@pytest.mark.parametrize("decimals", [6, 1])
def test_increasing_maps_change_nothing(increasing: Callable[[FloatArray], FloatArray], decimals: int) -> None:
    bona_fide, spoof = scores(5, decimals=decimals)
    mapped = increasing(bona_fide), increasing(spoof)
    rate, threshold = eer(bona_fide, spoof)
    assert eer(*mapped) == (rate, increasing(np.array([threshold]))[0])
    assert auc(*mapped) == auc(bona_fide, spoof)
    assert min_tdcf_2019(*mapped, LA19_ASV["dev"]) == min_tdcf_2019(bona_fide, spoof, LA19_ASV["dev"])


@pytest.mark.parametrize("decimals", [6, 1, 0])
def test_turning_the_sign_and_the_classes_changes_nothing(decimals: int) -> None:
    bona_fide, spoof = scores(6, decimals=decimals)
    assert eer(-spoof, -bona_fide)[0] == pytest.approx(eer(bona_fide, spoof)[0], rel=1e-12)
    assert auc(-spoof, -bona_fide) == pytest.approx(auc(bona_fide, spoof), rel=1e-12)


def test_order_changes_nothing_and_input_is_left_alone() -> None:
    bona_fide, spoof = scores(7, decimals=1)
    copies = bona_fide.copy(), spoof.copy()
    assert eer(bona_fide[::-1], spoof[::-1]) == eer(bona_fide, spoof)
    np.testing.assert_array_equal(bona_fide, copies[0])
    np.testing.assert_array_equal(spoof, copies[1])


def test_det_curve_runs_from_accepting_all_to_accepting_none() -> None:
    p_miss, p_fa, thresholds = det_curve([1, 3], [0, 3])
    assert p_miss.tolist() == [0.0, 0.0, 0.5, 1.0]
    assert p_fa.tolist() == [1.0, 0.5, 0.5, 0.0]
    assert thresholds.tolist() == [0.0, 1.0, 3.0, math.inf]


def test_eer_per_attack_by_hand() -> None:
    attack_ids = np.array(["A08", "A07", "A08", "A07"])
    rates = eer_per_attack([1.0, 2.0], [0.0, 1.5, 0.5, 9.0], attack_ids)
    assert rates == {"A07": 0.5, "A08": 0.0}
    assert list(rates) == ["A07", "A08"]
    assert rates["A07"] == eer([1.0, 2.0], [1.5, 9.0])[0]


@pytest.mark.parametrize(
    ("bona_fide", "spoof", "message"),
    [
        ([], [1.0], "bona fide scores have shape"),
        ([1.0], [], "spoofed scores have shape"),
        ([[1.0]], [0.0], "bona fide scores have shape"),
        ([1.0, math.nan], [0.0], "1 of 2 bona fide scores"),
        ([1.0], [math.inf, -math.inf], "2 of 2 spoofed scores"),
    ],
)
@pytest.mark.parametrize("metric", [eer, det_curve, auc])
def test_scores_that_cannot_be_judged(
    metric: Callable[..., object], bona_fide: list[float], spoof: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metric(bona_fide, spoof)


def test_attack_ids_must_fit() -> None:
    with pytest.raises(ValueError, match="2 spoofed scores have 1 attack ids"):
        eer_per_attack([1.0], [0.0, 0.5], ["A01"])
    with pytest.raises(ValueError, match="non-target scores have shape"):
        asv_error_rates([1.0], [], [0.0])


def test_an_eval_partition_takes_well_under_a_second() -> None:
    rng = np.random.default_rng(0)
    bona_fide, spoof = rng.normal(1, 1, 7_355).round(6), rng.normal(0, 1, 63_882).round(6)
    start = time.perf_counter()
    eer(bona_fide, spoof)
    min_tdcf_2019(bona_fide, spoof, LA19_ASV["eval"])
    assert time.perf_counter() - start < 1  # some 0.03 s; comparing all couples would take minutes
