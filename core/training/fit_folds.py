"""Training that is judged by folds: attacks, speakers or corpora that further trainings leave out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from core.config import Experiment
from core.errors import InputError
from core.evaluation.folds import Fold
from core.evaluation.judgement import judgement
from core.evaluation.objectives import OBJECTIVES
from core.stores.store import FeatureStore
from core.training.best_epoch import BestEpoch
from core.training.fit import Report, epochs


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
    """As `core.training.fit.fit`, with the best epoch chosen by attacks that were left out.

    The detector is trained on all of train and, epoch by epoch beside it, once more for each fold without the fold's
    attacks; the mean over the folds judges the epoch, and what is kept as best is the detector of all of train. So a
    trial costs one training more for each fold.

    Args:
        experiment: What to train.
        train: Features of the training partition.
        dev: Features of dev.
        folds: At least one.
        report: As of `fit`. The metrics hold, besides those of the detector on dev, `fold_eer`, `fold_auc` and
            so on (means over the folds of the metrics of OBJECTIVES) and `worst_fold_eer`.
        device: Where to compute.
        objective: Key of OBJECTIVES; its counterpart over the folds is what counts.
        resume: A state that `report` was given, of the same experiment and folds.

    Raises:
        InputError: as of `fit`, or `resume` has another number of folds.
        TrainingDiverged: as of `fit`.
    """
    of = {"train": train, "dev": dev}
    stores = [
        (train, dev),
        *((train.subset(fold.train), of[fold.partition].subset(fold.validation)) for fold in folds),
    ]
    parts: list[Any] = [None] * len(stores) if resume is None else resume.get("parts", [])
    if len(parts) != len(stores):
        raise InputError("the checkpoint to resume from was judged by other folds")
    best = BestEpoch(resume["best"] if resume else None)
    state = resume or {}
    trainings = [
        epochs(experiment, first, second, device=device, objective=objective, resume=part)
        for (first, second), part in zip(stores, parts, strict=True)
    ]
    for whole, *left_out in zip(*trainings, strict=True):
        measured, state = dict(whole[0]), whole[1]
        if objective in measured:
            judged = {
                metric.folded: float(np.mean([measures[metric.name] for measures, _ in left_out]))
                for metric in OBJECTIVES.values()
            }
            judged["worst_fold_eer"] = max(measures["dev_eer"] for measures, _ in left_out)
            measured |= judged
            rank = (judgement(objective, judged, "fold_"), judged["fold_loss"])
            weights = state.get("averaged", state["detector"])
            best.offer(rank, epoch=state["epoch"], metrics=measured, weights=weights)
        measured.pop("objective", None)
        measured |= best.objective()
        state = {**state, "best": best.kept, "parts": [part for _, part in (whole, *left_out)]}
        report(measured, state)
    return state
