"""The feature stores of a plan: opened if complete, otherwise extracted with a progress bar."""

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
from search.cluster.machine import usable_cpus
from search.prepare.distributed_extraction import extract_distributed
from search.prepare.identity import placed_experiment
from search.prepare.plan import Plan
from search.runs.run import Run
from search.runs.storage import Storage
from search.space.options import SearchOptions
from search.space.space import store_name

N_DECODERS = 2
"""Threads that decode recordings ahead of the front end, if this process may use so many CPUs."""

StoreOpener = Callable[[Experiment, str], FeatureStore]
"""Returns the feature store of an experiment's front end and a partition, and extracts it if it is not complete."""


def store_opener(plan: Plan, run: Run | None = None, *, console: Console) -> StoreOpener:
    """`ensure_store` with the corpus and the storage of a plan. This process extracts the features.

    The weights of a front end may have moved since the run was launched: the plan has their places.
    """
    opener = functools.partial(
        ensure_store,
        corpus=plan.corpus,
        storage=plan.storage,
        on_bad_audio=plan.space.corpus.on_bad_audio,
        console=console,
    )
    if run is None:
        return opener
    return lambda experiment, partition: opener(placed_experiment(experiment, run, plan), partition)


def ensure_store(
    experiment: Experiment,
    partition: str,
    *,
    corpus: Corpus,
    storage: Storage,
    on_bad_audio: Literal["stop", "skip"],
    console: Console,
    distributed: SearchOptions | None = None,
) -> FeatureStore:
    """The feature store of a partition. It is extracted first if it is not complete.

    Args:
        experiment: Experiment with the front end and the audio options.
        partition: Partition of the utterances.
        corpus: Corpus with the partition.
        storage: Storage of the store, which is a folder below `stores/`.
        on_bad_audio: `stop` or `skip`, as for `extract`.
        console: Console for the progress.
        distributed: CPUs and GPUs of a trial, if all nodes of the connected cluster extract; None: only this process
            extracts.

    Raises:
        InputError: A recording cannot be used, or the storage cannot be written.
        Unavailable: Nodes of the cluster died too often.
    """
    # Torch respects the CPU affinity, but not the quota of a cgroup.
    torch.set_num_threads(min(torch.get_num_threads(), usable_cpus()))
    utterances = corpus.partition(partition)
    root = storage.folder / "stores"
    path = store_path(utterances, experiment.front_end, experiment.audio, root=root)
    if storage.remote and not is_complete(path):
        storage.pull(f"stores/{path.name}")  # Another machine may have extracted it, or a part of it.
    complete = is_complete(path)
    title = f"{experiment.front_end.name} of {partition}"
    if complete:
        console.print(f"{title}: {len(utterances)} utterances, features cached", highlight=False)
    with extraction_progress(console, title, len(utterances), shown=not complete) as progress:
        if distributed is not None and not complete:
            extract_distributed(
                utterances,
                experiment.front_end,
                experiment.audio,
                storage=storage,
                path=path,
                on_bad_audio=on_bad_audio,
                search=distributed,
                progress=progress,
            )
        store = extract(
            utterances,
            experiment.front_end,
            experiment.audio,
            root=root,
            on_bad_audio=on_bad_audio,
            device="cuda" if torch.cuda.is_available() else "cpu",
            n_workers=min(N_DECODERS, usable_cpus()),
            progress=progress,
        )
    storage.push(f"stores/{path.name}")
    if store.skipped:
        manifest = Path(store.path) / "manifest.json"
        console.print(f"{title}: {len(store.skipped)} recordings left out; {manifest} lists them", highlight=False)
    return store


def build_stores(plan: Plan, console: Console, *, distributed: bool = False) -> dict[str, dict[str, str]]:
    """Folders of all feature stores of a plan, by `store_name` and partition. Missing features are extracted first.

    Args:
        plan: Plan with the stores and their storage.
        console: Console for the progress.
        distributed: Whether all nodes of the connected cluster extract.

    Raises:
        InputError: A recording cannot be used, or the storage cannot be written.
        Unavailable: Nodes of the cluster died too often.
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
            distributed=plan.space.search if distributed else None,
        )
        folders.setdefault(store_name(planned.experiment), {})[planned.partition] = str(Path(store.path).resolve())
    return folders


@contextmanager
def extraction_progress(
    console: Console, title: str, n_utterances: int, *, shown: bool = True
) -> Iterator[Callable[[int, float], None]]:
    """Shows the progress of an extraction: a bar on a terminal, otherwise one line at the end.

    Args:
        console: Console for the progress.
        title: Name of the store for the user.
        n_utterances: Utterances of the store.
        shown: Whether anything is shown.

    Yields:
        A function to be called with the utterances and the seconds of audio extracted so far.
    """
    started = time.monotonic()
    done: dict[str, float] = {"utterances": 0, "seconds": 0.0}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} utterances"),
        TextColumn("{task.fields[rate]:.0f} s of audio per second"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal), transient=True) as progress:
        task = progress.add_task(f"extracting {title}", total=n_utterances, rate=0.0)

        def update(utterances: int, seconds: float) -> None:
            done.update(utterances=utterances, seconds=seconds)
            rate = seconds / max(time.monotonic() - started, 1e-9)
            progress.update(task, completed=utterances, rate=rate)

        yield update
    if shown:
        took = time.monotonic() - started
        rate = f"{done['seconds'] / max(took, 1e-9):.0f} s of audio per second"
        console.print(f"{title}: {n_utterances} utterances extracted in {took:.1f} s ({rate})", highlight=False)
