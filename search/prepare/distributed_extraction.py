"""Feature extraction by all nodes of a cluster: one Ray actor per CPU or GPU writes one shard at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock
import torch

from core import table
from core.audio import AudioOptions
from core.corpora.corpus import Utterance
from core.errors import InputError, Unavailable
from core.features import FRONT_ENDS
from core.stores.extraction import is_complete
from core.stores.shards import Progress, clean, missing_shards, shard_file, shard_size, write_shards
from core.table import Block
from search.cluster.capacity import trial_capacity
from search.cluster.fair_share import HEARTBEAT_SECONDS, FairShare
from search.runs.storage import Storage
from search.space.options import SearchOptions

MAX_RETRIES = 5
"""Restarts of an actor, and repetitions of a shard, after nodes died."""


class ShardWriter:
    """Ray actor on a node that writes shards of one feature store."""

    def __init__(self, front_end: Block, options: AudioOptions, place: str, name: str, on_bad_audio: str) -> None:
        torch.set_num_threads(1)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.front_end = table.build("front_end", FRONT_ENDS, front_end).to(self.device)
        self.options, self.on_bad_audio = options, on_bad_audio
        self.storage, self.store = Storage(place), f"stores/{name}"
        self.path = self.storage.folder / self.store
        self.path.mkdir(parents=True, exist_ok=True)

    def ready(self) -> None:
        """Returns once the writer runs on a node."""

    def write(self, utterances: Sequence[Utterance], number: int) -> tuple[int, float]:
        """Writes shard `number` of a partition's utterances; returns its number of utterances and seconds of audio."""
        written = (0, 0.0)

        def progress(done: int, seconds: float) -> None:
            nonlocal written
            written = (done, seconds)

        write_shards(
            utterances,
            self.front_end,
            self.options,
            self.path,
            [number],
            self.on_bad_audio,
            self.device,
            n_workers=1,
            progress=progress,
        )
        self.storage.push(self.storage.relative(shard_file(self.path, number)))
        return written


def extract_distributed(
    utterances: Sequence[Utterance],
    front_end: Block,
    options: AudioOptions,
    *,
    storage: Storage,
    path: Path,
    on_bad_audio: str,
    search: SearchOptions,
    progress: Progress,
) -> None:
    """Writes the missing shards of a store on the nodes of the connected cluster; `extract` then writes its manifest.

    The extraction counts as a search: it gets a fair share of the cluster.

    Args:
        utterances: Utterances of one partition.
        front_end: Row of FRONT_ENDS and its options.
        options: Audio options for decoding recordings.
        storage: Storage that all nodes reach.
        path: Folder of the store in the storage.
        on_bad_audio: `stop` or `skip`, as for `extract`.
        search: CPUs and GPUs of a trial. If trials use GPUs, writers do, too: a whole GPU per writer if no other
            search is on the cluster.
        progress: Called with the utterances and seconds of audio done.

    Raises:
        InputError: A recording cannot be used, or the folder cannot be written.
        Unavailable: An actor's nodes died more than MAX_RETRIES times.
    """
    import ray

    try:
        path.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.parent / f".{path.name}.lock"):
            if is_complete(path):
                return
            clean(path)
            built = table.build("front_end", FRONT_ENDS, front_end)
            missing = missing_shards(utterances, path, shard_size(built))
            capacity = trial_capacity(search) or 1
            share = FairShare(f"{storage.place}/stores/{path.name}", capacity)
            try:
                alone = share.n_trials() == capacity
                kind = "GPU" if search.gpus else "CPU"
                n_writers = min(len(missing), max(1, int(ray.cluster_resources().get(kind, 0))))
                writer: Any = ray.remote(ShardWriter)
                placed = writer.options(
                    num_cpus=1,
                    num_gpus=1 if search.gpus and alone else min(1, search.gpus),
                    max_restarts=MAX_RETRIES,
                    max_task_retries=MAX_RETRIES,
                    scheduling_strategy="SPREAD",
                )
                shared = ray.put(utterances)
                writers = [
                    placed.remote(front_end, options, storage.place, path.name, on_bad_audio) for _ in range(n_writers)
                ]
                done, seconds = 0, 0.0
                for written in _hand_out_shards(writers, shared, missing, share):
                    done, seconds = done + written[0], seconds + written[1]
                    progress(done, seconds)
            finally:
                share.leave()
            storage.pull(f"stores/{path.name}")
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise InputError(f"{path}: extraction failed: {error.cause}") from error
    except ray.exceptions.RayActorError as error:
        raise Unavailable(f"{path}: the extraction died {MAX_RETRIES + 1} times on the nodes: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: the feature store could not be written: {error}") from error


def _hand_out_shards(
    writers: list[Any], utterances: Any, missing: list[int], share: FairShare
) -> Iterator[tuple[int, float]]:
    """Gives the next missing shard to the next free writer; yields utterances and seconds of audio per written shard.

    Only writers that already run on a node get shards. Another search may use the cluster for long, and the extraction
    does not wait for it.
    """
    import ray

    left = list(reversed(missing))
    waiting = {writer.ready.remote(): writer for writer in writers}
    shards: set[Any] = set()
    while left or shards:
        share.n_trials()  # Heartbeat of the extraction.
        finished, _ = ray.wait(list(waiting), num_returns=1, timeout=HEARTBEAT_SECONDS)
        for ref in finished:
            writer = waiting.pop(ref)
            result = ray.get(ref)
            if ref in shards:
                shards.remove(ref)
                yield result
            if left:
                shard = writer.write.remote(utterances, left.pop())
                waiting[shard] = writer
                shards.add(shard)
