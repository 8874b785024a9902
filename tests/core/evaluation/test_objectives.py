"""The metrics that rank trials: how people read them, and what they are called over folds."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from core.evaluation.detection_cost import cllr, min_cllr, min_dcf
from core.evaluation.judgement import dev_metrics, judgement
from core.evaluation.objectives import METRICS, OBJECTIVES
from core.evaluation.tandem import LA19_ASV, AsvErrorRates, min_tdcf_2019


@pytest.mark.parametrize(
    ("name", "objective", "text"),
    [
        ("dev_eer", 0.125, "12.50 %"),
        ("fold_worst_attack_eer", 0.3, "30.00 %"),
        ("dev_min_tdcf", 0.1234, "0.1234"),
        ("fold_min_tdcf", 1.0, "1.0000"),
        ("dev_auc", -0.98, "0.9800"),
        ("dev_loss", 0.5, "0.5000"),
        ("dev_eer", math.inf, "-"),
        ("dev_auc", math.nan, "-"),
    ],
)
def test_an_objective_is_written_in_the_unit_and_sign_of_its_metric(name, objective, text):
    assert METRICS[name].describe(objective) == text


def test_every_metric_has_a_counterpart_over_folds():
    assert len(METRICS) == 2 * len(OBJECTIVES)
    for name, metric in OBJECTIVES.items():
        folded = METRICS[metric.folded]
        assert (metric.name, folded.name) == (name, name.replace("dev_", "fold_"))
        assert (folded.sign, folded.unit, folded.chance) == (metric.sign, metric.unit, metric.chance)


def test_only_rates_have_per_cent_on_an_axis():
    assert METRICS["fold_eer"].label == "fold_eer, %"
    assert METRICS["dev_min_tdcf"].label == "dev_min_tdcf"


def test_a_judgement_is_lower_for_better_and_ties_are_broken_by_the_auc():
    assert judgement("dev_auc", {"dev_auc": 0.9}) < judgement("dev_auc", {"dev_auc": 0.8})
    assert judgement("dev_eer", {"dev_eer": 0.1, "dev_auc": 0.95}) < judgement(
        "dev_eer", {"dev_eer": 0.1, "dev_auc": 0.9}
    )
    assert judgement("dev_eer", {"fold_eer": 0.2, "fold_auc": 1.0}, "fold_") == 0.2


def test_the_metrics_of_an_epoch_are_those_of_the_objectives_behind_the_given_asv():
    labels = np.repeat([1, 0], [30, 40])
    scores = np.random.default_rng(0).normal(size=70) + labels
    dev = SimpleNamespace(labels=labels, attack_ids=np.where(labels == 1, "-", "A01"))
    bona_fide, spoof = scores[:30], scores[30:]
    without = dev_metrics(scores, dev, 1)
    assert set(OBJECTIVES) - set(without) == {"dev_min_tdcf"}
    found = dev_metrics(scores, dev, 1, AsvErrorRates(p_fa=0.1, p_miss=0.2, p_miss_spoof=0.3))
    assert found["dev_min_tdcf"] == min_tdcf_2019(bona_fide, spoof, AsvErrorRates(0.1, 0.2, 0.3))
    assert found["dev_min_tdcf"] != min_tdcf_2019(bona_fide, spoof, LA19_ASV["dev"])
    assert found["dev_min_dcf"] == min_dcf(bona_fide, spoof)
    assert found["dev_min_cllr"] == min_cllr(bona_fide, spoof)
    assert found["dev_loss"] == pytest.approx(cllr(bona_fide, spoof) * math.log(2))
