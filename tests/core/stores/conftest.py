"""A front end whose features are the waveform itself, and a corpus to extract with it in small shards."""

import pytest
from torch import nn

from core import features as features_module
from core.audio import AudioOptions
from core.corpora.layouts import CORPORA
from core.stores import shards
from core.stores.extraction import extract
from core.table import Block
from tests.speech import make_corpus


class Toy(nn.Module):
    """Frames of 160 samples as they are, times `gain`; counts its calls."""

    n_features, hop_length, min_samples, version = 160, 160, 160, 1
    calls = batches = 0

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain, self.weights = gain, {}

    def forward(self, waveform):
        Toy.calls += len(waveform)
        Toy.batches += 1
        n_frames = waveform.shape[1] // 160
        return self.gain * waveform[:, : n_frames * 160].reshape(len(waveform), n_frames, 160).transpose(1, 2)


def toy(*, gain: float = 1.0):
    return Toy(gain)


TOY = Block("toy")


@pytest.fixture
def toy_front_end(monkeypatch):
    monkeypatch.setitem(features_module.FRONT_ENDS, "toy", toy)
    monkeypatch.setattr(shards, "SHARD", 5)
    Toy.calls = Toy.batches = 0


@pytest.fixture
def root(tmp_path, toy_front_end):
    return make_corpus(tmp_path / "LA", n_per_class=6, duration_s=0.2)


@pytest.fixture
def utterances(root):
    return CORPORA["asvspoof2019_la"](root).partition("train")


def build(utterances, tmp_path, **options):
    return extract(utterances, options.pop("front_end", TOY), AudioOptions(), root=tmp_path / "stores", **options)
