"""What a space would do: its corpus, the feature stores it needs, whether everything builds. Starts nothing."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from core import table
from core.config import Experiment
from core.corpora.corpus import Corpus
from core.corpora.layouts import CORPORA
from core.errors import InputError
from core.evaluation.folds import VALIDATIONS, Origins, origins
from core.features import FRONT_ENDS
from core.stores.extraction import estimated_bytes, is_complete, store_path
from search.prepare.checks import backbone_problems, cost_problems, resource_problems, widening_problems
from search.runs.storage import Storage
from search.space.configurations import n_configurations, store_experiments
from search.space.space import Space, store_name

SEARCHED_PARTITIONS = ("train", "dev")
"""A search reads these alone; eval is for the exported detector."""


@dataclass(frozen=True)
class StorePlan:
    """One feature store that a space asks for.

    Attributes:
        experiment: Carries its front end and decoding.
        partition: Which utterances.
        path: Its folder.
        complete: Whether it is there already.
        n_features: Values a frame.
        n_bytes: Size on disk, estimated from the recordings' headers.
    """

    experiment: Experiment
    partition: str
    path: Path
    complete: bool
    n_features: int
    n_bytes: int


@dataclass(frozen=True)
class Plan:
    """What a space would do.

    Attributes:
        space: The space.
        storage: Where runs and stores lie.
        corpus: The corpus.
        stores: Every feature store that the search needs.
        n_trials: Configurations that will be tried.
        origins: What folds need to know of the corpus.
        folds: The trainings by which a configuration is judged, in words; none where dev itself judges.
    """

    space: Space
    storage: Storage
    corpus: Corpus
    stores: tuple[StorePlan, ...]
    n_trials: int
    origins: Origins = field(default_factory=Origins)
    folds: tuple[str, ...] = ()

    def sealed(self) -> "Plan":
        """The same plan for whatever decides: its corpus refuses to open eval."""
        return replace(self, corpus=self.corpus.sealed("eval"))


def open_corpus(space: Space) -> Corpus:
    """The corpus of a space; no file of it is read yet."""
    corpus: Corpus = table.build("corpus.layout", CORPORA, space.corpus.layout, Path(space.corpus.path))
    return corpus


def make_plan(space: Space, storage: Storage, *, embedded: bool = False) -> Plan:
    """The plan of a space, everything checked that can be checked before a trial starts.

    Args:
        space: The space.
        storage: Where runs and stores lie.
        embedded: Whether this machine alone is to run the trials, and so must have what a trial asks for.

    Raises:
        InputError: everything that is wrong with the corpus, the front ends, the backbones and the resources.
    """
    problems: list[str] = []
    corpus = open_corpus(space)
    for partition in SEARCHED_PARTITIONS:
        try:
            corpus.partition(partition)
        except InputError as error:
            problems.extend(error.problems)
    n_features: dict[str, int] = {}
    front_ends: dict[str, Any] = {}
    for experiment in store_experiments(space):
        try:
            front_end = table.build("front_end", FRONT_ENDS, experiment.front_end)
        except InputError as error:
            problems.extend(error.problems)
        else:
            front_ends[store_name(experiment)] = front_end
            n_features[store_name(experiment)] = front_end.n_features
    problems += backbone_problems(space, n_features)
    if not problems:
        problems += widening_problems(space, corpus) + cost_problems(space)
    known = Origins()
    folds: tuple[str, ...] = ()
    if not problems:
        try:
            known, folds = folds_of(space, corpus)
        except InputError as error:
            problems.extend(error.problems)
    if embedded:
        problems += resource_problems(space)
    if problems:
        raise InputError(dict.fromkeys(problems))
    stores = []
    for experiment in store_experiments(space):
        front_end = front_ends[store_name(experiment)]
        for partition in SEARCHED_PARTITIONS:
            utterances = corpus.partition(partition)
            path = store_path(utterances, experiment.front_end, experiment.audio, root=storage.folder / "stores")
            size = estimated_bytes(utterances, front_end)
            stores.append(StorePlan(experiment, partition, path, is_complete(path), front_end.n_features, size))
    possible = n_configurations(space)
    n_trials = space.search.trials
    if space.search.sampler.name == "grid" and possible is not None:
        n_trials = min(n_trials, possible)
    return Plan(space, storage, corpus, tuple(stores), n_trials, known, folds)


def folds_of(space: Space, corpus: Corpus) -> tuple[Origins, tuple[str, ...]]:
    """What folds need to know of the corpus beyond the feature stores; and each fold in words.

    Raises:
        InputError: the corpus cannot be divided as the space wants it.
    """
    parts: list[Any] = []
    partitions = [corpus.partition(name) for name in SEARCHED_PARTITIONS]
    known = origins(*partitions)
    for utterances in partitions:
        columns = {
            "labels": np.array([each.label for each in utterances]),
            "utterance_ids": [each.utterance_id for each in utterances],
            "attack_ids": [each.attack_id for each in utterances],
            "speaker_ids": [each.speaker_id for each in utterances],
        }
        parts.append(SimpleNamespace(**columns))
    described = []
    for fold in table.build("search.validation", VALIDATIONS, space.search.validation)(*parts, known):
        judge = parts[SEARCHED_PARTITIONS.index(fold.partition)]
        attacks = sorted({judge.attack_ids[index] for index in fold.validation} - {"-"})
        n_bona_fide = int(judge.labels[fold.validation].sum())
        described.append(
            f"trains on {len(fold.train)} utterances, judged by {n_bona_fide} bona fide and "
            f"{len(fold.validation) - n_bona_fide} spoofed of {fold.partition}: {', '.join(attacks)}"
        )
    return known, tuple(described)
