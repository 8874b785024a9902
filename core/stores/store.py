"""The feature store: features of a partition in Arrow files, which every trial of a node maps into its memory.

A store is a folder of shards and `manifest.json`. A shard is an Arrow IPC file of one record batch. The manifest is
written last and marks the store as complete. Features are float16: of every utterance layer after layer, and of a layer
frame by frame, so a crop in time of one layer is one contiguous copy. Most front ends have one layer. The mean of
several layers is stored after them: to compute it for every crop would read all layers.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from core.errors import InputError
from core.integrity.seal import DOCUMENT, is_sealed
from core.stores.inputs import Layer, check_layer, n_blocks, read_blocks, window_starts
from core.stores.verification import MANIFEST as MANIFEST
from core.stores.verification import verify_once
from core.table import did_you_mean

FORMAT = 5
"""Version of columns and manifest. It is part of a store's key, so that a new version extracts its own stores."""

SCHEMA = pa.schema(
    [
        ("utterance_id", pa.string()),
        ("label", pa.int8()),
        ("speaker_id", pa.string()),
        ("attack_id", pa.string()),
        ("copy", pa.string()),
        ("n_frames", pa.int32()),
        ("features", pa.large_list(pa.float16())),
    ]
)


@dataclass(frozen=True)
class Skipped:
    """A recording that a store leaves out, and the reason."""

    utterance_id: str
    reason: str


