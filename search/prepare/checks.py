"""Checks of a space that need its corpus, its front ends or this machine. Every check returns a list of problems."""

import shutil
from collections.abc import Mapping
from typing import Any

import torch

from core.corpora.corpus import Corpus
from core.detector import check_detector
from core.errors import InputError
from core.features.layers import layers_of
from search.cluster.machine import usable_cpus
from search.runs.storage import Storage
from search.space.configurations import corners
from search.space.space import Space, store_name


def backbone_problems(space: Space, front_ends: Mapping[str, Any]) -> tuple[list[str], int]:
    """Reasons why a detector at a corner of the space cannot be built, and the weights of the smallest detector.

    No memory is allocated for weights.

    Args:
        space: The space.
        front_ends: The built front ends, by `store_name`. A front end that is missing is not checked.
    """
    problems: dict[str, None] = {}
    sizes = []
    for values in corners(space):
        experiment = space.experiment(values)
        front_end = front_ends.get(store_name(experiment))
        if front_end is not None:
            try:
                sizes.append(check_detector(experiment, front_end.n_features, layers_of(front_end)))
            except InputError as error:
                problems.update(dict.fromkeys(error.problems))
    return list(problems), min(sizes, default=0)


def disk_problems(storage: Storage, *, store_bytes: int, n_trials: int, n_weights: int) -> list[str]:
    """The space that a search needs and the disk of its storage lacks.

    Args:
        storage: The storage; the space of a URL is not known.
        store_bytes: Estimated size of the feature stores that are not complete, in bytes.
        n_trials: Number of trials. A trial keeps a checkpoint with its last and its best weights, in float32.
        n_weights: Weights of the smallest detector.
    """
    if storage.remote:
        return []
    folder = next(path for path in (storage.folder.absolute(), *storage.folder.absolute().parents) if path.exists())
    free, checkpoint_bytes = shutil.disk_usage(folder).free, 2 * 4 * n_weights * n_trials
    if store_bytes + checkpoint_bytes <= free:
        return []
    needed = f"feature stores need about {_gb(store_bytes)}, checkpoints at least {_gb(checkpoint_bytes)}"
    return [f"search.storage: {storage}: {needed}; {_gb(free)} are free there"]


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB"


def cost_problems(space: Space) -> list[str]:
    """Reasons why `search.cost` cannot be computed for the detectors of a space."""
    if space.search.cost != "gmacs" or all(space.experiment(values).mode != "gmm" for values in corners(space)):
        return []
    return ["search.cost: Gaussian mixtures have no layers to count; use parameters"]


def widening_problems(space: Space, corpus: Corpus) -> list[str]:
    """Copies of training utterances that `experiment.widen` names and the corpus lacks."""
    wanted = dict.fromkeys(name for values in corners(space) for name in space.experiment(values).widen)
    available = {utterance.copy for utterance in corpus.partition("train")} - {None} if wanted else set()
    known = ", ".join(sorted(filter(None, available))) or "none"
    hint = "spooftune corpus widen creates them"
    return [
        f"experiment.widen: train has no copies made by {name!r}; it has {known}; {hint}"
        for name in wanted
        if name not in available
    ]


def resource_problems(space: Space) -> list[str]:
    """CPUs and GPUs that a trial needs and this process may not use."""
    problems = []
    cpus, gpus = usable_cpus(), torch.cuda.device_count()
    if space.search.cpus > cpus:
        problems.append(f"search.cpus is {space.search.cpus}; this process may use {cpus} CPUs")
    if space.search.gpus > gpus:
        problems.append(f"search.gpus is {space.search.gpus}; this machine has {gpus} CUDA devices")
    return problems
