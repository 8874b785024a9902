"""What determines a feature store: where the key is equal, so are the features."""

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
"""Bytes at each end of a recording that, with its size, stand for its content."""


def store_key(utterances: Sequence[Utterance], front_end: Block, options: AudioOptions, built: Any = None) -> str:
    """What determines a store, as a hexadecimal SHA-256: equal keys, equal features, on any machine.

    Covered: ids, labels, speakers, attacks, makers of copies and content of the utterances in their order; the front
    end with every default written out, its version and the SHA-256 of its weights; the decoding. Not covered: where
    corpus and weights lie. A recording's content goes by its size and both its ends: a FLAC file begins with the MD5 of
    its samples, and WAV files that differ in the middle alone are rare enough.

    Args:
        utterances: Of one partition.
        front_end: Row of FRONT_ENDS and its options.
        options: How recordings are decoded.
        built: The front end, where it is built already.
    """
    built = built if built is not None else table.build("front_end", FRONT_ENDS, front_end)
    resolved = table.resolved(FRONT_ENDS, front_end).plain()
    if built.weights:
        for option in ("checkpoint", "weights"):  # where the weights lie; their hash stands for them
            resolved.pop(option, None)
    digest = hashlib.sha256()
    what = [FORMAT, shards.SHARD, resolved, built.version, sorted(built.weights.items()), asdict(options)]
    digest.update(json.dumps(what, sort_keys=True).encode())
    with ThreadPoolExecutor(8) as pool:
        for each, content in zip(utterances, pool.map(fingerprint, [u.path for u in utterances]), strict=True):
            row = [each.utterance_id, each.label, each.speaker_id, each.attack_id, each.copy, content]
            digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def fingerprint(path: Path) -> str:
    """A digest of a file's size and both its ends."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(FINGERPRINT)
            file.seek(max(0, size - FINGERPRINT))
            return hashlib.sha256(b"%d:" % size + head + file.read(FINGERPRINT)).hexdigest()
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error}") from error
