"""Shards of a feature store: recordings -> Arrow files. A shard is written completely or not at all."""

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
from core.features.layers import layers_of
from core.stores.inputs import mean_of_layers, n_blocks
from core.stores.store import SCHEMA

SHARD = 128
"""Maximum number of utterances of a shard. An interruption loses at most the work of one shard."""

SHARD_BYTES = 256 * 2**20
"""Size that a shard of utterances of USUAL_SECONDS may have. Only many layers make it smaller than SHARD utterances."""

USUAL_SECONDS = 10.0
"""Length of an utterance by which shards are divided, s: few utterances are longer. No header is read for it."""

MAX_SAMPLES = 60 * SAMPLE_RATE
"""Maximum number of samples in one call of a front end, which bounds its memory. A longer recording is one call."""

AHEAD_SECONDS = 600.0
"""Audio that is decoded at a time, s; as much again is decoded ahead. A longer recording is decoded alone."""

Batch = tuple[int, list[int], bool]
"""Recordings that are decoded together: number of the shard, indices in it, and whether they are its last ones."""

Progress = Callable[[int, float], None]
"""Function of the utterances and the seconds of audio that this call has finished so far."""


def shard_size(front_end: Any) -> int:
    """Number of utterances of a shard with the features of a built front end; it bounds the memory of an extraction."""
    n_frames = max(1.0, USUAL_SECONDS * SAMPLE_RATE / front_end.hop_length)
    return max(1, min(SHARD, int(SHARD_BYTES / (n_frames * bytes_per_frame(front_end)))))


def bytes_per_frame(front_end: Any) -> int:
    """Bytes per frame that the features of a built front end take in a store, in float16."""
    return 2 * int(front_end.n_features) * n_blocks(layers_of(front_end))


