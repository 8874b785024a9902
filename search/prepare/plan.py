"""The plan of a search: its corpus, its feature stores, and all checks. Nothing is trained or extracted here."""

from collections.abc import Mapping
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
from core.evaluation.tandem import AsvErrorRates
from core.features import FRONT_ENDS
from core.features.layers import layers_of
from core.stores.extraction import estimated_bytes, is_complete, store_path
from search.prepare.asv import asv_of_corpus, objective_problems
from search.prepare.checks import backbone_problems, cost_problems, disk_problems, resource_problems, widening_problems
from search.runs.storage import Storage
from search.space.configurations import n_configurations, store_experiments
from search.space.space import Space, store_name

SEARCHED_PARTITIONS = ("train", "dev")
"""Partitions that a search reads; eval is only for the exported detector."""


@dataclass(frozen=True)
class StorePlan:
    """One feature store that a search needs.

    Attributes:
        experiment: An experiment with the store's front end and audio options.
        partition: Partition of the utterances.
        path: Folder of the store.
        complete: Whether all features are cached.
        n_features: Values per frame of one layer.
        layers: Indices of the layers of the front end; empty: it has no layers to choose from.
        n_bytes: Size on disk in bytes, estimated from the recordings' headers.
        weights: File name -> SHA-256 of the pretrained weights of the front end.
    """

    experiment: Experiment
    partition: str
    path: Path
    complete: bool
    n_features: int
    layers: tuple[int, ...]
    n_bytes: int
    weights: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a search of a space needs and trains.

    Attributes:
        space: The space.
        storage: Storage of runs and feature stores.
        corpus: The corpus.
        stores: All feature stores that the search needs.
        n_trials: Number of trials.
        origins: Facts about the utterances by which folds are made, such as kinds of attack.
        folds: Description of every training with a fold; empty if dev is the validation data.
        asv: Error rates of the ASV on train and dev; partitions without known ones are left out.
    """

    space: Space
    storage: Storage
    corpus: Corpus
    stores: tuple[StorePlan, ...]
    n_trials: int
    origins: Origins = field(default_factory=Origins)
    folds: tuple[str, ...] = ()
    asv: Mapping[str, AsvErrorRates] = field(default_factory=dict)

    def sealed(self) -> "Plan":
        """The same plan with a corpus that refuses to open eval. Everything that selects a configuration uses it."""
        return replace(self, corpus=self.corpus.sealed("eval"))


def open_corpus(space: Space) -> Corpus:
    """The corpus of a space. None of its files is read yet."""
    corpus: Corpus = table.build("corpus.layout", CORPORA, space.corpus.layout, Path(space.corpus.path))
    return corpus


def make_plan(space: Space, storage: Storage, *, embedded: bool = False) -> Plan:
    """The plan of a space, after all checks that are possible before a trial starts.

    Args:
        space: The space.
        storage: Storage of runs and feature stores.
        embedded: Whether only this machine runs the trials. If so, the CPUs and GPUs of a trial are checked, too.

    Raises:
        InputError: The corpus, a front end, a backbone or the resources have problems; all of them are listed.
    """
    problems: list[str] = []
    corpus = open_corpus(space)
    for partition in SEARCHED_PARTITIONS:
        try:
            corpus.partition(partition)
        except InputError as error:
            problems.extend(error.problems)
    front_ends: dict[str, Any] = {}
    for experiment in store_experiments(space):
        try:
            front_end = table.build("front_end", FRONT_ENDS, experiment.front_end)
        except InputError as error:
            problems.extend(error.problems)
        else:
            front_ends[store_name(experiment)] = front_end
    unbuildable, n_weights = backbone_problems(space, front_ends)
    problems += unbuildable
    if not problems:
        problems += widening_problems(space, corpus) + cost_problems(space)
    known = Origins()
    folds: tuple[str, ...] = ()
    asv: dict[str, AsvErrorRates] = {}
    if not problems:
        try:
            known, folds, judging = folds_of(space, corpus)
            asv = asv_of_corpus(space, corpus, SEARCHED_PARTITIONS)
            problems += objective_problems(space, asv, judging)
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
            features = (front_end.n_features, layers_of(front_end))
            state = (is_complete(path), *features, size, front_end.weights)
            stores.append(StorePlan(experiment, partition, path, *state))
    possible = n_configurations(space)
    n_trials = space.search.trials
    if space.search.sampler.name == "grid" and possible is not None:
        n_trials = min(n_trials, possible)
    left = sum(store.n_bytes for store in stores if not store.complete)
    if left:  # Otherwise nothing is known to be new: a run that ended is exported and reported on a full disk, too.
        problems += disk_problems(storage, store_bytes=left, n_trials=n_trials, n_weights=n_weights)
    if problems:
        raise InputError(problems)
    return Plan(space, storage, corpus, tuple(stores), n_trials, known, folds, asv)


def folds_of(space: Space, corpus: Corpus) -> tuple[Origins, tuple[str, ...], frozenset[str]]:
    """The facts about a corpus's utterances by which folds are made, a description of every fold, and the partitions
    of the validation data.

    Raises:
        InputError: The corpus cannot be divided in the way that `search.validation` demands.
    """
    parts: list[Any] = []
    partitions = [corpus.partition(name) for name in SEARCHED_PARTITIONS]
    known = origins(*partitions)
    for utterances in partitions:
        columns = {
            "labels": np.array([utterance.label for utterance in utterances]),
            "utterance_ids": [utterance.utterance_id for utterance in utterances],
            "attack_ids": [utterance.attack_id for utterance in utterances],
            "speaker_ids": [utterance.speaker_id for utterance in utterances],
        }
        parts.append(SimpleNamespace(**columns))
    descriptions = []
    judging = {"dev"}
    for fold in table.build("search.validation", VALIDATIONS, space.search.validation)(*parts, known):
        validation = parts[SEARCHED_PARTITIONS.index(fold.partition)]
        judging.add(fold.partition)
        attacks = sorted({validation.attack_ids[index] for index in fold.validation} - {"-"})
        n_bona_fide = int(validation.labels[fold.validation].sum())
        descriptions.append(
            f"trains on {len(fold.train)} utterances, validates on {n_bona_fide} bona fide and "
            f"{len(fold.validation) - n_bona_fide} spoofed of {fold.partition}: {', '.join(attacks)}"
        )
    return known, tuple(descriptions), frozenset(judging)
