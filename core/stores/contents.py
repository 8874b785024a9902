"""Digests of the contents of recordings: a file is hashed completely once, and again when its metadata change.

The digests are kept in a file beside the stores. An entry counts only if size, time of modification, time of change
and inode of the file are still the same, so that a file that was replaced or edited is hashed again. Several processes
may use one cache: it is replaced atomically, and an entry that another process overwrote is only hashed again.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from core.atomic import replacing
from core.audio import AudioError

CACHE = ".contents.json"
"""Name of the cache in the folder of all stores. Hidden files are not copied to a storage with a URL."""

FRESH_NS = 2_000_000_000
"""A file that changed at most this many nanoseconds ago is not cached: a second change could have the same times."""

N_THREADS = 8
"""Files that are read at the same time. Hashing releases Python's lock."""

Entry = list[Any]
"""Size, time of modification and of change in nanoseconds, inode, and digest of a file, as in the cache."""

_memory: dict[str, Entry] = {}
"""Entries that this process knows, for a storage without a folder of stores yet."""

_known: dict[Path, tuple[tuple[int, int, int], dict[str, Entry]]] = {}
"""Metadata and content of the caches that this process has read or written."""


def content_digests(paths: Sequence[Path], root: Path | None = None, *, cache_name: str = CACHE) -> list[str]:
    """SHA-256 of the whole content of files, in hexadecimal, in the order of `paths`.

    SHA-256 is the fastest of hashlib's cryptographic functions on processors with instructions for it.

    Args:
        paths: The files.
        root: Folder of all stores, which has the cache; None: all files are hashed.
        cache_name: Name of the cache.

    Raises:
        AudioError: A file cannot be read.
    """
    cache = root.absolute() / cache_name if root is not None else None
    known = _read(cache) if cache is not None else {}
    names = [str(path.absolute()) for path in paths]
    entries = {name: entry for name in names if (entry := _current(name, known.get(name) or _memory.get(name)))}
    missing = [name for name in names if name not in entries]
    if missing:
        with ThreadPoolExecutor(N_THREADS) as pool:
            entries.update(zip(missing, pool.map(_hashed, missing), strict=True))
    before = time.time_ns() - FRESH_NS
    settled = {name: entry for name, entry in entries.items() if max(entry[1], entry[2]) < before}
    _memory.update(settled)
    if cache is not None and cache.parent.is_dir():
        _add(cache, {name: entry for name, entry in settled.items() if known.get(name) != entry})
    return [str(entries[name][-1]) for name in names]


def file_digest(path: Path) -> str:
    """SHA-256 of the whole content of a file, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _metadata(stat: os.stat_result) -> Entry:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _current(name: str, entry: Entry | None) -> Entry | None:
    """An entry of the cache if the file is still the same, otherwise None."""
    if entry is None:
        return None
    try:
        return entry if entry[:-1] == _metadata(Path(name).stat()) else None
    except OSError:
        return None  # reading the file gives the message


def _hashed(name: str) -> Entry:
    try:
        with Path(name).open("rb") as file:
            metadata = _metadata(os.fstat(file.fileno()))  # of before the reading: a change meanwhile is not missed
            return [*metadata, hashlib.file_digest(file, "sha256").hexdigest()]
    except OSError as error:
        raise AudioError(f"{name}: cannot be read: {error}") from error


def _read(cache: Path) -> dict[str, Entry]:
    """The entries of a cache; empty if it is missing or damaged."""
    try:
        stat = cache.stat()
        version = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        if cache not in _known or _known[cache][0] != version:
            entries = json.loads(cache.read_text(encoding="utf-8"))
            valid = {name: entry for name, entry in _items(entries) if isinstance(entry, list) and len(entry) == 5}
            _known[cache] = (version, valid)
        return _known[cache][1]
    except (OSError, ValueError):
        return {}


def _items(entries: object) -> Iterable[tuple[str, object]]:
    return entries.items() if isinstance(entries, dict) else ()


def _add(cache: Path, entries: dict[str, Entry]) -> None:
    """Adds entries to a cache. A cache that cannot be written costs time, not correctness."""
    if not entries:
        return
    try:
        with replacing(cache) as temporary:
            temporary.write_text(json.dumps({**_read(cache), **entries}), encoding="utf-8")
    except OSError:
        return
