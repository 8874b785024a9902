import math

import pytest

from core.evaluation.tandem import (
    LA19_ASV,
    LA19_ATTACKS,
    AsvErrorRates,
    asv_error_rates,
    foreign_attacks,
    min_tdcf_2019,
    min_tdcf_2021,
    tdcf_costs,
)

PERFECT_ASV = AsvErrorRates(p_fa=0.0, p_miss=0.0, p_miss_spoof=0.0)


def test_published_costs_of_the_organisers_asv() -> None:
    for partition, c1, c2 in (("dev", 0.9153623407, 0.3801354503), ("eval", 0.9150441201, 0.3803262265)):
        c0, *costs = tdcf_costs(LA19_ASV[partition])
        assert costs == pytest.approx([c1, c2], abs=5e-11)
        assert c0 + costs[0] == pytest.approx(0.9405)


def test_min_tdcf_by_hand() -> None:
    # Behind a perfect ASV that no spoof is told apart by: C0 = 0, C1 = .9405, C2 = .5. Missing the lowest of three bona
    # fide costs .3135, letting one of two spoofs through .25.
    bona_fide, spoof = [0.0, 2.0, 3.0], [-1.0, 1.0]
    assert tdcf_costs(PERFECT_ASV) == pytest.approx((0.0, 0.9405, 0.5))
    assert min_tdcf_2019(bona_fide, spoof, PERFECT_ASV) == pytest.approx(0.5)
    assert min_tdcf_2021(bona_fide, spoof, PERFECT_ASV) == pytest.approx(0.5)
    # An ASV that errs: C0 = .09405 + .0095 = .10355, C1 = .83695, C2 = .4; the cheapest is again one spoof, .2.
    asv = AsvErrorRates(p_fa=0.1, p_miss=0.1, p_miss_spoof=0.2)
    assert min_tdcf_2019(bona_fide, spoof, asv) == pytest.approx(0.5)
    assert min_tdcf_2021(bona_fide, spoof, asv) == pytest.approx(0.30355 / 0.50355)


@pytest.mark.parametrize("asv", LA19_ASV.values(), ids=LA19_ASV)
def test_min_tdcf_of_perfect_and_useless_countermeasures(asv: AsvErrorRates) -> None:
    c0, c1, c2 = tdcf_costs(asv)
    assert min_tdcf_2019([1, 2], [-1], asv) == 0.0
    assert min_tdcf_2021([1, 2], [-1], asv) == pytest.approx(c0 / (c0 + min(c1, c2)))
    assert min_tdcf_2019([0, 0], [0], asv) == min_tdcf_2021([0, 0], [0], asv) == 1.0


def test_no_tdcf_behind_a_useless_asv() -> None:
    for asv in (AsvErrorRates(p_fa=1.0, p_miss=1.0, p_miss_spoof=0.0), AsvErrorRates(0.0, 0.0, p_miss_spoof=1.0)):
        with pytest.raises(ValueError, match=r"C1 is .* both must be positive"):
            min_tdcf_2019([1], [0], asv)


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_asv_error_rates_are_rates(rate: float) -> None:
    with pytest.raises(ValueError, match="p_miss is"):
        AsvErrorRates(p_fa=0.0, p_miss=rate, p_miss_spoof=0.0)


def test_asv_error_rates_by_hand() -> None:
    # The EER point rejects scores up to 3; 3 is the threshold and is then accepted.
    rates = asv_error_rates([2, 4, 5, 6], [0, 1, 3, 7], [-1, 2.5, 3, 8])
    assert rates == AsvErrorRates(p_fa=0.5, p_miss=0.25, p_miss_spoof=0.5)
    assert asv_error_rates([1, 1], [1, 1], [0, 1]) == AsvErrorRates(p_fa=1.0, p_miss=0.0, p_miss_spoof=0.5)


@pytest.mark.parametrize(
    ("asv", "cm", "message"),
    [
        ({"A01", "A02"}, {"A01", "A02"}, None),
        ({"-"}, {"A01"}, None),
        (set(), {"A01"}, None),
        ({"A01"}, {"A07"}, "the ASV has A01 and lacks A07"),
        (LA19_ATTACKS["eval"], {"A07"}, "the ASV has A08, A09, A10 and 9 more"),
    ],
)
def test_asv_scores_of_other_attacks_belong_to_other_utterances(asv, cm, message):
    reason = foreign_attacks(asv, cm)
    assert reason is None if message is None else message in reason
