"""Minibatches that are there before they are asked for."""

import threading
from collections.abc import Iterator
from queue import Full, Queue

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config import Experiment
from core.features.store import FeatureStore
from core.pairs import minibatches


def prefetched(
    store: FeatureStore,
    targets: NDArray[np.int64],
    experiment: Experiment,
    generator: torch.Generator,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Minibatches of one epoch, gathered from the store by a thread ahead of the arithmetic.

    Features come on `device`; their targets stay on the host, where pairs are drawn.
    """
    # Its own generators: the thread runs ahead of the loop, which draws pairs from `generator` meanwhile.
    seeds = torch.randint(2**62, (2,), generator=generator)
    order = torch.Generator().manual_seed(int(seeds[0]))
    crops = np.random.default_rng(int(seeds[1]))
    labels, wanted = torch.from_numpy(store.labels), torch.from_numpy(targets)
    queue: Queue[tuple[Tensor, Tensor] | Exception | None] = Queue(maxsize=3)
    stopped = threading.Event()

    def put(item: tuple[Tensor, Tensor] | Exception | None) -> None:
        while not stopped.is_set():
            try:
                queue.put(item, timeout=0.1)
                break
            except Full:
                continue

    def produce() -> None:
        try:
            for indices in minibatches(labels, experiment.batch_size, order):
                features = store.windows(indices.numpy(), experiment.input.n_frames, crops)
                batch_targets = wanted[indices]
                if device.type == "cuda":
                    features, batch_targets = features.pin_memory(), batch_targets.pin_memory()
                put((features, batch_targets))
                if stopped.is_set():
                    return
            put(None)
        except Exception as error:  # noqa: BLE001 - raised again in the training loop
            put(error)

    thread = threading.Thread(target=produce, name="minibatches", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            features, batch_targets = item
            yield features.to(device, non_blocking=True), batch_targets
    finally:
        stopped.set()
        thread.join()
