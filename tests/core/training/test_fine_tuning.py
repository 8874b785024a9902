import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from core import bundle, table
from core.config import experiment_from_plain
from core.corpora.layouts import CORPORA
from core.detector import score_store
from core.errors import InputError
from core.features import FRONT_ENDS
from core.features.weights import files_of
from core.stores.extraction import extract
from core.training.fit import best_detector, epochs, fit
from tests.core.features.pretrained.family_models import saved_family
from tests.speech import make_corpus


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training of four epochs with its experiment, stores, corpus and states, and the folder of its encoder."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("fine-tuning")
    corpus = CORPORA["asvspoof2019_la"](make_corpus(root / "LA", n_per_class=6, duration_s=0.5))
    model = saved_family("wav2vec2-bert", root / "model")
    backbone = {"name": "fine_tuned", "layers": "all", "top_layers": 2, "lr_factor": 0.5, "embedding_dim": 8}
    experiment = experiment_from_plain(
        {
            "front_end": {"name": "waveform", "model": str(model)},
            "input": {"n_frames": 4000},
            "mode": "original",
            "backbone": {**backbone, "back_end": "statistics_pooling"},
            "lr_schedule": {"name": "constant", "lr": 5e-3},
            "batch_size": 8,
            "steps_per_epoch": 8,
            "epochs": 4,
        }
    )
    stores = {
        name: extract(corpus.partition(name), experiment.front_end, experiment.audio, root=root / "stores")
        for name in ("train", "dev")
    }
    reported, states = run(experiment, stores)
    return experiment, stores, corpus, model, reported, states


def run(experiment, stores, resume=None):
    reported, states = [], []

    def report(metrics, state):
        reported.append(metrics)
        states.append({**state, "detector": {name: value.clone() for name, value in state["detector"].items()}})

    fit(experiment, stores["train"], stores["dev"], report, resume=resume)
    return reported, states


def test_the_loss_falls_and_the_top_layers_change(trained):
    _, _, _, _, reported, states = trained
    assert reported[-1]["loss"] < 0.8 * reported[0]["loss"]
    name = "backbone.encoder.model.encoder.layers.2.self_attn.linear_q.weight"
    assert not torch.equal(states[0]["detector"][name], states[-1]["detector"][name])
    assert name.replace("layers.2", "layers.0") not in states[0]["detector"]


def test_an_interrupted_fine_tuning_resumes_to_the_bit(trained):
    experiment, stores, _, _, reported, states = trained
    # The optimiser of a state is in training: the state of one epoch comes from a training of its own.
    _, first = next(epochs(experiment, stores["train"], stores["dev"]))
    rest, resumed = run(experiment, stores, resume=first)
    assert rest == reported[1:]
    whole = states[-1]["detector"]
    assert whole.keys() == resumed[-1]["detector"].keys()
    assert all(torch.equal(value, resumed[-1]["detector"][name]) for name, value in whole.items())


def exported(trained, folder, *, with_weights):
    experiment, _, _, _, reported, states = trained
    front_end = table.build("front_end", FRONT_ENDS, experiment.front_end)
    detector = best_detector(states[-1])
    metrics = {"dev": {"eer": 0.1, "auc": 0.9, "n_bona_fide": 6, "n_spoof": 6}}
    made = bundle.Bundle(detector, experiment, 1, reported[-1]["dev_threshold"], metrics, {})
    files = files_of(front_end) if with_weights else ()
    bundle.save(
        made,
        folder,
        front_end_weights=front_end.weights,
        front_end_version=front_end.version,
        front_end_files=files,
    )
    return score_store(detector, trained[1]["dev"])


def test_a_bundle_with_its_encoder_scores_the_same_without_the_model(trained, tmp_path):
    _, _, corpus, model, _, _ = trained
    scores = exported(trained, tmp_path / "whole", with_weights=True)
    exported(trained, tmp_path / "bare", with_weights=False)
    moved = tmp_path / "moved"
    shutil.move(model, moved)
    try:
        paths = [utterance.path for utterance in corpus.partition("dev")]
        own = [score for _, score in bundle.score(bundle.load(tmp_path / "whole"), paths)]
        np.testing.assert_allclose(own, scores, rtol=1e-4, atol=1e-5)
        with pytest.raises(InputError, match=r"is not a local folder(.|\n)*score --weights names another place"):
            bundle.load(tmp_path / "bare")
        named = bundle.score(bundle.load(tmp_path / "bare", moved), paths, weights_at=moved)
        np.testing.assert_array_equal([score for _, score in named], own)
        with (moved / "model.safetensors").open("r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)
            file.seek(-1, 2)
            file.write(bytes([last[0] ^ 1]))
        with pytest.raises(InputError, match="the bundle was trained with"):
            bundle.load(tmp_path / "bare", moved)
        with (moved / "model.safetensors").open("r+b") as file:
            file.seek(-1, 2)
            file.write(last)
        placed = replace(trained[0], front_end=replace(trained[0].front_end, options={"model": str(moved)}))
        found = best_detector(trained[5][-1], placed.front_end)
        np.testing.assert_array_equal(score_store(found, trained[1]["dev"]), scores)
    finally:
        shutil.move(moved, model)
