"""VALIDATIONS: on what a configuration is judged.

Dev holds the attacks of train, so that everything is good there; what counts is attacks that nobody has seen. A
configuration can be judged by those as well without looking at eval: by leaving some attacks out of training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from core.corpora.corpus import Utterance
from core.errors import InputError
from core.table import Table, did_you_mean


class Fold(NamedTuple):
    """One training and what judges it. Nobody whom it trains on and no recording of theirs is among what judges it.

    Attributes:
        train: Indices of the training partition.
        validation: Indices of the partition that judges.
        partition: Which one that is, `dev` or `train`.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    partition: str = "dev"


class Columns(Protocol):
    """What folds need to know of a partition; a FeatureStore has it."""

    utterance_ids: Sequence[str]
    attack_ids: Sequence[str]
    speaker_ids: Sequence[str]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Origins:
    """What a corpus knows beyond that, each entry where it is known.

    Attributes:
        kinds: Attack -> its kind.
        sources: Utterance -> the recording that it was cut or made from.
        corpora: Utterance -> which of several corpora it is of.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    corpora: Mapping[str, str] = field(default_factory=dict)


Validation = Callable[[Columns, Columns, Origins], list[Fold]]
"""Train, dev and where they come from -> folds; none: dev itself judges."""


def origins(*partitions: Sequence[Utterance]) -> Origins:
    """What the utterances of some partitions tell of their origins.

    Raises:
        InputError: an attack has two kinds.
    """
    kinds: dict[str, str] = {}
    sources: dict[str, str] = {}
    corpora: dict[str, str] = {}
    for each in (utterance for partition in partitions for utterance in partition):
        if each.kind != "-" and kinds.setdefault(each.attack_id, each.kind) != each.kind:
            raise InputError(f"attack {each.attack_id} is of kind {kinds[each.attack_id]!r} and of {each.kind!r}")
        if each.source != "-":
            sources[each.utterance_id] = each.source
        if each.corpus != "-":
            corpora[each.utterance_id] = each.corpus
    return Origins(kinds, sources, corpora)


def dev() -> Validation:
    """All of dev judges the detector that is trained on all of train."""
    return lambda train, dev, origins: []


def held_out_attacks(*, attacks: Sequence[str]) -> Validation:
    """Some attacks are left out of a second training, and judge it with dev's bona fide speech.

    Args:
        attacks: Their names, such as `[A03, A06]`. Dev must have them, and train at least one other.
    """
    if not attacks or len(set(attacks)) < len(attacks):
        raise ValueError(f"attacks is {list(attacks)}; it must name one attack or more, each once")
    return lambda train, dev, origins: [_without_attacks(train, dev, attacks, origins)]


def attack_folds(*, k: int = 3, groups: Sequence[Sequence[str]] | None = None) -> Validation:
    """Every attack is left out once: `k` further trainings, each without some of the attacks.

    Where the corpus knows the kinds of its attacks, those of one kind are left out together: an attack is unseen only
    where nothing like it was seen. Kinds (or else single attacks) are dealt out, the largest first, each to the fold
    that has the fewest attacks yet; equal ones in the order of their names, so that neighbours part.

    Args:
        k: Number of folds, at least 2 and at most the number of kinds (attacks) of dev.
        groups: What each fold leaves out, instead, such as `[[A01, A02], [A03]]`; then `k` is their number.
    """
    if k < 2:
        raise ValueError(f"k is {k}; it must be at least 2")
    if groups is not None:
        named = [attack for group in groups for attack in group]
        if not all(groups) or len(set(named)) < len(named):
            raise ValueError(f"groups is {[list(each) for each in groups]}; each names an attack, and each attack once")

    def folds(train: Columns, dev: Columns, origins: Origins) -> list[Fold]:
        left_out = groups or _dealt(_attacks(dev), origins.kinds, k)
        return [_without_attacks(train, dev, attacks, origins) for attacks in left_out]

    return folds


def speaker_folds(*, k: int = 3) -> Validation:
    """Every speaker of train is left out once, with what was spoofed in their name: `k` further trainings.

    Args:
        k: Number of folds, at least 2 and at most the number of train's speakers.
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
    """Every corpus of a table of several is left out once: a further training for each."""

    def folds(train: Columns, dev: Columns, origins: Origins) -> list[Fold]:
        corpora = np.array([origins.corpora.get(each, "-") for each in train.utterance_ids])
        names = sorted(set(corpora))
        if len(names) < 2 or "-" in names:
            raise InputError(
                "search.validation: corpus_folds: train needs utterances of two corpora or more, and of each utterance "
                f"its corpus (column `corpus` of the csv layout); found {', '.join(names)}"
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
    return sorted({name for name, label in zip(columns.attack_ids, columns.labels, strict=True) if not label})


def _dealt(attacks: Sequence[str], kinds: Mapping[str, str], k: int) -> list[list[str]]:
    """Attacks in `k` groups of about one size, those of one kind in one group."""
    by_kind: dict[str, list[str]] = {}
    for attack in attacks:
        by_kind.setdefault(f"kind {kinds[attack]}" if attack in kinds else attack, []).append(attack)
    if k > len(by_kind):
        what = "attacks" if len(by_kind) == len(attacks) else f"kinds of attacks ({', '.join(sorted(by_kind))})"
        raise InputError(f"search.validation: attack_folds: k is {k}; dev has {len(by_kind)} {what}")
    groups: list[list[str]] = [[] for _ in range(k)]
    for each in sorted(by_kind.values(), key=lambda each: (-len(each), each)):
        min(groups, key=len).extend(each)
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
    """The fold, less what would let speakers or source recordings of what judges be trained on.

    A copy of a recording is half known to whoever was trained on another copy of it.
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
    for label, what in ((0, "spoofed"), (1, "bona fide")):
        if not (train.labels[indices] == label).any():
            raise InputError(
                f"search.validation: without what a fold leaves out, and what shares a speaker or a source recording "
                f"with it, train has no {what} speech left"
            )
        if not (judge.labels[validation] == label).any():
            raise InputError(f"search.validation: a fold has no {what} speech to judge by")
    return Fold(indices, validation, partition)
