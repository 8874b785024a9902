"""Time of reading minibatches: one layer of a store of many, against a store of this layer alone; their mean; all.

The stores are made of random features in a temporary folder, and lie in the page cache when they are read.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.corpora.corpus import Utterance
from core.stores.contents import file_digest
from core.stores.inputs import Layer, n_blocks
from core.stores.shards import _write_shard, shard_file
from core.stores.store import FORMAT, MANIFEST, FeatureStore

UTTERANCES_PER_SHARD = 16


def made(path: Path, layers: range, *, n_utterances: int, n_frames: int, n_features: int) -> FeatureStore:
    """A store of random features with these layers."""
    path.mkdir()
    shards = []
    for number in range(-(-n_utterances // UTTERANCES_PER_SHARD)):
        generator = np.random.default_rng(number)
        first = number * UTTERANCES_PER_SHARD
        names = range(first, min(first + UTTERANCES_PER_SHARD, n_utterances))
        part = [Utterance(f"u{name}", Path("-"), name % 2, "s", "-", "train") for name in names]
        size = (n_blocks(layers), n_frames, n_features)
        features = {index: generator.random(size, np.float32).astype(np.float16) for index in range(len(part))}
        file = shard_file(path, number)
        _write_shard(file, part, features, [])
        shards.append({"file": file.name, "n_bytes": file.stat().st_size, "sha256": file_digest(file)})
    sizes = {"n_features": n_features, "hop_length": 320, "layers": list(layers)}
    manifest = {"format": FORMAT, "key": path.name, **sizes, "skipped": [], "shards": shards}
    (path / MANIFEST).write_text(json.dumps(manifest))
    return FeatureStore.open(path)


def milliseconds(read: Callable[[], object], repetitions: int) -> float:
    """Median time of a call, ms."""
    times = []
    for _ in range(repetitions):
        begun = time.perf_counter()
        read()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=13)
    parser.add_argument("--features", type=int, default=768)
    parser.add_argument("--frames", type=int, default=400, help="frames of an utterance")
    parser.add_argument("--window", type=int, default=200, help="frames of a window")
    parser.add_argument("--utterances", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=31)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        size = {"n_utterances": options.utterances, "n_frames": options.frames, "n_features": options.features}
        many = made(Path(folder) / "many", range(options.layers), **size)
        one = made(Path(folder) / "one", range(1), **size)
        readings: dict[str, tuple[FeatureStore, Layer]] = {
            "a store of one layer": (one, 0),
            f"one layer of {options.layers}": (many, options.layers // 2),
            f"mean of {options.layers}": (many, "mean"),
            f"all {options.layers}": (many, "all"),
        }
        first = None
        for name, (store, layer) in readings.items():
            random, reading = np.random.default_rng(0), store.reading(layer)

            def read(reading: FeatureStore = reading, random: np.random.Generator = random) -> object:
                return reading.windows(random.integers(len(reading), size=options.batch), options.window, random)

            read()
            took = milliseconds(read, options.repetitions)
            first = first or took
            print(f"{name:24} {took:8.2f} ms per minibatch, {took / first:6.2f} times")


if __name__ == "__main__":
    main()
