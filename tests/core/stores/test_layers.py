"""Stores of several layers: one extraction, of which a reader takes one layer, their mean, or all."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core import audio
from core.audio import AudioOptions
from core.config import experiment_from_plain
from core.errors import InputError
from core.stores import shards
from core.stores.extraction import estimated_bytes
from core.stores.inputs import InputOptions, read_layers
from core.stores.shards import shard_size
from core.stores.store import FeatureStore
from core.table import Block
from tests.core.stores.conftest import build
from tests.layered import layered, layered_front_end  # noqa: F401

ALL, SOME = Block("layered"), Block("layered", {"layers": [3, 1]})

pytestmark = pytest.mark.usefixtures("layered_front_end")


@pytest.fixture
def stores(utterances, tmp_path):
    return [build(utterances, tmp_path, front_end=front_end) for front_end in (ALL, SOME)]


def alone(utterance, layer):
    """Features of one layer of an utterance, `(n_frames, n_features)`, without a store."""
    waveform = torch.from_numpy(audio.load(utterance.path, AudioOptions()))[None]
    return layered(layers=[layer])(waveform)[0].T.half().numpy()


def test_every_layer_is_that_of_the_front_end_whatever_else_is_stored(utterances, stores):
    whole, some = stores
    assert (whole.layers, some.layers) == ((0, 1, 2, 3), (3, 1))
    assert whole.n_features == some.n_features == layered().n_features
    for index, utterance in enumerate(utterances):
        for layer in (3, 1):
            expected = alone(utterance, layer)
            assert np.array_equal(whole.reading(layer).frames(index), expected)
            assert np.array_equal(some.reading(layer).frames(index), expected)
        joined = np.concatenate([alone(utterance, layer) for layer in (3, 1)], axis=1)
        assert np.array_equal(some.reading("all").frames(index), joined)
        assert np.array_equal(some.reading("mix").frames(index), joined)
        mean = np.mean([alone(utterance, layer).astype(np.float64) for layer in range(4)], axis=0)
        np.testing.assert_allclose(whole.reading("mean").frames(index), mean, rtol=1e-3, atol=1e-3)


def test_one_layer_is_read_without_a_copy_and_its_windows_are_those_of_a_store_of_it_alone(
    utterances, stores, tmp_path
):
    whole, _ = stores
    for layer in (2, "mean"):
        assert np.shares_memory(whole.reading(layer).frames(3), whole.reading(layer).frames(3))
    single = build(utterances, tmp_path, front_end=Block("layered", {"layers": [2]}))
    for n_frames in (7, 18, 60):  # shorter than all utterances, than some, and longer than all
        for options in ({"position": 1.0}, {"generator": 0}, {"generator": 1}):
            windows = [
                store.windows(np.arange(12), n_frames, **{k: np.random.default_rng(v) for k, v in options.items()})
                if "generator" in options
                else store.windows(np.arange(12), n_frames, **options)
                for store in (whole.reading(2), single)
            ]
            assert torch.equal(*windows)


def test_windows_of_all_layers_are_those_of_the_layers(stores):
    whole, _ = stores
    indices = np.array([5, 0, 5])
    for n_frames in (9, 60):
        stacked = whole.reading("all").windows(indices, n_frames, np.random.default_rng(0))
        assert stacked.shape == (3, 4 * whole.n_features, n_frames)
        for number, part in enumerate(stacked.chunk(4, dim=1)):
            assert torch.equal(part, whole.reading(number).windows(indices, n_frames, np.random.default_rng(0)))
        mean = whole.reading("mean").windows(indices, n_frames, np.random.default_rng(0))
        torch.testing.assert_close(mean.float(), stacked.unflatten(1, (4, -1)).float().mean(1), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layer", [1, 3, "mean", "mix", "all"])
def test_what_a_store_reads_is_what_live_features_give_to_the_bit(utterances, stores, layer):
    for store, front_end in zip(stores, (layered(), layered(layers=[3, 1])), strict=True):
        for index in (0, 7):
            features = front_end(torch.from_numpy(audio.load(utterances[index].path, AudioOptions()))[None])[0]
            live = read_layers(features, layer, front_end.layers)
            assert np.array_equal(live.numpy().T, store.reading(layer).frames(index))


def test_a_part_of_a_store_reads_the_same_layers(stores):
    whole, _ = stores
    part = whole.reading(3).subset(np.array([4, 2]))
    assert np.array_equal(part.frames(0), whole.reading(3).frames(4))
    assert whole.layer == "mean"  # reading changes a view, not the store


def test_layers_that_are_not_there_are_refused(utterances, stores, tmp_path):
    _, some = stores
    with pytest.raises(
        InputError, match=r"input\.layer is 2; .*layered-\w+ has layers 3, 1; also valid: mean, mix, all"
    ):
        some.reading(2)
    toy = build(utterances, tmp_path)
    for layer in (0, "mix", "all"):
        with pytest.raises(
            InputError, match=rf"input\.layer is {layer}; .* has no layers to choose from: leave it out"
        ):
            toy.reading(layer)
    assert toy.reading("mean").frames(0).shape[1] == 160
    with pytest.raises(ValueError, match="layer is -1; it must be at least 0"):
        InputOptions(layer=-1)
    for wrong in ("median", True, 1.5):
        with pytest.raises(InputError, match=r"input\.layer is .*; it must be int or one of mean, mix, all"):
            experiment_from_plain({"front_end": "lfcc", "input": {"layer": wrong}})


def test_layers_count_in_the_size_the_manifest_and_the_check_of_shards(utterances, stores, tmp_path):
    whole, some = stores
    sizes = [estimated_bytes(utterances, layered(layers=layers)) for layers in ([1], [3, 1], "all")]
    assert sizes[1:] == pytest.approx([3 * sizes[0], 5 * sizes[0]])  # several layers, and their mean
    real = int(whole.n_frames.sum()) * whole.n_features * 5 * 2
    assert real < sum(path.stat().st_size for path in whole.path.glob("*.arrow")) < real + 8000
    assert sizes[2] == pytest.approx(real, rel=0.1)
    manifest = json.loads((some.path / "manifest.json").read_text())
    assert manifest["layers"] == [3, 1]
    (some.path / "manifest.json").write_text(json.dumps({**manifest, "layers": [3]}))
    with pytest.raises(InputError, match=r"damaged .*; delete the folder"):
        FeatureStore.open(some.path)


def test_many_layers_make_shards_of_fewer_utterances(utterances, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 128)
    large = {"n_features": 1024, "hop_length": 320}
    assert shard_size(SimpleNamespace(**large)) == 128  # one layer: 1 MiB of 10 s
    n_utterances = shard_size(SimpleNamespace(**large, layers=tuple(range(25))))
    assert n_utterances * 10 * 50 * 26 * 1024 * 2 <= 256 * 2**20 < (n_utterances + 1) * 10 * 50 * 26 * 1024 * 2
    assert shard_size(SimpleNamespace(n_features=10**6, hop_length=1)) == 1
    whole = build(utterances, tmp_path / "a", front_end=ALL)
    monkeypatch.setattr(shards, "SHARD_BYTES", 100_000)
    monkeypatch.setattr(shards, "USUAL_SECONDS", 1.0)
    assert shard_size(layered()) < 12 < 24 < shard_size(layered(layers=[1]))
    smaller = build(utterances, tmp_path / "b", front_end=ALL)
    assert len(list(smaller.path.glob("*.arrow"))) == -(-12 // shard_size(layered()))
    assert smaller.key != whole.key
    assert all(np.array_equal(whole.frames(index), smaller.frames(index)) for index in range(12))
