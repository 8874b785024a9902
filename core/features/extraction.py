"""Extraction: recordings -> a feature store, once; shard by shard, so that what was interrupted goes on."""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import filelock
import numpy as np
import pyarrow as pa
import soundfile
import torch
from numpy.typing import NDArray

from core import audio, table
from core.atomic import replacing
from core.audio import SAMPLE_RATE, AudioError, AudioOptions
from core.corpus import Utterance
from core.errors import InputError
from core.features import FRONT_ENDS
from core.features.store import FORMAT, MANIFEST, SCHEMA, FeatureStore
from core.table import Block

SHARD = 128
"""Utterances of a shard: what an interruption can cost."""

FINGERPRINT = 4096
"""Bytes at each end of a recording that, with its size, stand for its content."""

MAX_SAMPLES = 60 * SAMPLE_RATE
"""Samples that a front end is given at a time, one recording at least: bounds its memory."""

Progress = Callable[[int, float], None]


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
    what = [FORMAT, SHARD, resolved, built.version, sorted(built.weights.items()), asdict(options)]
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


def n_shards(utterances: Sequence[Utterance]) -> int:
    """Shards of the store of some utterances."""
    return -(-len(utterances) // SHARD)


def shard_file(path: Path, number: int) -> Path:
    """The file of a shard in the folder of its store."""
    return path / f"{number:06d}.arrow"


def missing_shards(utterances: Sequence[Utterance], path: Path) -> list[int]:
    """Numbers of the shards that the folder of a store lacks."""
    return [number for number in range(n_shards(utterances)) if not shard_file(path, number).exists()]


def clean(path: Path) -> None:
    """Removes from the folder of a store the halves of files that a killed process left."""
    for stale in path.glob(".*-*"):
        stale.unlink()


def write_shards(
    utterances: Sequence[Utterance],
    front_end: Any,
    options: AudioOptions,
    path: Path,
    missing: Sequence[int],
    on_bad_audio: str = "stop",
    device: torch.device | str = "cpu",
    n_workers: int = 2,
    progress: Progress | None = None,
) -> None:
    """Writes some shards of a store, each whole or not at all; their bytes do not hang on who writes which.

    Args:
        utterances: Of the whole store.
        front_end: Built, on `device`.
        options: How recordings are decoded.
        path: Folder of the store, which exists.
        missing: Numbers of the shards.
        on_bad_audio: As for `extract`.
        device: Where the front end computes.
        n_workers: Threads that decode ahead of it.
        progress: Called with the utterances and the seconds of audio done in this call.

    Raises:
        InputError: as for `extract`.
        OSError: the folder cannot be written.
    """
    done, seconds = 0, 0.0
    with ThreadPoolExecutor(n_workers) as pool:

        def decoded(number: int) -> list["Future[NDArray[np.float32]]"]:
            part = utterances[number * SHARD : (number + 1) * SHARD]
            return [pool.submit(audio.load, each.path, options) for each in part]

        ahead = decoded(missing[0]) if missing else []
        for position, number in enumerate(missing):
            part = utterances[number * SHARD : (number + 1) * SHARD]
            waiting = ahead
            # The next shard is decoded while the features of this one are computed.
            ahead = decoded(missing[position + 1]) if position + 1 < len(missing) else []
            try:
                waveforms, bad = _waveforms(part, waiting, front_end.min_samples)
                if bad and on_bad_audio == "stop":
                    hint = "on_bad_audio: skip leaves such recordings out"
                    raise InputError([*bad.values(), f"{len(bad)} recordings of {len(part)} cannot be used; {hint}"])
                found: dict[int, NDArray[np.float16]] = {}
                for indices, features in _features(part, waveforms, front_end, device):
                    found.update(zip(indices, features, strict=True))
                    done += len(indices)
                    seconds += sum(len(waveforms[index]) for index in indices) / SAMPLE_RATE
                    if progress:
                        progress(done + len(bad), seconds)
            except BaseException:
                for future in ahead:
                    future.cancel()
                raise
            done += len(bad)
            skipped = [{"utterance_id": part[index].utterance_id, "reason": reason} for index, reason in bad.items()]
            _write_shard(shard_file(path, number), part, found, skipped)


def _waveforms(
    part: Sequence[Utterance], waiting: list["Future[NDArray[np.float32]]"], min_samples: int
) -> tuple[dict[int, NDArray[np.float32]], dict[int, str]]:
    """Waveforms of a shard by their place in it, and what is wrong with the others."""
    waveforms: dict[int, NDArray[np.float32]] = {}
    bad: dict[int, str] = {}
    for index, (utterance, future) in enumerate(zip(part, waiting, strict=True)):
        try:
            waveform = future.result()
        except AudioError as error:
            bad[index] = str(error)
            continue
        if len(waveform) < min_samples:
            bad[index] = f"{utterance.path}: {len(waveform)} samples are too short; the front end needs {min_samples}"
        else:
            waveforms[index] = waveform
    return waveforms, bad


@torch.inference_mode()
def _features(
    part: Sequence[Utterance], waveforms: dict[int, NDArray[np.float32]], front_end: Any, device: torch.device | str
) -> Iterator[tuple[list[int], list[NDArray[np.float16]]]]:
    """Features `(n_frames, n_features)` of a shard, computed together where lengths are equal.

    Nothing is padded: that would change the features.
    """
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, waveform in waveforms.items():
        by_length[len(waveform)].append(index)
    batches = [
        indices[begin : begin + max(1, MAX_SAMPLES // length)]
        for length, indices in by_length.items()
        for begin in range(0, len(indices), max(1, MAX_SAMPLES // length))
    ]
    for indices in batches:
        batch = torch.from_numpy(np.stack([waveforms[index] for index in indices])).to(device)
        features = front_end(batch).transpose(1, 2).half()
        finite = torch.isfinite(features).flatten(1).all(dim=1).tolist()
        for index, good in zip(indices, finite, strict=True):
            if not good:
                where = f"{part[index].path} ({part[index].utterance_id})"
                raise InputError(f"{where}: its features are not finite, or beyond what float16 holds (65504)")
        yield indices, list(features.cpu().contiguous().numpy())


def _write_shard(
    file: Path, part: Sequence[Utterance], found: dict[int, NDArray[np.float16]], skipped: list[dict[str, str]]
) -> None:
    indices = sorted(found)
    kept = [part[index] for index in indices]
    sizes = [found[index].size for index in indices]
    values = np.concatenate([found[index].reshape(-1) for index in indices]) if indices else np.empty(0, np.float16)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
    columns = [
        pa.array([each.utterance_id for each in kept], pa.string()),
        pa.array([each.label for each in kept], pa.int8()),
        pa.array([each.speaker_id for each in kept], pa.string()),
        pa.array([each.attack_id for each in kept], pa.string()),
        pa.array([each.copy for each in kept], pa.string()),
        pa.array([len(found[index]) for index in indices], pa.int32()),
        pa.LargeListArray.from_arrays(offsets, pa.array(values)),
    ]
    schema = SCHEMA.with_metadata({"skipped": json.dumps(skipped)})
    with replacing(file) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))


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
