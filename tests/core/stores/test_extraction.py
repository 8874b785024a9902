"""Extraction: recordings to a store, once, whatever interrupts it and whoever else wants it."""

import dataclasses
import multiprocessing

import numpy as np
import pytest
import soundfile

from core import features as features_module
from core.audio import AudioOptions
from core.corpora.layouts import CORPORA
from core.errors import InputError
from core.stores import shards
from core.stores.extraction import estimated_bytes, extract, is_complete, store_path
from core.stores.store import FeatureStore
from core.table import Block
from tests.core.stores.conftest import TOY, Toy, build, toy


def test_features_are_those_of_the_front_end_in_the_order_of_the_protocol(utterances, tmp_path):
    store = build(utterances, tmp_path)
    assert store.utterance_ids == [each.utterance_id for each in utterances]
    assert store.labels.tolist() == [each.label for each in utterances]
    assert store.attack_ids == [each.attack_id for each in utterances]
    for index, utterance in enumerate(utterances):
        waveform, _ = soundfile.read(utterance.path, dtype="float32")
        frames = waveform[: len(waveform) // 160 * 160].reshape(-1, 160)
        assert np.array_equal(store.frames(index), frames.astype(np.float16))
    assert len(list(store.path.glob("*.arrow"))) == 3  # 12 utterances in shards of 5


def test_a_complete_store_is_opened_not_extracted(utterances, tmp_path):
    build(utterances, tmp_path)
    assert Toy.calls == 12
    build(utterances, tmp_path)
    assert Toy.calls == 12


def test_an_interrupted_extraction_goes_on_where_it_stopped(utterances, tmp_path):
    def stop(n_utterances, seconds):
        if n_utterances > 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(utterances, tmp_path, progress=stop)
    (folder,) = (path for path in (tmp_path / "stores").iterdir() if path.is_dir())
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.arrow")}
    assert list(kept) == ["000000.arrow"]
    assert not is_complete(folder)
    with pytest.raises(InputError, match="no complete feature store"):
        FeatureStore.open(folder)
    Toy.calls = 0
    store = build(utterances, tmp_path)
    assert Toy.calls == 7  # 12 less the shard of 5 that was there
    assert (folder / "000000.arrow").stat().st_mtime_ns == kept["000000.arrow"]
    whole = build(utterances, tmp_path / "other")
    for path in folder.glob("*.arrow"):
        assert path.read_bytes() == (whole.path / path.name).read_bytes()
    assert store.utterance_ids == whole.utterance_ids
    assert not list(folder.glob(".*"))  # no temporary file stays


def _extract_in_process(root, stores, calls):
    corpus = CORPORA["asvspoof2019_la"](root)
    features_module.FRONT_ENDS["toy"] = toy
    extract(corpus.partition("train"), TOY, AudioOptions(), root=stores)
    calls.put(Toy.calls)


def test_two_processes_write_a_store_once(root, utterances, tmp_path):
    context = multiprocessing.get_context("fork")
    calls = context.Queue()
    arguments = (root, tmp_path / "stores", calls)
    processes = [context.Process(target=_extract_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    counts = sorted(calls.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert counts == [0, 12]


def test_bad_recordings_stop_or_are_left_out_and_listed(utterances, tmp_path):
    utterances[1].path.write_bytes(b"words")
    soundfile.write(utterances[3].path, np.zeros(10), 16000)
    with pytest.raises(InputError) as caught:
        build(utterances, tmp_path)
    for index in (1, 3):
        assert any(str(utterances[index].path) in each for each in caught.value.problems)
    assert "on_bad_audio: skip" in caught.value.problems[-1]
    store = build(utterances, tmp_path, on_bad_audio="skip")
    assert len(store) == 10
    assert [each.utterance_id for each in store.skipped] == [utterances[1].utterance_id, utterances[3].utterance_id]
    with pytest.raises(InputError, match="left these recordings out"):
        build(utterances, tmp_path, on_bad_audio="stop")


def test_nothing_that_can_be_used_is_an_error_even_when_skipping(utterances, tmp_path):
    for each in utterances[:5]:  # a whole shard
        each.path.write_bytes(b"words")
    assert len(build(utterances, tmp_path, on_bad_audio="skip")) == 7
    for each in utterances:
        each.path.write_bytes(b"words")
    with pytest.raises(InputError, match="none of 12 recordings"):
        build(utterances, tmp_path, on_bad_audio="skip")


def test_what_an_earlier_process_left_behind(utterances, tmp_path):
    path = build(utterances, tmp_path).path
    (path / "manifest.json").unlink()
    (path / ".000002.arrow-x1y2z3ab").write_bytes(b"half a shard")
    shard = path / "000001.arrow"
    whole = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(whole[:-60])
    with pytest.raises(InputError, match=r"000001\.arrow: damaged .*; delete it"):
        build(utterances, tmp_path)
    shard.unlink()
    Toy.calls = 0
    assert len(build(utterances, tmp_path)) == 12
    assert Toy.calls == 5  # the shard that was deleted, no other
    assert shard.read_bytes() == whole
    assert not list(path.glob(".*"))


def test_threads_and_batches_change_no_byte(utterances, tmp_path, monkeypatch):
    for number, each in enumerate(utterances):  # lengths in common, so that batches form
        soundfile.write(
            each.path, np.random.default_rng(number).normal(scale=0.1, size=3200 + 1600 * (number % 2)), 16000
        )
    first = build(utterances, tmp_path / "a", n_workers=1).path
    batched = Toy.batches
    monkeypatch.setattr(shards, "MAX_SAMPLES", 1)  # one at a time
    second = build(utterances, tmp_path / "b", n_workers=4).path
    assert (batched, Toy.batches - batched) == (6, 12)  # two lengths in each of 3 shards
    for shard in first.glob("*.arrow"):
        assert shard.read_bytes() == (second / shard.name).read_bytes()


@pytest.mark.parametrize("gain", [1e9, float("nan")])
def test_what_float16_cannot_hold_is_named(utterances, tmp_path, gain):
    with pytest.raises(InputError, match=r"T_T_\d+.*not finite"):
        build(utterances, tmp_path, front_end=Block("toy", {"gain": gain}))


def test_a_root_that_cannot_be_written(utterances, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="could not be written"):
        extract(utterances, TOY, AudioOptions(), root=tmp_path / "file")


def test_the_size_is_estimated_from_headers(utterances, tmp_path, monkeypatch):
    real_info = soundfile.info
    store = build(utterances, tmp_path)
    path = store_path(utterances, TOY, AudioOptions(), root=tmp_path / "stores")
    assert path == store.path
    real = int(store.n_frames.sum()) * 160 * 2
    assert estimated_bytes(utterances, toy()) == pytest.approx(real, rel=0.06)
    looked_at = []
    monkeypatch.setattr(soundfile, "info", lambda path: looked_at.append(path) or real_info(path))
    assert estimated_bytes(utterances, toy(), n_sampled=7) > 0
    assert 0 < len(looked_at) <= 7
    utterances[0].path.rename(headerless := utterances[0].path.with_suffix(".raw"))
    assert estimated_bytes([dataclasses.replace(utterances[0], path=headerless)], toy()) == 0


def test_features_that_are_not_finite_are_skipped_as_other_bad_audio_is(utterances, tmp_path):
    loud = np.random.default_rng(0).normal(size=3200) * 1e6
    soundfile.write(utterances[3].path.with_suffix(".wav"), loud, 16000, subtype="FLOAT")
    louder = [*utterances[:3], dataclasses.replace(utterances[3], path=utterances[3].path.with_suffix(".wav"))]
    louder += utterances[4:]
    store = build(louder, tmp_path, on_bad_audio="skip")
    assert len(store) == len(utterances) - 1
    assert louder[3].utterance_id not in store.utterance_ids


def test_long_recordings_are_decoded_in_parts_and_give_the_same_bytes(utterances, tmp_path, monkeypatch):
    whole = build(utterances, tmp_path / "a").path
    monkeypatch.setattr(shards, "AHEAD_SECONDS", 0.5)
    decoded, waiting = [], []
    real = shards.audio.load
    monkeypatch.setattr(shards.audio, "load", lambda path, options: decoded.append(path) or real(path, options))
    called = Toy.forward
    monkeypatch.setattr(Toy, "forward", lambda self, x: waiting.append(len(decoded)) or called(self, x))
    parts = build(utterances, tmp_path / "b", n_workers=1).path
    for shard in whole.glob("*.arrow"):
        assert shard.read_bytes() == (parts / shard.name).read_bytes()
    assert waiting[0] <= 6  # two parts of 0.5 s at most, of recordings of 0.14 s and more
