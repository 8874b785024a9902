"""Shards of a feature store: recordings -> Arrow files, each whole or not at all."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from core import audio
from core.atomic import replacing
from core.audio import SAMPLE_RATE, AudioError, AudioOptions
from core.corpora.corpus import Utterance
from core.errors import InputError
from core.stores.store import SCHEMA

SHARD = 128
"""Utterances of a shard: what an interruption can cost."""

MAX_SAMPLES = 60 * SAMPLE_RATE
"""Samples that a front end is given at a time, one recording at least: bounds its memory."""

Progress = Callable[[int, float], None]
"""Utterances and seconds of audio that were done in this call."""


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
        on_bad_audio: As for `core.stores.extraction.extract`.
        device: Where the front end computes.
        n_workers: Threads that decode ahead of it.
        progress: Called with the utterances and the seconds of audio done in this call.

    Raises:
        InputError: as for `core.stores.extraction.extract`.
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
