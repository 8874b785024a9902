"""Verification of a store: its manifest has a checksum of itself and the SHA-256 of every shard.

A machine reads all features of a store once. Later openings compare the size, times and inode of every shard with those
that it had then, as for recordings in `core.stores.contents`.
"""

import contextlib
import json
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from core.integrity.seal import DOCUMENT, sealed_file_problem
from core.stores.contents import content_digests, file_digest

MANIFEST = "manifest.json"

WAIT_S = 3600.0
"""Longest wait for another process that verifies stores on this machine, s; then this one verifies too."""


def verify_once(path: Path, shards: Sequence[Mapping[str, Any]]) -> None:
    """Compares the shards of a store with their SHA-256, unless this machine has done so since they were written.

    Args:
        path: Folder of the store. The folder around it keeps what has been verified, by machine.
        shards: Entries of the manifest, with `file` and `sha256`.

    Raises:
        ValueError: A shard is damaged.
        AudioError: A shard cannot be read.
    """
    name = f".verified-{re.sub(r'[^A-Za-z0-9.-]', '_', socket.gethostname())}.json"
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, filelock.Timeout):  # in a folder that cannot be written, every trial reads
            stack.enter_context(filelock.FileLock(path.parent / f"{name}.lock", timeout=WAIT_S))
        digests = content_digests([path / shard["file"] for shard in shards], path.parent, cache_name=name)
    for shard, digest in zip(shards, digests, strict=True):
        if digest != shard["sha256"]:
            raise ValueError(f"{shard['file']} does not have the SHA-256 with which it was written")


def store_problems(path: Path) -> list[str]:
    """The damaged and missing files of a store, one line each. All features are read, whatever was verified before."""
    manifest_problem = sealed_file_problem(path / MANIFEST, DOCUMENT)
    if manifest_problem is not None:
        return [manifest_problem]
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        shards = [(path / shard["file"], shard["sha256"]) for shard in manifest["shards"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{path / MANIFEST}: damaged: {type(error).__name__}: {error}"]
    return [problem for file, digest in shards if (problem := digest_problem(file, digest))]


def digest_problem(path: Path, digest: str) -> str | None:
    """Why a file does not have a SHA-256; None if it has."""
    try:
        same = file_digest(path) == digest
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror or error}"
    return None if same else f"{path}: damaged: its SHA-256 differs from the one with which it was written"
