"""Extraction: recordings -> a feature store, once; shard by shard, so that what was interrupted goes on."""

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
from core.stores.key import store_key
from core.stores.shards import Progress, clean, missing_shards, n_shards, shard_file, write_shards
from core.stores.store import FORMAT, MANIFEST, FeatureStore
from core.table import Block


def store_path(utterances: Sequence[Utterance], front_end: Block, options: AudioOptions, *, root: Path) -> Path:
    """The folder of a store below `root`."""
    return root / f"{front_end.name}-{store_key(utterances, front_end, options)[:16]}"


def is_complete(path: Path) -> bool:
    """Whether the folder holds a complete store."""
    return (path / MANIFEST).is_file()


def estimated_bytes(utterances: Sequence[Utterance], front_end: Any, *, n_sampled: int = 200) -> int:
    """Size of the store of some utterances, from the headers of at most `n_sampled` of them."""
    step = max(1, -(-len(utterances) // n_sampled))
    durations = []
    for each in utterances[::step]:
        try:
            durations.append(soundfile.info(each.path).duration)
        except (soundfile.LibsndfileError, OSError, TypeError):
            continue  # extraction will name it
    mean = float(np.mean(durations)) if durations else 0.0
    return int(len(utterances) * mean * SAMPLE_RATE / front_end.hop_length * front_end.n_features * 2)


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
    """The store of some utterances, extracted now as far as it is not there.

    Shards that an interrupted extraction left are kept. One process extracts a store at a time; another that wants it
    waits and then opens it.

    Args:
        utterances: Of one partition.
        front_end: Row of FRONT_ENDS and its options.
        options: How recordings are decoded.
        root: Folder of all stores.
        on_bad_audio: `stop`: recordings that cannot be used are an error. `skip`: they are left out and listed.
        device: Where the front end computes.
        n_workers: Threads that decode ahead of it.
        progress: Called with the utterances and the seconds of audio done in this call.

    Raises:
        InputError: bad recordings (all of a shard are named), no good ones at all, features that float16 cannot hold,
            or a folder that cannot be written.
    """
    built = table.build("front_end", FRONT_ENDS, front_end)
    key = store_key(utterances, front_end, options, built)
    path = root / f"{front_end.name}-{key[:16]}"
    if not is_complete(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(root / f".{path.name}.lock"):
                if not is_complete(path):
                    clean(path)
                    missing = missing_shards(utterances, path)
                    write_shards(
                        utterances, built.to(device), options, path, missing, on_bad_audio, device, n_workers, progress
                    )
                    files = [shard_file(path, number) for number in range(n_shards(utterances))]
                    _write_manifest(path, key, built, files, table.resolved(FRONT_ENDS, front_end), options)
        except OSError as error:
            raise InputError(f"{path}: the feature store could not be written: {error}") from error
    store = FeatureStore.open(path)
    if store.skipped and on_bad_audio == "stop":
        reasons = [each.reason for each in store.skipped]
        raise InputError([*reasons, f"{path}: left these recordings out; on_bad_audio: skip accepts that"])
    if not len(store):
        raise InputError(f"{path}: none of {len(utterances)} recordings can be used; first: {store.skipped[0].reason}")
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
        shards.append({"file": file.name, "n_bytes": file.stat().st_size})
    manifest = {
        "format": FORMAT,
        "key": key,
        "front_end": block.plain(),
        "front_end_version": front_end.version,
        "front_end_weights": front_end.weights,
        "audio": asdict(options),
        "n_features": front_end.n_features,
        "hop_length": front_end.hop_length,
        "skipped": skipped,
        "shards": shards,
    }
    with replacing(path / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
