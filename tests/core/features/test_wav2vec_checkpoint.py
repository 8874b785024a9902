"""The forms of wav2vec checkpoints that are read: our own, and those of fairseq."""

import sys
import types

import numpy as np
import pytest
import torch

from core.features.fairseq_checkpoint import parse_layers
from core.features.wav2vec import load, save, wav2vec
from core.features.wav2vec_network import wav2vec_large, wav2vec_tiny
from tests.core.features.wav2vec_models import CONFIGS, fairseq_arguments, fairseq_names, noise, unlike_new


@pytest.mark.parametrize("name", CONFIGS)
def test_own_form_round_trip(tmp_path, name):
    model = unlike_new(CONFIGS[name])
    save(model, tmp_path / "w.safetensors")
    loaded = load(tmp_path / "w.safetensors")
    assert loaded.config == model.config
    assert not loaded.training
    assert torch.equal(loaded(noise()), model.eval()(noise()))
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", CONFIGS)
def test_fairseq_form_gives_identical_features(tmp_path, name, zipped):
    model = unlike_new(CONFIGS[name])
    content = {
        "args": fairseq_arguments(model.config),
        "model": fairseq_names(model),
        "optimizer_history": [{"criterion_name": "BinaryCrossEntropyCriterion", "num_updates": 3}],
        "extra_state": {"epoch": 1, "val_loss": np.float64(0.5)},
        "last_optimizer_state": None,
    }
    path = tmp_path / "wav2vec.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    loaded = load(path)
    assert loaded.config == model.config
    assert torch.equal(loaded(noise()), model.eval()(noise()))
    for layer, expected in (("encoder", model.encode(noise())), ("context", model(noise()))):
        front_end = wav2vec(checkpoint=str(path), layer=layer)
        assert torch.equal(front_end(noise()), expected)
        assert front_end.n_features == expected.shape[1]
        assert list(front_end.weights) == ["wav2vec.pt"]
        assert front_end.prediction_head is None


def test_first_years_of_fairseq(tmp_path, monkeypatch):
    # No `activation`, lists as sums, meters of the training in the file, half precision.
    meters = types.ModuleType("fairseq.meters")
    meters.AverageMeter = type("AverageMeter", (), {"__module__": "fairseq.meters"})
    monkeypatch.setitem(sys.modules, "fairseq", types.ModuleType("fairseq"))
    monkeypatch.setitem(sys.modules, "fairseq.meters", meters)
    meter = meters.AverageMeter()
    meter.sum, meter.count = 3.0, 2
    model = unlike_new(wav2vec_tiny(prediction_steps=12))
    arguments = fairseq_arguments(
        model.config,
        activation=None,
        conv_feature_layers="[(16, 10, 5), (16, 8, 4)] + [(16, 4, 2)] * 3",
        conv_aggregator_layers="[(16, 2, 1), (16, 3, 1)]",
    )
    tensors = {name: tensor.half() for name, tensor in fairseq_names(model).items()}
    path = tmp_path / "wav2vec.pt"
    torch.save(
        {"args": arguments, "model": tensors, "extra_state": {"train_meters": {"loss": meter}}},
        path,
        _use_new_zipfile_serialization=False,
    )
    monkeypatch.undo()
    loaded = load(path)
    assert loaded.config == model.config
    assert all(parameter.dtype == torch.float32 for parameter in loaded.parameters())
    torch.testing.assert_close(loaded(noise()), model(noise()), rtol=0.05, atol=0.05)


def test_layers_in_fairseqs_notation():
    text = " [(512, 10, 5)] + [(512, 8, 4)] + [(512,4,2)] * 3 + 2 * [(512, 1, 1)]"
    assert parse_layers(text) == wav2vec_large().encoder
    assert parse_layers("[[1, 2, 3], (4, 5, 6)]") == ((1, 2, 3), (4, 5, 6))
