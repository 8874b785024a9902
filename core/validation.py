"""VALIDATIONS: on what a configuration is judged; and training that is judged so.

Dev holds the attacks of train, so that everything is good there; what counts is attacks that nobody has seen. A
configuration can be judged by those as well without looking at eval: by leaving some attacks out of training.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import Experiment
from core.errors import InputError
from core.features.store import FeatureStore
from core.table import Table, did_you_mean
from core.training import OBJECTIVES, Report, epochs


class Fold(NamedTuple):
    """One training and what judges it.

    Attributes:
        train: Indices of the training partition: all but some attacks.
        validation: Indices of dev: its bona fide speech, of other speakers, and those attacks.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]


Validation = Callable[[FeatureStore, FeatureStore], list[Fold]]
"""Train and dev -> folds; none: dev itself judges."""


def dev() -> Validation:
    """All of dev judges the detector that is trained on all of train."""
    return lambda train, dev: []


def held_out_attacks(*, attacks: Sequence[str]) -> Validation:
    """Some attacks are left out of a second training, and judge it with dev's bona fide speech.

    Args:
        attacks: Their names, such as `[A03, A06]`. Dev must have them, and train at least one other.
    """
    if not attacks or len(set(attacks)) < len(attacks):
        raise ValueError(f"attacks is {list(attacks)}; it must name one attack or more, each once")
    return lambda train, dev: [_fold(train, dev, attacks)]


def attack_folds(*, k: int = 3) -> Validation:
    """Every attack is left out once: `k` further trainings, each without a `k`-th of the attacks.

    Attacks are dealt out in the order of their names: the first to the first fold, the second to the second, ... So
    neighbours, which are often of one kind, part.

    Args:
        k: Number of folds, at least 2 and at most the number of dev's attacks.
    """
    if k < 2:
        raise ValueError(f"k is {k}; it must be at least 2")

    def folds(train: FeatureStore, dev: FeatureStore) -> list[Fold]:
        attacks = _attacks(dev)
        if k > len(attacks):
            raise InputError(f"search.validation: attack_folds: k is {k}; dev has {len(attacks)} attacks")
        return [_fold(train, dev, attacks[first::k]) for first in range(k)]

    return folds


VALIDATIONS: Table = {"dev": dev, "held_out_attacks": held_out_attacks, "attack_folds": attack_folds}


def fit_folds(
    experiment: Experiment,
    train: FeatureStore,
    dev: FeatureStore,
    folds: Sequence[Fold],
    report: Report,
    *,
    device: torch.device | str = "cpu",
    objective: str = "dev_eer",
    resume: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """As `core.training.fit`, with the best epoch chosen by attacks that were left out.

    The detector is trained on all of train and, epoch by epoch beside it, once more for each fold without the fold's
    attacks; the mean over the folds judges the epoch, and what is kept as best is the detector of all of train. So a
    trial costs one training more for each fold.

    Args:
        experiment: What to train.
        train: Features of the training partition.
        dev: Features of dev.
        folds: At least one.
        report: As of `fit`. The metrics hold, besides those of the detector on dev, `fold_eer`, `fold_auc` and
            `fold_loss` (means over the folds) and `worst_fold_eer`.
        device: Where to compute.
        objective: Key of OBJECTIVES; its counterpart over the folds is what counts.
        resume: A state that `report` was given, of the same experiment and folds.

    Raises:
        InputError: as of `fit`, or `resume` has another number of folds.
        TrainingDiverged: as of `fit`.
    """
    stores = [(train, dev), *((train.subset(fold.train), dev.subset(fold.validation)) for fold in folds)]
    parts: list[Any] = [None] * len(stores) if resume is None else resume.get("parts", [])
    if len(parts) != len(stores):
        raise InputError("the checkpoint to resume from was judged by other folds")
    best = resume["best"] if resume else None
    state = resume or {}
    trainings = [
        epochs(experiment, first, second, device=device, objective=objective, resume=part)
        for (first, second), part in zip(stores, parts, strict=True)
    ]
    for whole, *left_out in zip(*trainings, strict=True):
        measured, state = dict(whole[0]), whole[1]
        if objective in measured:
            judged = {
                f"fold_{name}": float(np.mean([each[f"dev_{name}"] for each, _ in left_out]))
                for name in ("eer", "auc", "loss")
            }
            judged["worst_fold_eer"] = max(each["dev_eer"] for each, _ in left_out)
            measured |= judged
            value = OBJECTIVES[objective] * judged[objective.replace("dev_", "fold_")]
            rank = (value, judged["fold_loss"])
            if best is None or rank < tuple(best["rank"]):
                tensors = {name: value.detach().cpu().clone() for name, value in state["detector"].items()}
                best = {"epoch": state["epoch"], "rank": list(rank), "metrics": dict(measured), "detector": tensors}
        measured.pop("objective", None)
        if best is not None:
            measured["objective"] = best["rank"][0]
        state = {**state, "best": best, "parts": [part for _, part in (whole, *left_out)]}
        report(measured, state)
    return state


def _attacks(store: FeatureStore) -> list[str]:
    return sorted({name for name, label in zip(store.attack_ids, store.labels, strict=True) if not label})


def _fold(train: FeatureStore, dev: FeatureStore, attacks: Sequence[str]) -> Fold:
    known = _attacks(dev)
    for name in attacks:
        if name not in known:
            there = f"there are {', '.join(known)}{did_you_mean(name, known)}"
            raise InputError(f"search.validation: attacks: dev has no attack {name!r}; {there}")
    kept = np.flatnonzero(~np.isin(train.attack_ids, attacks) | (train.labels == 1))
    if not (train.labels[kept] == 0).any():
        raise InputError("search.validation: without these attacks train has no spoofed speech left")
    return Fold(kept, np.flatnonzero(np.isin(dev.attack_ids, attacks) | (dev.labels == 1)))
