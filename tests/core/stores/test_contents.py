"""Digests of contents: the whole file counts; the cache never outlives the file that it describes."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.audio import AudioError
from core.stores import contents
from core.stores.contents import CACHE, content_digests


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "FRESH_NS", -(10**12))  # files of now count as settled
    (tmp_path / "stores").mkdir()
    paths = [tmp_path / f"{k}.wav" for k in range(4)]
    for k, path in enumerate(paths):
        path.write_bytes(bytes(5000) + bytes([k]) + bytes(5000))
    return paths


def hashed(monkeypatch):
    """Names of the files that are read from now on."""
    names, original = [], contents._hashed
    monkeypatch.setattr(contents, "_hashed", lambda name: names.append(name) or original(name))
    return names


def expected(paths):
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_a_file_is_read_once_by_all_processes(files, tmp_path, monkeypatch):
    names = hashed(monkeypatch)
    assert content_digests(files, tmp_path / "stores") == expected(files)
    assert len(names) == 4
    contents._memory.clear()  # as in another process
    contents._known.clear()
    assert content_digests([files[2], *files], tmp_path / "stores") == expected([files[2], *files])
    assert len(names) == 4


@pytest.mark.parametrize("change", ["in place", "replaced", "same times"])
def test_a_file_that_changed_is_read_again(files, tmp_path, change):
    first = content_digests(files, tmp_path / "stores")
    stat, content = files[1].stat(), bytes(5000) + b"x" + bytes(5000)
    if change == "replaced":
        other = tmp_path / "other"
        other.write_bytes(content)
        other.replace(files[1])
    else:
        files[1].write_bytes(content)
    if change == "same times":
        os.utime(files[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = content_digests(files, tmp_path / "stores")
    assert second == expected(files)
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, False, True, True]


def test_a_file_of_just_now_is_not_cached(files, tmp_path, monkeypatch):
    monkeypatch.undo()
    contents._memory.clear()
    content_digests(files, tmp_path / "stores")
    assert not (tmp_path / "stores" / CACHE).exists()


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"a": 1}'])
def test_a_damaged_cache_is_written_again(files, tmp_path, damage):
    (tmp_path / "stores" / CACHE).write_text(damage)
    assert content_digests(files, tmp_path / "stores") == expected(files)
    assert len(json.loads((tmp_path / "stores" / CACHE).read_text())) == 4


def test_writers_at_the_same_time_leave_a_valid_cache(files, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda path: content_digests([path], tmp_path / "stores"), files))
    assert [digest for (digest,) in results] == expected(files)
    assert content_digests(files, tmp_path / "stores") == expected(files)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AudioError, match=r"gone\.wav: cannot be read"):
        content_digests([tmp_path / "gone.wav"])
