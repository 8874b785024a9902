import dataclasses
import json
import multiprocessing
import shutil

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from core import features as features_module
from core.audio import AudioOptions
from core.errors import InputError
from core.features import extraction
from core.features.extraction import estimated_bytes, extract, is_complete, store_key, store_path
from core.features.store import FeatureStore
from core.features.weights import digests
from core.protocol import CORPORA
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


@pytest.fixture(autouse=True)
def toy_front_end(monkeypatch):
    monkeypatch.setitem(features_module.FRONT_ENDS, "toy", toy)
    monkeypatch.setattr(extraction, "SHARD", 5)
    Toy.calls = Toy.batches = 0


@pytest.fixture
def root(tmp_path):
    return make_corpus(tmp_path / "LA", n_per_class=6, duration_s=0.2)


@pytest.fixture
def utterances(root):
    return CORPORA["asvspoof2019_la"](root).partition("train")


def build(utterances, tmp_path, **options):
    return extract(utterances, options.pop("front_end", TOY), AudioOptions(), root=tmp_path / "stores", **options)


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


def test_views_are_read_only_and_copy_nothing(utterances, tmp_path):
    store = build(utterances, tmp_path)
    view = store.frames(3)
    assert np.shares_memory(view, store.frames(3))
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1


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
    monkeypatch.setattr(extraction, "MAX_SAMPLES", 1)  # one at a time
    second = build(utterances, tmp_path / "b", n_workers=4).path
    assert (batched, Toy.batches - batched) == (6, 12)  # two lengths in each of 3 shards
    for shard in first.glob("*.arrow"):
        assert shard.read_bytes() == (second / shard.name).read_bytes()


@pytest.mark.parametrize("gain", [1e9, float("nan")])
def test_what_float16_cannot_hold_is_named(utterances, tmp_path, gain):
    with pytest.raises(InputError, match=r"T_T_\d+.*not finite"):
        build(utterances, tmp_path, front_end=Block("toy", {"gain": gain}))


def test_the_key_covers_what_determines_features_and_nothing_else(root, utterances, tmp_path, monkeypatch):
    def key(utterances=utterances, front_end=TOY, **audio):
        return store_key(utterances, front_end, AudioOptions(**audio))

    first = key()
    assert key() == first
    assert key(front_end=Block("toy", {"gain": 1.0})) == first  # a default written out
    shutil.copytree(root, tmp_path / "moved")
    assert key(CORPORA["asvspoof2019_la"](tmp_path / "moved").partition("train")) == first
    others = [
        key(front_end=Block("toy", {"gain": 2.0})),
        key(trim_silence=True),
        key(utterances[:-1]),
        key(utterances[::-1]),
    ]
    soundfile.write(utterances[0].path, np.full(4000, 0.1), 16000)
    others.append(key())
    monkeypatch.setattr(Toy, "version", 2)
    others.append(key())
    assert len({first, *others}) == 1 + len(others)


def test_weights_count_by_their_content_not_by_their_place(utterances, tmp_path, monkeypatch):
    def pretrained(*, checkpoint: str):
        front_end = Toy(1.0)
        front_end.weights = digests([tmp_path / checkpoint])
        return front_end

    monkeypatch.setitem(features_module.FRONT_ENDS, "pretrained", pretrained)
    contents = {"here/w.pt": b"weights", "there/w.pt": b"weights", "other/w.pt": b"other weights"}
    keys = {}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
        keys[name] = store_key(utterances, Block("pretrained", {"checkpoint": name}), AudioOptions())
    assert keys["here/w.pt"] == keys["there/w.pt"] != keys["other/w.pt"]


def test_labels_speakers_and_attacks_are_part_of_the_key(utterances):
    first = store_key(utterances, TOY, AudioOptions())
    for change in ({"utterance_id": "x"}, {"label": 0}, {"speaker_id": "x"}, {"attack_id": "A19"}, {"copy": "x"}):
        changed = (dataclasses.replace(utterances[0], **change), *utterances[1:])
        assert store_key(changed, TOY, AudioOptions()) != first, change


def test_a_store_of_an_earlier_format_is_left_alone_and_one_is_extracted_beside_it(utterances, tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "FORMAT", 1)
    earlier = store_path(utterances, TOY, AudioOptions(), root=tmp_path / "stores")
    earlier.mkdir(parents=True)
    (earlier / "manifest.json").write_text(json.dumps({"format": 1}))
    monkeypatch.undo()
    monkeypatch.setitem(features_module.FRONT_ENDS, "toy", toy)
    with pytest.raises(InputError, match=r"format 1; this version reads 2\. Delete the folder"):
        FeatureStore.open(earlier)
    assert build(utterances, tmp_path).path != earlier


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
