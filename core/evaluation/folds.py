"""VALIDATIONS: the choice of validation data, by which a configuration is judged.

Dev has the same attacks as train, so its error rates say little about unseen attacks. Folds measure generalisation
without eval: each fold leaves some attacks, speakers or corpora out of training and validates on them.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from core.corpora.corpus import Utterance
from core.errors import InputError
from core.table import Table, did_you_mean


class Fold(NamedTuple):
    """One training and its validation data. The two share no speaker and no source recording.

    Attributes:
        train: Indices of utterances of train.
        validation: Indices of the validation utterances in `partition`.
        partition: `dev` or `train`.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    partition: str = "dev"


class Columns(Protocol):
    """The columns of a partition that folds need; a FeatureStore has them."""

    utterance_ids: Sequence[str]
    attack_ids: Sequence[str]
    speaker_ids: Sequence[str]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Origins:
    """Origins of attacks and utterances; unknown ones have no entry.

    Attributes:
        kinds: Attack -> its kind.
        sources: Utterance -> the recording that it was cut or made from.
        corpora: Utterance -> the one of several corpora that it belongs to.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    corpora: Mapping[str, str] = field(default_factory=dict)


Validation = Callable[[Columns, Columns, Origins], list[Fold]]
"""Function of train, dev and their origins, which returns the folds; no folds = dev is the validation data."""


def origins(*partitions: Sequence[Utterance]) -> Origins:
    """Origins of the utterances of some partitions.

    Raises:
        InputError: An attack has two kinds.
    """
    kinds: dict[str, str] = {}
    sources: dict[str, str] = {}
    corpora: dict[str, str] = {}
    for utterance in itertools.chain(*partitions):
        kind, attack = utterance.kind, utterance.attack_id
        if kind != "-" and kinds.setdefault(attack, kind) != kind:
            raise InputError(f"attack {attack} is of kind {kinds[attack]!r} and of {kind!r}")
        if utterance.source != "-":
            sources[utterance.utterance_id] = utterance.source
        if utterance.corpus != "-":
            corpora[utterance.utterance_id] = utterance.corpus
    return Origins(kinds, sources, corpora)


def dev() -> Validation:
    """No folds: the detector is trained on all of train and validated on all of dev."""
    return lambda train, dev, origins: []


def held_out_attacks(*, attacks: Sequence[str]) -> Validation:
    """One fold: a second training leaves out some attacks; they and dev's bona fide speech validate it.

    Args:
        attacks: Names of the attacks, such as `[A03, A06]`. Dev must have them, and train at least one other.

    Raises:
        ValueError: `attacks` is empty or names an attack twice.
    """
    if not attacks or len(set(attacks)) < len(attacks):
        raise ValueError(f"attacks is {list(attacks)}; it must name one attack or more, each once")
    return lambda train, dev, origins: [_without_attacks(train, dev, attacks, origins)]


def attack_folds(*, k: int = 3, groups: Sequence[Sequence[str]] | None = None) -> Validation:
    """`k` folds: further trainings that each leave out some attacks; every attack is left out once.

    If the corpus gives the kinds of its attacks, a fold leaves out whole kinds: an attack is unseen only if no similar
    attack was seen. The largest kind is dealt first, each kind to the fold with the fewest attacks so far. Kinds of
    one size are dealt in the order of their names, so that neighbours are in different folds. Without kinds, single
    attacks are dealt in the same way.

    Args:
        k: Number of folds, at least 2 and at most the number of kinds (or attacks) of dev.
        groups: Attacks that each fold leaves out, such as `[[A01, A02], [A03]]`; one fold per group, whatever `k` is.

    Raises:
        ValueError: `k` is below 2, a group is empty, or an attack is named twice.
    """
    if k < 2:
        raise ValueError(f"k is {k}; it must be at least 2")
    if groups is not None:
        named = [attack for group in groups for attack in group]
        if not all(groups) or len(set(named)) < len(named):
            text = f"groups is {[list(group) for group in groups]}"
            raise ValueError(f"{text}; every group must name an attack, and each attack once")

    def folds(train: Columns, dev: Columns, origins: Origins) -> list[Fold]:
        left_out = groups or _dealt(_attacks(dev), origins.kinds, k)
        return [_without_attacks(train, dev, attacks, origins) for attacks in left_out]

    return folds


def speaker_folds(*, k: int = 3) -> Validation:
    """`k` folds: further trainings that each leave out some speakers of train; every speaker is left out once.

    With a speaker, the utterances that were spoofed in their name are left out.

    Args:
        k: Number of folds, at least 2 and at most the number of train's speakers.

    Raises:
        ValueError: `k` is below 2.
    """
    if k < 2:
        raise ValueError(f"k is {k}; it must be at least 2")

    def folds(train: Columns, dev: Columns, origins: Origins) -> list[Fold]:
        speakers = sorted(set(train.speaker_ids))
        if k > len(speakers):
            raise InputError(f"search.validation: speaker_folds: k is {k}; train has {len(speakers)} speakers")
        return [_without(train, np.isin(train.speaker_ids, speakers[first::k]), origins) for first in range(k)]

    return folds


def corpus_folds() -> Validation:
    """One fold per corpus, for a table of several corpora: a further training that leaves this corpus out."""

    def folds(train: Columns, dev: Columns, origins: Origins) -> list[Fold]:
        corpora = np.array([origins.corpora.get(utterance, "-") for utterance in train.utterance_ids])
        names = sorted(set(corpora))
        if len(names) < 2 or "-" in names:
            raise InputError(
                "search.validation: corpus_folds: train must have utterances of two corpora or more, and every "
                f"utterance its corpus (column `corpus` of the csv layout); it has {', '.join(names)}"
            )
        return [_without(train, corpora == name, origins) for name in names]

    return folds


VALIDATIONS: Table = {
    "dev": dev,
    "held_out_attacks": held_out_attacks,
    "attack_folds": attack_folds,
    "speaker_folds": speaker_folds,
    "corpus_folds": corpus_folds,
}


def _attacks(columns: Columns) -> list[str]:
    """Names of the attacks of a partition, sorted."""
    return sorted({name for name, label in zip(columns.attack_ids, columns.labels, strict=True) if not label})


def _dealt(attacks: Sequence[str], kinds: Mapping[str, str], k: int) -> list[list[str]]:
    """Attacks in `k` groups of similar size; attacks of one kind are in one group."""
    by_kind: dict[str, list[str]] = {}
    for attack in attacks:
        by_kind.setdefault(f"kind {kinds[attack]}" if attack in kinds else attack, []).append(attack)
    if k > len(by_kind):
        unit = "attacks" if len(by_kind) == len(attacks) else f"kinds of attacks ({', '.join(sorted(by_kind))})"
        raise InputError(f"search.validation: attack_folds: k is {k}; dev has {len(by_kind)} {unit}")
    groups: list[list[str]] = [[] for _ in range(k)]
    for members in sorted(by_kind.values(), key=lambda members: (-len(members), members)):
        min(groups, key=len).extend(members)
    return [sorted(group) for group in groups]


def _without_attacks(train: Columns, dev: Columns, attacks: Sequence[str], origins: Origins) -> Fold:
    known = _attacks(dev)
    for name in attacks:
        if name not in known:
            there = f"there are {', '.join(known)}{did_you_mean(name, known)}"
            raise InputError(f"search.validation: attacks: dev has no attack {name!r}; {there}")
    judging = np.isin(dev.attack_ids, attacks) | (dev.labels == 1)
    kept = ~np.isin(train.attack_ids, attacks) | (train.labels == 1)
    return _fold(train, kept, dev, judging, origins, "dev")


def _without(train: Columns, left_out: NDArray[np.bool_], origins: Origins) -> Fold:
    return _fold(train, ~left_out, train, left_out, origins, "train")


def _fold(
    train: Columns,
    kept: NDArray[np.bool_],
    judge: Columns,
    judging: NDArray[np.bool_],
    origins: Origins,
    partition: str,
) -> Fold:
    """The fold, without the training utterances that share a speaker or a source recording with the validation data.

    A detector that was trained on one copy of a recording partly knows its other copies.
    """
    validation = np.flatnonzero(judging)
    speakers = {speaker for speaker, judges in zip(judge.speaker_ids, judging, strict=True) if judges} - {"-"}
    judged = (utterance for utterance, judges in zip(judge.utterance_ids, judging, strict=True) if judges)
    sources = {origins.sources.get(utterance) for utterance in judged} - {None}
    shares = [
        speaker in speakers or origins.sources.get(utterance) in sources
        for speaker, utterance in zip(train.speaker_ids, train.utterance_ids, strict=True)
    ]
    indices = np.flatnonzero(kept & ~np.array(shares, dtype=bool))
    for label, name in ((0, "spoofed"), (1, "bona fide")):
        if not (train.labels[indices] == label).any():
            raise InputError(
                f"search.validation: train has no {name} speech left for a fold; a fold leaves out its validation data "
                "and every utterance that shares a speaker or a source recording with them"
            )
        if not (judge.labels[validation] == label).any():
            raise InputError(f"search.validation: the validation data of a fold have no {name} speech")
    return Fold(indices, validation, partition)
