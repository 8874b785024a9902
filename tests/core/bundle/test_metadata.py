"""The metadata of a model card, read by the Hugging Face hub's own reader; and who may read a bundle."""

import json
import os

import pytest
from huggingface_hub import ModelCard

from core.bundle.card import model_card
from tests.bundles import export


@pytest.fixture
def config(tmp_path):
    return json.loads((export(tmp_path / "b") / "config.json").read_text())


def read(config):
    return ModelCard(model_card(config, n_parameters=1)).data


def test_the_hub_reads_metrics_of_every_partition(config):
    config["provenance"] = {"run": "quick-001", "trial": 3, "corpus": "asvspoof2019_la"}
    dev = config["metrics"]["dev"]
    costs = {"p_spoof": 0.05, "miss": 1.0, "false_alarm": 10.0}
    config["metrics"]["eval"] = {
        **dev,
        "eer": 0.25,
        **dict.fromkeys(("min_dcf", "act_dcf", "cllr", "min_cllr"), 0.5),
        "dcf_costs": costs,
    }
    data = read(config)
    assert (data.library_name, data.pipeline_tag) == ("spooftune", "audio-classification")
    assert (data.license, data.datasets, data.metrics) == (
        "other",
        ["asvspoof2019_la"],
        ["eer", "auc", "min_dcf", "cllr"],
    )
    assert data.model_name == "quick-001-trial-3"
    found = {(result.dataset_split, result.metric_type): result.metric_value for result in data.eval_results}
    assert found == {
        ("dev", "eer"): 0.1,
        ("dev", "auc"): 0.9,
        ("eval", "eer"): 0.25,
        ("eval", "auc"): 0.9,
        ("eval", "min_dcf"): 0.5,
        ("eval", "cllr"): 0.5,
    }


@pytest.mark.parametrize(
    ("model", "corpus", "base", "datasets"),
    [
        ("facebook/wav2vec2-base", "LA", "facebook/wav2vec2-base", ["LA"]),
        ("/models/wav2vec2", "my corpus: {1}", None, None),
        (None, "a/b", None, ["a/b"]),
    ],
)
def test_only_names_of_the_hub_are_named(config, model, corpus, base, datasets):
    config["provenance"]["corpus"] = corpus
    config["experiment"]["front_end"] = {"name": "wav2vec2", **({"model": model} if model else {})}
    data = read(config)
    assert (data.base_model, data.datasets) == (base, datasets)
    assert data.eval_results[0].dataset_type == corpus


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_colleagues_may_read_what_the_umask_lets_them(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        folder = export(tmp_path / "b")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {mode}
