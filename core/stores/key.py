"""The key of a feature store: a hash of everything that determines the features."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core import table
from core.audio import AudioError, AudioOptions
from core.corpora.corpus import Utterance
from core.features import FRONT_ENDS
from core.stores import shards
from core.stores.store import FORMAT
from core.table import Block

FINGERPRINT = 4096
"""Bytes at each end of a recording that are hashed, with its size, instead of the whole content."""


def store_key(utterances: Sequence[Utterance], front_end: Block, options: AudioOptions, built: Any = None) -> str:
    """Key of a store, a hexadecimal SHA-256. Stores with equal keys have equal features, on any machine.

    The key covers the utterances in their order, with id, label, speaker, attack, maker of the copy and content. It
    also covers the front end with every default written out, its version, the SHA-256 of its weights, and the decoding.
    It does not cover the paths of corpus and weights. The content of a recording is hashed by its size and both ends: a
    FLAC file begins with the MD5 of its samples, and WAV files that differ only in the middle are rare enough.

    Args:
        utterances: Utterances of one partition.
        front_end: Row of FRONT_ENDS and its options.
        options: How recordings are decoded.
        built: The built front end; None = it is built here.

    Raises:
        InputError: The front end cannot be built.
        AudioError: A recording cannot be read.
    """
    built = built if built is not None else table.build("front_end", FRONT_ENDS, front_end)
    resolved = table.resolved(FRONT_ENDS, front_end).plain()
    if built.weights:
        for option in ("checkpoint", "weights"):  # paths of the weights, which their hash replaces
            resolved.pop(option, None)
    digest = hashlib.sha256()
    settings = [FORMAT, shards.SHARD, resolved, built.version, sorted(built.weights.items()), asdict(options)]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    with ThreadPoolExecutor(8) as pool:
        contents = pool.map(fingerprint, [utterance.path for utterance in utterances])
        for utterance, content in zip(utterances, contents, strict=True):
            row = [utterance.utterance_id, utterance.label, utterance.speaker_id, utterance.attack_id]
            digest.update(json.dumps([*row, utterance.copy, content]).encode())
    return digest.hexdigest()


def fingerprint(path: Path) -> str:
    """Hexadecimal SHA-256 of the size and both ends of a file.

    Raises:
        AudioError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(FINGERPRINT)
            file.seek(max(0, size - FINGERPRINT))
            return hashlib.sha256(b"%d:" % size + head + file.read(FINGERPRINT)).hexdigest()
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error}") from error
