"""The key of a store: all that determines features, and nothing else."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import soundfile

from core import features as features_module
from core.audio import AudioOptions
from core.corpora.layouts import CORPORA
from core.errors import InputError
from core.features.weights import digests
from core.stores import key as store_key_module
from core.stores.extraction import store_path
from core.stores.key import store_key
from core.stores.store import FeatureStore
from core.table import Block
from tests.core.stores.conftest import TOY, Toy, build, toy


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
    middle = bytearray(utterances[1].path.read_bytes())
    middle[len(middle) // 2] ^= 1  # as long as before, and equal at both ends
    utterances[1].path.write_bytes(middle)
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
    monkeypatch.setattr(store_key_module, "FORMAT", 1)
    earlier = store_path(utterances, TOY, AudioOptions(), root=tmp_path / "stores")
    earlier.mkdir(parents=True)
    (earlier / "manifest.json").write_text(json.dumps({"format": 1}))
    monkeypatch.undo()
    monkeypatch.setitem(features_module.FRONT_ENDS, "toy", toy)
    with pytest.raises(InputError, match=r"format 1; this version reads 5\. Delete the folder"):
        FeatureStore.open(earlier)
    assert build(utterances, tmp_path).path != earlier


def test_the_configuration_of_a_model_counts_and_not_its_folder(utterances, monkeypatch):
    def transformer(*, model: str):
        front_end = Toy(1.0)
        front_end.weights, front_end.configuration = {"model.safetensors": "same"}, {"config.json": model[-1]}
        return front_end

    monkeypatch.setitem(features_module.FRONT_ENDS, "model", transformer)
    keys = {
        name: store_key(utterances, Block("model", {"model": name}), AudioOptions()) for name in ("/a/1", "b1", "b2")
    }
    assert keys["/a/1"] == keys["b1"] != keys["b2"]
