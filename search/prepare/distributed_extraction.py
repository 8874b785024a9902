"""Extraction by every node of a cluster at once: shards are handed out, one at a time, to an actor a CPU or GPU."""

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
from core.stores.shards import Progress, clean, missing_shards, shard_file, write_shards
from core.table import Block
from search.cluster.capacity import places
from search.cluster.fair_share import OFTEN, Share
from search.runs.storage import Storage
from search.space.options import SearchOptions

DEATHS = 5
"""How often an actor, or a shard, is tried again when a node dies."""


class ShardWriter:
    """Writes shards of one store; lives on a node."""

    def __init__(self, front_end: Block, options: AudioOptions, place: str, name: str, bad: str) -> None:
        torch.set_num_threads(1)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.front_end = table.build("front_end", FRONT_ENDS, front_end).to(self.device)
        self.options, self.on_bad_audio = options, bad
        self.storage, self.store = Storage(place), f"stores/{name}"
        self.path = self.storage.folder / self.store
        self.path.mkdir(parents=True, exist_ok=True)

    def there(self) -> None:
        """Returns once the writer has its place on a node."""

    def write(self, utterances: Sequence[Utterance], number: int) -> tuple[int, float]:
        """Writes a shard of the partition `utterances`; returns its utterances and seconds of audio."""
        seen = (0, 0.0)

        def progress(done: int, seconds: float) -> None:
            nonlocal seen
            seen = (done, seconds)

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
        return seen


def write_spread(
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
    """Lets the nodes of the connected cluster write what a store lacks; its manifest is left to `extract`.

    Searches that hold the cluster make room, as for the trials of another search: extraction counts as one.

    Args:
        utterances: Of one partition.
        front_end: Row of FRONT_ENDS and its options.
        options: How recordings are decoded.
        storage: Which every node reaches.
        path: Folder of the store in it.
        on_bad_audio: As for `extract`.
        search: Whether trials take GPUs; then writers do, too, a whole one each where nobody else is on the cluster.
        progress: Called with the utterances and seconds of audio done.

    Raises:
        InputError: recordings that cannot be used, or a folder that cannot be written.
        Unavailable: nodes died again and again.
    """
    import ray

    try:
        path.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.parent / f".{path.name}.lock"):
            if is_complete(path):
                return
            clean(path)
            missing = missing_shards(utterances, path)
            room = places(search) or 1
            share = Share(f"{storage.place}/stores/{path.name}", room)
            try:
                alone = share.part() == room
                kind = "GPU" if search.gpus else "CPU"
                n_writers = min(len(missing), max(1, int(ray.cluster_resources().get(kind, 0))))
                writer: Any = ray.remote(ShardWriter)
                placed = writer.options(
                    num_cpus=1,
                    num_gpus=1 if search.gpus and alone else min(1, search.gpus),
                    max_restarts=DEATHS,
                    max_task_retries=DEATHS,
                    scheduling_strategy="SPREAD",
                )
                shared = ray.put(utterances)
                writers = [
                    placed.remote(front_end, options, storage.place, path.name, on_bad_audio) for _ in range(n_writers)
                ]
                done, seconds = 0, 0.0
                for written in _handed_out(writers, shared, missing, share):
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
        raise Unavailable(f"{path}: extraction died {DEATHS + 1} times on the nodes: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: the feature store could not be written: {error}") from error


def _handed_out(writers: list[Any], utterances: Any, missing: list[int], share: Share) -> Iterator[tuple[int, float]]:
    """What each shard held, as it is written: the next one goes to the writer that is free.

    A writer that has no place yet gets none: others may hold the cluster for long, and nothing waits for it.
    """
    import ray

    left = list(reversed(missing))
    waiting = {each.there.remote(): each for each in writers}
    shards: set[Any] = set()
    while left or shards:
        share.part()  # says that the extraction is there still
        finished, _ = ray.wait(list(waiting), num_returns=1, timeout=OFTEN)
        for ref in finished:
            writer = waiting.pop(ref)
            result = ray.get(ref)
            if ref in shards:
                shards.remove(ref)
                yield result
            if left:
                again = writer.write.remote(utterances, left.pop())
                waiting[again] = writer
                shards.add(again)