class FeatureStore:
    """A complete store, mapped read-only. Opening it reads no features, and processes share its pages.

    Attributes:
        path: Folder of the store.
        key: Hash of everything that determines the store; see `core.stores.key.store_key`.
        utterance_ids: Id of every utterance, in the order of the protocol.
        labels: Label of every utterance, `(n_utterances,)`; 1 = bona fide, 0 = spoof.
        speaker_ids: Speaker of every utterance.
        attack_ids: Attack of every utterance, `-` for bona fide.
        copies: For every utterance, the row of `core.corpora.copies.WIDENERS` that made it; None = an original.
        n_frames: Frames of every utterance, `(n_utterances,)`.
        n_features: Values per frame of one layer.
        layers: Indices of the stored layers of the front end; empty: it has no layers to choose from.
        layer: The layer that `frames` and `windows` read, as in `InputOptions.layer`; see `reading`.
        hop_length: Samples from one frame to the next.
        skipped: Recordings that were left out.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], batches: list[pa.RecordBatch]) -> None:
        self.path = path
        self.key = str(manifest["key"])
        self.n_features = int(manifest["n_features"])
        self.layers = tuple(int(layer) for layer in manifest["layers"])
        self.layer: Layer = "mean"
        self.hop_length = int(manifest["hop_length"])
        self.skipped = tuple(Skipped(**entry) for entry in manifest["skipped"])
        self.utterance_ids: list[str] = _strings(batches, "utterance_id")
        self.speaker_ids: list[str] = _strings(batches, "speaker_id")
        self.attack_ids: list[str] = _strings(batches, "attack_id")
        self.copies: list[str | None] = _strings(batches, "copy")
        self.labels: NDArray[np.int64] = _numbers(batches, "label")
        self.n_frames: NDArray[np.int64] = _numbers(batches, "n_frames")
        self._values: list[NDArray[np.float16]] = []
        shards, begins = [], []
        for number, batch in enumerate(batches):
            column = batch.column("features")
            self._values.append(column.values.to_numpy(zero_copy_only=True))
            offsets = column.offsets.to_numpy()
            size = self.n_features * n_blocks(self.layers)
            if not np.array_equal(np.diff(offsets), batch.column("n_frames").to_numpy().astype(np.int64) * size):
                raise ValueError(f"shard {number} does not have {size} values per frame")
            begins.append(offsets[:-1])
            shards.append(np.full(batch.num_rows, number))
        self._shard = np.concatenate(shards)
        self._begin = np.concatenate(begins)

    @classmethod
    def open(cls, path: Path, *, verify: bool = False) -> "FeatureStore":
        """The store in a folder.

        Args:
            path: The folder.
            verify: Whether to compare every shard with its SHA-256, unless this machine has done so since the shard was
                written. This reads all features once; see `core.stores.verification`.

        Raises:
            InputError: The folder is not a complete store of this format, or a file of the store is damaged.
        """
        try:
            content = (path / MANIFEST).read_bytes()
            manifest = json.loads(content)
        except FileNotFoundError as error:
            raise InputError(f"{path}: no complete feature store; extract it first") from error
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path / MANIFEST}: cannot be read ({error}); delete the folder and extract again"
            ) from error
        version = manifest.get("format") if isinstance(manifest, dict) else None
        if version != FORMAT:
            raise InputError(
                f"{path}: feature store of format {version!r}; this version reads {FORMAT}. Delete the folder"
            )
        try:
            if is_sealed(content, DOCUMENT) is False:
                raise ValueError(f"the checksum of {MANIFEST} differs")
            batches = [_map(path / shard["file"], shard["n_bytes"]) for shard in manifest["shards"]]
            if verify:
                verify_once(path, manifest["shards"])
            return cls(path, manifest, batches)
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged ({error}); delete the folder and extract again") from error

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.utterance_ids)

    def subset(self, indices: NDArray[np.int64]) -> "FeatureStore":
        """A store of some of the utterances, in the order of `indices`; it maps the same files."""
        chosen = copy.copy(self)
        for name in ("labels", "n_frames", "_shard", "_begin"):
            setattr(chosen, name, getattr(self, name)[indices])
        for name in ("utterance_ids", "speaker_ids", "attack_ids", "copies"):
            setattr(chosen, name, [getattr(self, name)[index] for index in indices])
        return chosen

    def reading(self, layer: Layer) -> "FeatureStore":
        """The same store, of which `frames` and `windows` read one layer, the mean of all layers, or all of them.

        Args:
            layer: As in `InputOptions.layer`. `mix` reads all layers, as `all` does.

        Raises:
            InputError: The store does not have this layer.
        """
        check_layer(layer, self.layers, str(self.path))
        chosen = copy.copy(self)
        chosen.layer = layer
        return chosen

    def frames(self, index: int) -> NDArray[np.float16]:
        """Features of an utterance, `(n_frames, n_features)`, or of all layers, `(n_frames, n_layers * n_features)`.

        Those of one layer, and the mean, are a read-only view of the mapped file.
        """
        layers = self._read(index)
        return layers[0] if len(layers) == 1 else np.concatenate(layers, axis=1)

    def _read(self, index: int, begin: int = 0, end: int | None = None) -> list[NDArray[np.float16]]:
        """Frames `begin` to `end` of every layer that is read of an utterance, `(n_frames, n_features)` each."""
        first, n_frames = int(self._begin[index]), int(self.n_frames[index])
        values, size = self._values[self._shard[index]], n_frames * self.n_features
        layers = []
        for block in read_blocks(self.layer, self.layers):
            layer = values[first + block * size : first + (block + 1) * size]
            layers.append(cast("NDArray[np.float16]", layer.reshape(n_frames, self.n_features)[begin:end]))
        return layers

    def windows(
        self,
        indices: NDArray[np.int64],
        n_frames: int,
        generator: np.random.Generator | None = None,
        *,
        position: float = 0.0,
    ) -> torch.Tensor:
        """One window of each utterance, `(len(indices), n_features, n_frames)`, float16.

        Of several layers, `(len(indices), n_layers * n_features, n_frames)`, layer after layer.

        Args:
            indices: Indices of the utterances.
            n_frames: Frames of a window; a shorter utterance is repeated.
            generator: Generator of random positions of the windows; None = all windows are at `position`.
            position: Position of the windows, from 0 (the first window) to 1 (the last).
        """
        n_read = len(read_blocks(self.layer, self.layers))
        # Frame-major, so that joining layers and features is a view: only the crops themselves are copied.
        out = np.empty((len(indices), n_frames, n_read, self.n_features), np.float16)
        spare = np.maximum(self.n_frames[indices] - n_frames, 0)
        starts = window_starts(spare, position) if generator is None else generator.integers(spare + 1)
        for window, index, start in zip(out, indices, starts, strict=True):
            for number, frames in enumerate(self._read(int(index), int(start), int(start) + n_frames)):
                for begin in range(0, n_frames, len(frames)):
                    piece = frames[: n_frames - begin]
                    window[begin : begin + len(piece), number] = piece
        return torch.from_numpy(out.reshape(len(indices), n_frames, -1)).transpose(1, 2)


def chosen_part(train: FeatureStore, names: Sequence[str]) -> FeatureStore:
    """The originals of a store, and their copies that the named rows of `core.corpora.copies.WIDENERS` made.

    Raises:
        InputError: The store has no copies of one of the names.
    """
    makers = {name for name in train.copies if name is not None}
    for name in names:
        if name not in makers:
            known = f"{', '.join(sorted(makers)) or 'no copies'}{did_you_mean(name, makers)}"
            hint = "spooftune corpus widen makes such copies"
            raise InputError(f"widen: train has no utterances made by {name!r}; it has {known}; {hint}")
    if not makers:
        return train
    return train.subset(np.flatnonzero([name is None or name in names for name in train.copies]))


def _map(path: Path, n_bytes: int) -> pa.RecordBatch:
    size = path.stat().st_size
    if size != n_bytes:
        raise ValueError(f"{path.name} has {size} bytes; it should have {n_bytes}")
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    if reader.schema != SCHEMA or reader.num_record_batches != 1:
        raise ValueError(f"{path.name} is not a shard")
    batch = reader.get_batch(0)
    batch.validate(full=True)  # damaged offsets would crash the process; this reads no features
    return batch


def _strings(batches: list[pa.RecordBatch], name: str) -> list[Any]:
    return [value for batch in batches for value in batch.column(name).to_pylist()]


def _numbers(batches: list[pa.RecordBatch], name: str) -> NDArray[np.int64]:
    return np.concatenate([batch.column(name).to_numpy() for batch in batches]).astype(np.int64)
