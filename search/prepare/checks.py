"""What is wrong with a space that only its corpus, its front ends or this machine can tell."""

import os

import torch

from core.corpora.corpus import Corpus
from core.detector import build_detector
from core.errors import InputError
from search.space.configurations import corners
from search.space.space import Space, store_name


def backbone_problems(space: Space, n_features: dict[str, int]) -> list[str]:
    """What keeps a detector at a corner of the space from being built; nothing is allocated."""
    found: dict[str, None] = {}
    for values in corners(space):
        experiment = space.experiment(values)
        size = n_features.get(store_name(experiment))
        if size is not None:
            try:
                with torch.device("meta"):
                    build_detector(experiment, size)
            except InputError as error:
                found.update(dict.fromkeys(error.problems))
    return list(found)


def cost_problems(space: Space) -> list[str]:
    """Why what a space trains has no operations to count."""
    mixtures = space.search.cost == "gmacs" and any(space.experiment(each).mode == "gmm" for each in corners(space))
    return ["search.cost: Gaussian mixtures have no layers to count; take parameters"] if mixtures else []


def widening_problems(space: Space, corpus: Corpus) -> list[str]:
    """Copies of train's utterances that a space wants to train on and the corpus has not."""
    wanted = dict.fromkeys(name for values in corners(space) for name in space.experiment(values).widen)
    there = {utterance.copy for utterance in corpus.partition("train")} - {None} if wanted else set()
    known = ", ".join(sorted(filter(None, there))) or "none"
    hint = "spooftune corpus widen makes them"
    return [
        f"experiment.widen: train has no copies made by {name!r}; it has {known}; {hint}"
        for name in wanted
        if name not in there
    ]


def resource_problems(space: Space) -> list[str]:
    """What an embedded Ray on this machine could never schedule."""
    problems = []
    cpus, gpus = os.cpu_count() or 1, torch.cuda.device_count()
    if space.search.cpus > cpus:
        problems.append(f"search.cpus is {space.search.cpus}; this machine has {cpus}")
    if space.search.gpus > gpus:
        problems.append(f"search.gpus is {space.search.gpus}; this machine has {gpus} CUDA devices")
    return problems
