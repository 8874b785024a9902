"""Extraction: recordings -> a feature store, once. It works shard by shard, so an interrupted extraction resumes."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import filelock
import numpy as np
import pyarrow as pa
import soundfile
import torch

from core import table
from core.atomic import replacing
from core.audio import SAMPLE_RATE, AudioOptions
from core.corpora.corpus import Utterance
from core.errors import InputError
from core.features import FRONT_ENDS
from core.features.layers import layers_of
from core.integrity.seal import sealed_document
from core.stores.contents import file_digest
from core.stores.key import store_key
from core.stores.shards import (
    Progress,
    bytes_per_frame,
    clean,
    missing_shards,
    n_shards,
    shard_file,
    shard_size,
    write_shards,
)
from core.stores.store import FORMAT, MANIFEST, FeatureStore
from core.table import Block


def store_path(utterances: Sequence[Utterance], front_end: Block, options: AudioOptions, *, root: Path) -> Path:
    """The folder of the store of some utterances below `root`, whether it exists or not."""
    return root / f"{front_end.name}-{store_key(utterances, front_end, options, root=root)[:16]}"


def is_complete(path: Path) -> bool:
    """Whether a folder contains a complete store."""
    return (path / MANIFEST).is_file()


def estimated_bytes(utterances: Sequence[Utterance], front_end: Any, *, n_sampled: int = 200) -> int:
    """Estimated size of a store in bytes, from the headers of at most about `n_sampled` recordings.

    Args:
        utterances: Utterances of the store.
        front_end: Front end, built.
        n_sampled: Number of recordings to read; unreadable ones are ignored.
    """
    step = max(1, -(-len(utterances) // n_sampled))
    durations = []
    for utterance in utterances[::step]:
        try:
            durations.append(soundfile.info(utterance.path).duration)
        except (soundfile.LibsndfileError, OSError, TypeError):
            continue  # extraction reports the recording
    mean = float(np.mean(durations)) if durations else 0.0
    n_frames = len(utterances) * mean * SAMPLE_RATE / front_end.hop_length
    return int(n_frames * bytes_per_frame(front_end))


def extract(
    utterances: Sequence[Utterance],
    front_end: Block,
    options: AudioOptions,
    *,
    root: Path,
    on_bad_audio: Literal["stop", "skip"] = "stop",
    device: torch.device | str = "cpu",
    n_workers: int = 2,
    progress: Progress | None = None,
) -> FeatureStore:
    """The store of some utterances; missing shards are extracted now.

    Shards of an interrupted extraction are kept. One process extracts a store at a time. Another process that needs
    the store waits and then opens it.

    Args:
        utterances: Utterances of one partition.
        front_end: Row of FRONT_ENDS and its options.
        options: How recordings are decoded.
        root: Folder of all stores.
        on_bad_audio: `stop`: recordings that cannot be used are an error. `skip`: they are left out and listed.
        device: Device of the front end.
        n_workers: Threads that decode recordings ahead of the front end.
        progress: Function of the utterances and the seconds of audio that this call has finished so far.

    Raises:
        InputError: Recordings cannot be used (all of a shard are named), no recording can be used, features exceed
            float16 or are not finite, or the folder cannot be written.
    """
    built = table.build("front_end", FRONT_ENDS, front_end)
    key = store_key(utterances, front_end, options, built, root=root)
    path = root / f"{front_end.name}-{key[:16]}"
    if not is_complete(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(root / f".{path.name}.lock"):
                if not is_complete(path):
                    clean(path)
                    missing = missing_shards(utterances, path, shard_size(built))
                    write_shards(
                        utterances, built.to(device), options, path, missing, on_bad_audio, device, n_workers, progress
                    )
                    files = [shard_file(path, number) for number in range(n_shards(utterances, shard_size(built)))]
                    _write_manifest(path, key, built, files, table.resolved(FRONT_ENDS, front_end), options)
        except OSError as error:
            raise InputError(f"{path}: the feature store could not be written: {error}") from error
    store = FeatureStore.open(path, verify=True)
    if store.skipped and on_bad_audio == "stop":
        reasons = [recording.reason for recording in store.skipped]
        raise InputError([*reasons, f"{path}: the store left these recordings out; on_bad_audio: skip accepts that"])
    if not len(store):
        first = store.skipped[0].reason
        raise InputError(f"{path}: none of {len(utterances)} recordings can be used; the first one: {first}")
    return store


def _write_manifest(
    path: Path, key: str, front_end: Any, files: list[Path], block: Block, options: AudioOptions
) -> None:
    skipped, shards = [], []
    for file in files:
        try:
            with pa.memory_map(str(file)) as source:
                skipped += json.loads(pa.ipc.open_file(source).schema.metadata[b"skipped"])
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file}: damaged ({error}); delete it and extract again") from error
        shards.append({"file": file.name, "n_bytes": file.stat().st_size, "sha256": file_digest(file)})
    manifest = {
        "format": FORMAT,
        "key": key,
        "front_end": block.plain(),
        "front_end_version": front_end.version,
        "front_end_weights": front_end.weights,
        "audio": asdict(options),
        "n_features": front_end.n_features,
        "layers": list(layers_of(front_end)),
        "hop_length": front_end.hop_length,
        "skipped": skipped,
        "shards": shards,
    }
    with replacing(path / MANIFEST) as temporary:
        temporary.write_text(sealed_document(manifest), encoding="utf-8")