def n_shards(utterances: Sequence[Utterance], size: int) -> int:
    """Number of shards of `size` utterances of the store of some utterances."""
    return -(-len(utterances) // size)


def shard_file(path: Path, number: int) -> Path:
    """Path of a shard in the folder of its store."""
    return path / f"{number:06d}.arrow"


def missing_shards(utterances: Sequence[Utterance], path: Path, size: int) -> list[int]:
    """Numbers of the shards of `size` utterances that the folder of a store lacks."""
    return [number for number in range(n_shards(utterances, size)) if not shard_file(path, number).exists()]


def clean(path: Path) -> None:
    """Removes partial files that a killed process left in the folder of a store."""
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
    """Writes some shards of a store. A shard is written completely or not at all.

    The bytes of a shard do not depend on the process that writes it or on the other shards.

    Args:
        utterances: All utterances of the store.
        front_end: Front end, built, on `device`.
        options: How recordings are decoded.
        path: Folder of the store, which exists.
        missing: Numbers of the shards to write.
        on_bad_audio: As in `core.stores.extraction.extract`.
        device: Device of the front end.
        n_workers: Threads that decode recordings ahead of the front end.
        progress: Function of the utterances and the seconds of audio that this call has finished so far.

    Raises:
        InputError: Recordings cannot be used and `on_bad_audio` is `stop`, or features exceed float16 or are not
            finite.
        OSError: The folder cannot be written.
    """
    done, seconds, size = 0, 0.0, shard_size(front_end)
    with ThreadPoolExecutor(n_workers) as pool:

        def decoded(batch: Batch | None) -> dict[int, "Future[NDArray[np.float32]]"]:
            number, indices, _ = batch or (0, [], True)
            return {
                index: pool.submit(audio.load, utterances[number * size + index].path, options) for index in indices
            }

        batches = _batches(utterances, missing, size)
        batch = next(batches, None)
        ahead = decoded(batch)
        features_of: dict[int, NDArray[np.float16]] = {}
        bad: dict[int, str] = {}
        while batch is not None:
            number, _, last = batch
            part = utterances[number * size : (number + 1) * size]
            waiting = ahead
            # The next recordings are decoded while the features of these are computed.
            batch = next(batches, None)
            ahead = decoded(batch)
            try:
                waveforms = _waveforms(part, waiting, front_end.min_samples, bad)
                for indices, features in _features(part, waveforms, front_end, device, bad):
                    features_of.update(zip(indices, features, strict=True))
                    done += len(indices)
                    seconds += sum(len(waveforms[index]) for index in indices) / SAMPLE_RATE
                    if progress:
                        progress(done + len(bad), seconds)
                if last and bad and on_bad_audio == "stop":
                    hint = "on_bad_audio: skip leaves such recordings out"
                    raise InputError([*bad.values(), f"{len(bad)} recordings of {len(part)} cannot be used; {hint}"])
            except BaseException:
                for future in ahead.values():
                    future.cancel()
                raise
            if not last:
                continue
            done += len(bad)
            skipped = [{"utterance_id": part[index].utterance_id, "reason": bad[index]} for index in sorted(bad)]
            _write_shard(shard_file(path, number), part, features_of, skipped)
            features_of, bad = {}, {}


def _batches(utterances: Sequence[Utterance], missing: Sequence[int], size: int) -> Iterator[Batch]:
    """Yields the recordings of some shards in parts of at most AHEAD_SECONDS; headers are read as they are needed."""
    for number in missing:
        room, indices = AHEAD_SECONDS, list[int]()
        for index, utterance in enumerate(utterances[number * size : (number + 1) * size]):
            seconds = audio.duration(utterance.path)
            if indices and seconds > room:
                yield number, indices, False
                room, indices = AHEAD_SECONDS, []
            indices.append(index)
            room -= seconds
        yield number, indices, True


def _waveforms(
    part: Sequence[Utterance], waiting: dict[int, "Future[NDArray[np.float32]]"], min_samples: int, bad: dict[int, str]
) -> dict[int, NDArray[np.float32]]:
    """Waveforms by index in the shard; the problems of the unusable recordings are added to `bad`, by index."""
    waveforms: dict[int, NDArray[np.float32]] = {}
    for index, future in waiting.items():
        utterance = part[index]
        try:
            waveform = future.result()
        except AudioError as error:
            bad[index] = str(error)
            continue
        if len(waveform) < min_samples:
            bad[index] = f"{utterance.path}: {len(waveform)} samples are too short; the front end needs {min_samples}"
        else:
            waveforms[index] = waveform
    return waveforms


@torch.inference_mode()
def _features(
    part: Sequence[Utterance],
    waveforms: dict[int, NDArray[np.float32]],
    front_end: Any,
    device: torch.device | str,
    bad: dict[int, str],
) -> Iterator[tuple[list[int], list[NDArray[np.float16]]]]:
    """Yields indices and features of recordings of one length, computed as one minibatch.

    The features of a recording are `(n_blocks, n_frames, n_features)`: see `core.stores.inputs.n_blocks`.

    Recordings are not padded to one length, since padding would change the features. Recordings whose features are not
    finite in float16 are added to `bad`, by index.
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
        layers = front_end(batch).unflatten(1, (-1, front_end.n_features))
        if layers.shape[1] > 1:
            layers = torch.cat([layers, mean_of_layers(layers.unbind(1))[:, None]], dim=1)
        features = layers.transpose(2, 3).half()
        finite = torch.isfinite(features).flatten(1).all(dim=1).tolist()
        for index, is_finite in zip(indices, finite, strict=True):
            if not is_finite:
                where = f"{part[index].path} ({part[index].utterance_id})"
                bad[index] = f"{where}: the features are not finite, or exceed the maximum of float16 (65504)"
        arrays = zip(indices, features.cpu().contiguous().numpy(), strict=True)
        usable = [(index, array) for index, array in arrays if index not in bad]
        yield [index for index, _ in usable], [array for _, array in usable]


def _write_shard(
    file: Path, part: Sequence[Utterance], features: dict[int, NDArray[np.float16]], skipped: list[dict[str, str]]
) -> None:
    """Writes a shard: the features by index in the shard, and the recordings that it skips with their reasons."""
    indices = sorted(features)
    kept = [part[index] for index in indices]
    sizes = [features[index].size for index in indices]
    values = np.concatenate([features[index].reshape(-1) for index in indices]) if indices else np.empty(0, np.float16)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
    columns = [
        pa.array([utterance.utterance_id for utterance in kept], pa.string()),
        pa.array([utterance.label for utterance in kept], pa.int8()),
        pa.array([utterance.speaker_id for utterance in kept], pa.string()),
        pa.array([utterance.attack_id for utterance in kept], pa.string()),
        pa.array([utterance.copy for utterance in kept], pa.string()),
        pa.array([features[index].shape[1] for index in indices], pa.int32()),
        pa.LargeListArray.from_arrays(offsets, pa.array(values)),
    ]
    schema = SCHEMA.with_metadata({"skipped": json.dumps(skipped)})
    with replacing(file) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
