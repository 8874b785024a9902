"""The key of a feature store: a hash of everything that determines the features."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core import table
from core.audio import AudioOptions
from core.corpora.corpus import Utterance
from core.features import FRONT_ENDS
from core.features.weights import PLACES
from core.stores import shards
from core.stores.contents import content_digests
from core.stores.store import FORMAT
from core.table import Block


def store_key(
    utterances: Sequence[Utterance],
    front_end: Block,
    options: AudioOptions,
    built: Any = None,
    *,
    root: Path | None = None,
) -> str:
    """Key of a store, a hexadecimal SHA-256. Stores with equal keys have equal features, on any machine.

    The key covers the utterances in their order, with id, label, speaker, attack, maker of the copy and content. It
    also covers the front end with every default written out, its version, the SHA-256 of its weights, and the decoding.
    It does not cover the paths of corpus and weights. The whole content of a recording is hashed, once: see
    `core.stores.contents`.

    Args:
        utterances: Utterances of one partition.
        front_end: Row of FRONT_ENDS and its options.
        options: How recordings are decoded.
        built: The built front end; None = it is built here.
        root: Folder of all stores, which keeps the digests of the recordings; None: every recording is hashed.

    Raises:
        InputError: The front end cannot be built.
        AudioError: A recording cannot be read.
    """
    built = built if built is not None else table.build("front_end", FRONT_ENDS, front_end)
    resolved = table.resolved(FRONT_ENDS, front_end).plain()
    files = {**built.weights, **getattr(built, "configuration", {})}
    for option in PLACES:
        if files or resolved.get(option, "") is None:  # their content replaces them
            resolved.pop(option, None)
    digest = hashlib.sha256()
    settings = [FORMAT, shards.shard_size(built), resolved, built.version, sorted(files.items()), asdict(options)]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    contents = content_digests([utterance.path for utterance in utterances], root)
    for utterance, content in zip(utterances, contents, strict=True):
        digest.update(json.dumps([*identity_row(utterance), content]).encode())
    return digest.hexdigest()


def identity_row(utterance: Utterance) -> list[object]:
    """Facts about an utterance that are part of a key, besides the content of its recording."""
    return [utterance.utterance_id, utterance.label, utterance.speaker_id, utterance.attack_id, utterance.copy]
