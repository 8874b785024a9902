"""The feature stores of a plan: found, or extracted with a progress bar."""

from pathlib import Path

import torch
from rich.console import Console

from core.config import Experiment
from core.features.extraction import extract, is_complete, store_path
from core.features.store import FeatureStore
from search.plan import Plan
from search.report import extraction_progress
from search.space import store_name
from search.spread import write_spread


def ensure_store(
    plan: Plan, experiment: Experiment, partition: str, console: Console, *, spread: bool = False
) -> FeatureStore:
    """The feature store of a partition, extracted now where it is not complete.

    Args:
        plan: Names the corpus, the storage and what to do about bad recordings.
        experiment: Carries front end and decoding.
        partition: Which utterances.
        console: Where progress is shown.
        spread: Whether the nodes of the connected cluster extract, all at once.

    Raises:
        InputError: recordings that cannot be used, or a storage that cannot be written.
    """
    utterances = plan.corpus.partition(partition)
    root = plan.storage.folder / "stores"
    path = store_path(utterances, experiment.front_end, experiment.audio, root=root)
    if plan.storage.remote and not is_complete(path):
        plan.storage.pull(f"stores/{path.name}")  # others may have extracted it, or a part of it
    complete = is_complete(path)
    what = f"{experiment.front_end.name} of {partition}"
    if complete:
        console.print(f"{what}: {len(utterances)} utterances, nothing to extract", highlight=False)
    with extraction_progress(console, what, len(utterances), shown=not complete) as progress:
        if spread and not complete:
            write_spread(
                utterances,
                experiment.front_end,
                experiment.audio,
                storage=plan.storage,
                path=path,
                on_bad_audio=plan.space.corpus.on_bad_audio,
                search=plan.space.search,
                progress=progress,
            )
        store = extract(
            utterances,
            experiment.front_end,
            experiment.audio,
            root=root,
            on_bad_audio=plan.space.corpus.on_bad_audio,
            device="cuda" if torch.cuda.is_available() else "cpu",
            progress=progress,
        )
    plan.storage.push(f"stores/{path.name}")
    if store.skipped:
        manifest = Path(store.path) / "manifest.json"
        console.print(f"{what}: {len(store.skipped)} recordings left out; {manifest} lists them", highlight=False)
    return store


def build_stores(plan: Plan, console: Console, *, spread: bool = False) -> dict[str, dict[str, str]]:
    """Folders of every feature store of a plan, by `store_name` and partition."""
    folders: dict[str, dict[str, str]] = {}
    for each in plan.stores:
        store = ensure_store(plan, each.experiment, each.partition, console, spread=spread)
        folders.setdefault(store_name(each.experiment), {})[each.partition] = str(Path(store.path).resolve())
    return folders
