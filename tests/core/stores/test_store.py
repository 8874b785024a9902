"""A store that is there: its views, its windows, its parts, and what damage says."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.stores.store import FeatureStore
from tests.core.stores.conftest import build


def test_views_are_read_only_and_copy_nothing(utterances, tmp_path):
    store = build(utterances, tmp_path)
    view = store.frames(3)
    assert np.shares_memory(view, store.frames(3))
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1


def test_who_made_a_copy_stands_in_the_store_and_in_parts_of_it(utterances, tmp_path):
    made = [dataclasses.replace(utterances[0], copy="mulaw"), *utterances[1:]]
    store = build(made, tmp_path)
    assert store.copies == ["mulaw"] + [None] * 11
    assert store.subset(np.array([3, 0])).copies == [None, "mulaw"]


def test_windows_by_hand(utterances, tmp_path):
    store = build(utterances, tmp_path)
    n_frames = int(store.n_frames[0])
    (window,) = store.windows(np.array([0]), n_frames + 3)  # shorter than the window: repeated from its first frame
    frames = store.frames(0)
    assert np.array_equal(window.numpy().T, np.concatenate([frames, frames[:3]]))
    (first,) = store.windows(np.array([0]), 4)
    (last,) = store.windows(np.array([0]), 4, position=1.0)
    assert np.array_equal(first.numpy().T, frames[:4])
    assert np.array_equal(last.numpy().T, frames[-4:])
    (long,) = store.windows(np.array([0]), 2 * n_frames + 1)
    assert np.array_equal(long.numpy().T, np.concatenate([frames, frames, frames[:1]]))


def test_random_windows_begin_everywhere_and_repeat_with_the_generator(utterances, tmp_path):
    store = build(utterances, tmp_path)
    n_frames = int(store.n_frames[0])
    indices = np.zeros(200, np.int64)
    windows = store.windows(indices, n_frames - 2, np.random.default_rng(0))
    again = store.windows(indices, n_frames - 2, np.random.default_rng(0))
    assert torch.equal(windows, again)
    store_starts = np.random.default_rng(1).integers(np.maximum(store.n_frames - 18, 0) + 1)
    windows_of_all = store.windows(np.arange(len(store)), 18, np.random.default_rng(1))
    assert (store.n_frames < 18).any()
    assert (store.n_frames > 18).any()
    for index, start in enumerate(store_starts):  # frame by frame, wrapping where the utterance is shorter
        frames, length = store.frames(index), store.n_frames[index]
        expected = [frames[(start + t) % length] for t in range(18)]
        assert np.array_equal(windows_of_all[index].numpy().T, np.stack(expected))
    starts = {next(s for s in range(3) if np.array_equal(w.numpy().T[0], store.frames(0)[s])) for w in windows}
    assert starts == {0, 1, 2}


@pytest.mark.parametrize(
    "damage", ["truncated", "missing", "manifest", "binary", "list", "no shards", "wrong width", "format", "offsets"]
)
def test_a_damaged_store_says_what_to_do(utterances, tmp_path, damage):
    path = build(utterances, tmp_path).path
    shard, manifest = path / "000001.arrow", path / "manifest.json"
    if damage == "truncated":
        shard.write_bytes(shard.read_bytes()[:-50])
    elif damage == "missing":
        shard.unlink()
    elif damage == "manifest":
        manifest.write_text("{")
    elif damage == "binary":
        manifest.write_bytes(b"\xff\xfe")
    elif damage == "list":
        manifest.write_text("[]")
    elif damage == "no shards":
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "shards": None}))
    elif damage == "wrong width":
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "n_features": 80}))
    elif damage == "offsets":  # bytes that would send a reader out of the file
        offsets = np.concatenate([[0], np.cumsum(FeatureStore.open(path).n_frames[5:10] * 160)]).astype("<i8").tobytes()
        content = shard.read_bytes()
        assert content.count(offsets) == 1
        shard.write_bytes(content.replace(offsets, offsets[:-8] + (1 << 60).to_bytes(8, "little")))
    else:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    with pytest.raises(InputError, match=r"[Dd]elete the folder"):
        FeatureStore.open(path)


def test_a_bit_that_flipped_in_a_shard_is_noticed_before_training(utterances, tmp_path):
    path = build(utterances, tmp_path).path
    shard = path / "000001.arrow"
    content = bytearray(shard.read_bytes())
    features = FeatureStore.open(path).frames(6).tobytes()
    content[bytes(content).index(features)] ^= 1
    shard.write_bytes(content)
    with pytest.raises(InputError, match=r"000001\.arrow does not have the SHA-256 .* delete the folder"):
        build(utterances, tmp_path)
