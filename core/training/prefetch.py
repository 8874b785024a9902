"""Minibatches that a thread reads ahead, so that training does not wait for them."""

import threading
from collections.abc import Iterable, Iterator
from queue import Full, Queue
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.siamese.pairs import minibatches
from core.stores.inputs import n_layers_read
from core.stores.store import FeatureStore

MAX_AHEAD, AHEAD_BYTES = 3, 2**30
"""Maximum number of minibatches that wait, and of their bytes: those of many layers are large. One always may wait."""

Item = TypeVar("Item")


def read_ahead(items: Iterable[Item], *, depth: int) -> Iterator[Item]:
    """Yields items in their order, while a thread computes the next ones.

    An error of the thread is raised in place of its item. The thread ends with the iterator, also if the iterator is
    closed early.

    Args:
        items: Items; only the thread iterates over them. Objects that the iteration uses, such as generators, must not
            be used elsewhere meanwhile.
        depth: Maximum number of items that wait; the thread holds one more.
    """
    queue: Queue[tuple[Item] | Exception | None] = Queue(maxsize=depth)
    stopped = threading.Event()

    def put(entry: tuple[Item] | Exception | None) -> None:
        while not stopped.is_set():
            try:
                queue.put(entry, timeout=0.1)
                break
            except Full:
                continue

    def produce() -> None:
        try:
            for item in items:
                put((item,))
                if stopped.is_set():
                    return
            put(None)
        except Exception as error:  # noqa: BLE001 - raised again in place of the item
            put(error)

    thread = threading.Thread(target=produce, name="minibatches", daemon=True)
    thread.start()
    try:
        while (entry := queue.get()) is not None:
            if isinstance(entry, Exception):
                raise entry
            yield entry[0]
    finally:
        stopped.set()
        thread.join()


def prefetched(
    store: FeatureStore,
    targets: NDArray[np.int64],
    *,
    batch_size: int,
    n_batches: int,
    n_frames: int,
    generator: torch.Generator,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the minibatches of one epoch, which a thread reads from the store ahead of training.

    The features `(batch_size, n_features, n_frames)` are on `device`. The targets `(batch_size,)` stay on the CPU,
    where pairs are drawn.

    Args:
        store: Features of the training partition.
        targets: Target of every utterance, `(n_utterances,)`.
        batch_size: Utterances of a minibatch, half bona fide and half spoofed.
        n_batches: Minibatches of the epoch.
        n_frames: Frames of each crop.
        generator: Generator that seeds the order and the crops.
        device: Device of the features.
    """
    # The thread has its own generators: it runs ahead of the loop, which draws pairs from `generator` meanwhile.
    seeds = torch.randint(2**62, (2,), generator=generator)
    order = torch.Generator().manual_seed(int(seeds[0]))
    crops = np.random.default_rng(int(seeds[1]))
    labels, wanted = torch.from_numpy(store.labels), torch.from_numpy(targets)

    def gathered() -> Iterator[tuple[Tensor, Tensor]]:
        for indices in minibatches(labels, batch_size, order, n_batches):
            features, batch_targets = store.windows(indices.numpy(), n_frames, crops), wanted[indices]
            if device.type == "cuda":
                features, batch_targets = features.pin_memory(), batch_targets.pin_memory()
            yield features, batch_targets

    n_bytes = 2 * batch_size * n_frames * store.n_features * n_layers_read(store.layer, store.layers)
    depth = max(1, min(MAX_AHEAD, AHEAD_BYTES // n_bytes))
    for features, batch_targets in read_ahead(gathered(), depth=depth):
        yield features.to(device, non_blocking=True), batch_targets
