"""Checksums of a store: any flipped bit is noticed, and a machine reads a store once."""

import random
import shutil

import pytest

from core.errors import InputError
from core.stores import contents
from core.stores.store import FeatureStore
from core.stores.verification import store_problems
from tests.core.stores.conftest import build
from tests.flips import flip


def test_any_flipped_bit_is_named(utterances, tmp_path):
    path = build(utterances, tmp_path).path
    assert store_problems(path) == []
    draw = random.Random(0)
    for file in sorted(path.iterdir()) * 10:
        content = flip(file, draw)
        (problem,) = store_problems(path)
        assert problem.startswith(f"{file}: damaged")
        with pytest.raises(InputError, match="delete"):
            FeatureStore.open(path, verify=True)
        file.write_bytes(content)
    (path / "000001.arrow").unlink()
    assert store_problems(path) == [f"{path / '000001.arrow'}: cannot be read: No such file or directory"]


def test_a_machine_reads_a_store_once_while_its_files_stay_the_same(utterances, tmp_path, monkeypatch):
    path = build(utterances, tmp_path).path
    monkeypatch.setattr(contents, "FRESH_NS", -(10**12))  # files count as settled at once
    read = []
    hashed = contents._hashed
    monkeypatch.setattr(contents, "_hashed", lambda name: read.append(name) or hashed(name))
    FeatureStore.open(path, verify=True)
    assert len(read) == len(list(path.glob("*.arrow")))
    monkeypatch.setattr(contents, "_memory", {})  # as in the next process
    FeatureStore.open(path, verify=True)
    assert len(read) == len(list(path.glob("*.arrow")))
    again = shutil.copy(path / "000001.arrow", tmp_path / "again")
    again.replace(path / "000001.arrow")
    FeatureStore.open(path, verify=True)
    assert read[len(list(path.glob("*.arrow"))) :] == [str(path / "000001.arrow")]


def test_a_manifest_of_an_earlier_version_without_a_checksum_is_read(utterances, tmp_path):
    path = build(utterances, tmp_path).path
    lines = (path / "manifest.json").read_text().splitlines()
    assert "crc32" in lines[-2]
    (path / "manifest.json").write_text("\n".join([*lines[:-3], lines[-3].rstrip(","), lines[-1]]) + "\n")
    assert store_problems(path) == []
    assert len(FeatureStore.open(path, verify=True)) == len(utterances)
