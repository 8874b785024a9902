"""The feature stores of a plan: opened, or extracted with a progress bar."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from core.config import Experiment
from core.corpora.corpus import Corpus
from core.stores.extraction import extract, is_complete, store_path
from core.stores.store import FeatureStore
from search.prepare.distributed_extraction import write_spread
from search.prepare.plan import Plan
from search.runs.storage import Storage
from search.space.options import SearchOptions
from search.space.space import store_name

StoreOf = Callable[[Experiment, str], FeatureStore]
"""Gives the feature store of an experiment's front end and a partition, extracted now where it is not complete."""


def store_opener(plan: Plan, *, console: Console) -> StoreOf:
    """`ensure_store` with the corpus and the storage of a plan; this process extracts."""
    return functools.partial(
        ensure_store,
        corpus=plan.corpus,
        storage=plan.storage,
        on_bad_audio=plan.space.corpus.on_bad_audio,
        console=console,
    )


def ensure_store(
    experiment: Experiment,
    partition: str,
    *,
    corpus: Corpus,
    storage: Storage,
    on_bad_audio: Literal["stop", "skip"],
    console: Console,
    spread: SearchOptions | None = None,
) -> FeatureStore:
    """The feature store of a partition, extracted now where it is not complete.

    Args:
        experiment: Carries front end and decoding.
        partition: Which utterances.
        corpus: Has the partition.
        storage: Where the store lies, below `stores/`.
        on_bad_audio: `stop` or `skip`, as for `extract`.
        console: Where progress is shown.
        spread: What a trial takes of a node, where all nodes of the connected cluster extract; None = this process
            extracts alone.

    Raises:
        InputError: recordings that cannot be used, or a storage that cannot be written.
    """
    utterances = corpus.partition(partition)
    root = storage.folder / "stores"
    path = store_path(utterances, experiment.front_end, experiment.audio, root=root)
    if storage.remote and not is_complete(path):
        storage.pull(f"stores/{path.name}")  # others may have extracted it, or a part of it
    complete = is_complete(path)
    what = f"{experiment.front_end.name} of {partition}"
    if complete:
        console.print(f"{what}: {len(utterances)} utterances, features cached", highlight=False)
    with extraction_progress(console, what, len(utterances), shown=not complete) as progress:
        if spread is not None and not complete:
            write_spread(
                utterances,
                experiment.front_end,
                experiment.audio,
                storage=storage,
                path=path,
                on_bad_audio=on_bad_audio,
                search=spread,
                progress=progress,
            )
        store = extract(
            utterances,
            experiment.front_end,
            experiment.audio,
            root=root,
            on_bad_audio=on_bad_audio,
            device="cuda" if torch.cuda.is_available() else "cpu",
            progress=progress,
        )
    storage.push(f"stores/{path.name}")
    if store.skipped:
        manifest = Path(store.path) / "manifest.json"
        console.print(f"{what}: {len(store.skipped)} recordings left out; {manifest} lists them", highlight=False)
    return store


def build_stores(plan: Plan, console: Console, *, spread: bool = False) -> dict[str, dict[str, str]]:
    """Folders of every feature store of a plan, by `store_name` and partition.

    Args:
        plan: Says which stores, and where.
        console: Where progress is shown.
        spread: Whether the nodes of the connected cluster extract, all at once.

    Raises:
        InputError: as `ensure_store`.
    """
    folders: dict[str, dict[str, str]] = {}
    for planned in plan.stores:
        store = ensure_store(
            planned.experiment,
            planned.partition,
            corpus=plan.corpus,
            storage=plan.storage,
            on_bad_audio=plan.space.corpus.on_bad_audio,
            console=console,
            spread=plan.space.search if spread else None,
        )
        folders.setdefault(store_name(planned.experiment), {})[planned.partition] = str(Path(store.path).resolve())
    return folders


@contextmanager
def extraction_progress(
    console: Console, what: str, n_utterances: int, *, shown: bool = True
) -> Iterator[Callable[[int, float], None]]:
    """Shows the progress of an extraction; yields what takes the utterances and the seconds of audio that are done.

    A terminal gets a bar with its seconds of audio a second; anything else gets one line at the end.

    Args:
        console: Where the progress is shown.
        what: The store, in words.
        n_utterances: Utterances of the store.
        shown: Whether anything is shown.
    """
    began = time.monotonic()
    done: dict[str, float] = {"utterances": 0, "seconds": 0.0}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} utterances"),
        TextColumn("{task.fields[rate]:.0f} s of audio a second"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal), transient=True) as progress:
        task = progress.add_task(f"extracting {what}", total=n_utterances, rate=0.0)

        def update(utterances: int, seconds: float) -> None:
            done.update(utterances=utterances, seconds=seconds)
            rate = seconds / max(time.monotonic() - began, 1e-9)
            progress.update(task, completed=utterances, rate=rate)

        yield update
    if shown:
        took = time.monotonic() - began
        rate = f"{done['seconds'] / max(took, 1e-9):.0f} s of audio a second"
        console.print(f"{what}: {n_utterances} utterances extracted in {took:.1f} s ({rate})", highlight=False)
