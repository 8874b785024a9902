"""Resemblyzer's encoder against a plain calculation, step by step, and against the package if it is installed."""

import dataclasses
import importlib.util

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank

from core.catalogue import packages
from core.errors import InputError
from core.features.pretrained.resemblyzer import resemblyzer, window_starts
from tests.core.features.pretrained.models import saved_resemblyzer


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return saved_resemblyzer(tmp_path_factory.mktemp("resemblyzer"))


def noise(time: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=time) * np.linspace(0.02, 0.3, time)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).sum())


def plain_embedding(path, waveform: np.ndarray) -> np.ndarray:
    """Embedding `(12,)`: one window after the other, one hop after the other, in float64."""
    tensors = {name: x.double().numpy() for name, x in torch.load(path, weights_only=True)["model_state"].items()}
    effective = np.sqrt((waveform**2).mean())
    waveform = waveform * max(1.0, 10**-1.5 / effective)
    starts = range(0, max(1, int(np.ceil((len(waveform) + 1) / 160)) - 160 + 77 + 1), 77)
    starts = [start for start in starts if start == 0 or len(waveform) - start * 160 >= 0.75 * 25600]
    padded = np.pad(waveform, (200, 200 + max(0, starts[-1] * 160 + 25600 - len(waveform))))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    filters = mel_filter_bank(201, 8, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney")
    embeddings = []
    for start in starts:
        hops = [padded[hop * 160 : hop * 160 + 400] * hann for hop in range(start, start + 160)]
        x = np.abs(np.fft.rfft(hops)) ** 2 @ filters
        for layer in range(3):
            weights = [tensors[f"lstm.weight_{kind}_l{layer}"] for kind in ("ih", "hh")]
            bias = tensors[f"lstm.bias_ih_l{layer}"] + tensors[f"lstm.bias_hh_l{layer}"]
            hidden = cell = np.zeros(16)
            outputs = []
            for hop in x:
                entry, forget, candidate, exit_ = np.split(weights[0] @ hop + weights[1] @ hidden + bias, 4)
                cell = sigmoid(forget) * cell + sigmoid(entry) * np.tanh(candidate)
                hidden = sigmoid(exit_) * np.tanh(cell)
                outputs.append(hidden)
            x = np.array(outputs)
        embeddings.append(unit(np.maximum(tensors["linear.weight"] @ x[-1] + tensors["linear.bias"], 0)))
    return unit(np.mean(embeddings, axis=0))


@pytest.mark.parametrize(("time", "gain"), [(400, 1.0), (25600, 1.0), (60000, 1.0), (60000, 0.001)])
def test_the_embedding_is_that_of_a_plain_calculation(path, time, gain):
    waveform = gain * noise(time)
    features = resemblyzer(weights=str(path))(torch.from_numpy(waveform).float()[None])
    assert features.shape == (1, 12, 1)
    expected = plain_embedding(path, waveform)
    assert expected.std() > 0.05
    np.testing.assert_allclose(features[0, :, 0].numpy(), expected, rtol=1e-3, atol=1e-4)


def test_windows_by_hand():
    assert window_starts(400) == [0]
    assert window_starts(25600 + 76 * 160) == [0, 77]
    assert window_starts(77 * 160 + 19199) == [0]  # the second window would have 19,199 of 25,600 samples
    assert window_starts(77 * 160 + 19200) == [0, 77]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"linear.bias": None}, r"not Resemblyzer's network: linear\.bias of \(12,\) is missing"),
        ({"lstm.weight_hh_l2": torch.ones(4, 4)}, r"lstm\.weight_hh_l2 is of \(4, 4\), not \(64, 16\)"),
        ({"more": torch.ones(4)}, "more is not known"),
    ],
)
def test_other_files_are_refused(path, tmp_path, change, message):
    tensors = {**torch.load(path, weights_only=True)["model_state"], **change}
    torch.save({name: tensor for name, tensor in tensors.items() if tensor is not None}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=message):
        resemblyzer(weights=str(tmp_path / "x.pt"))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(packages, "RESEMBLYZER", dataclasses.replace(packages.RESEMBLYZER, name="no_such_package"))
    with pytest.raises(InputError, match=r"run pip install --no-deps .*, or give `weights` a file"):
        resemblyzer()


PARTS = ("resemblyzer", "librosa", "webrtcvad")


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PARTS), reason="the package Resemblyzer is not installed"
)
def test_the_embedding_is_the_packages():
    from resemblyzer import VoiceEncoder

    waveform = noise(60000).astype(np.float32)
    expected = VoiceEncoder("cpu", verbose=False).embed_utterance(waveform)
    features = resemblyzer()(torch.from_numpy(waveform)[None])
    np.testing.assert_allclose(features[0, :, 0].numpy(), expected, atol=1e-5)
