"""Training that is judged by folds: further trainings, each validated on attacks, speakers or corpora it leaves out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from core.config import Experiment
from core.errors import InputError
from core.evaluation.folds import Fold
from core.evaluation.judgement import judgement
from core.evaluation.objectives import OBJECTIVES
from core.evaluation.tandem import AsvErrorRates
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
    asv: Mapping[str, AsvErrorRates] | None = None,
    resume: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Trains an experiment like `core.training.fit.fit`, but selects the best epoch by folds.

    One training uses all of train. In step with it, one further training per fold uses the fold's part of train. An
    epoch is judged by the mean over the folds, and the detector of all of train is kept. So every fold costs one
    further training.

    Args:
        experiment: Experiment to train.
        train: Features of the training partition.
        dev: Features of dev.
        folds: Folds, at least one.
        report: Function as in `fit`. The metrics include, besides those of the detector on dev, `fold_eer`, `fold_auc`
            and so on (means over the folds of the metrics of OBJECTIVES) and `worst_fold_eer`.
        device: Device that computes.
        objective: Key of OBJECTIVES; its mean over the folds selects the best epoch.
        asv: Error rates of the ASV by partition, without which there is no min t-DCF.
        resume: Earlier state of the same experiment and folds, as `report` received it; None = start at epoch 1.

    Returns:
        The state after the last epoch, as in `fit`, with the states of all trainings.

    Raises:
        InputError: As in `fit`, or `resume` has another number of folds.
        TrainingDiverged: As in `fit`.
    """
    partitions = {"train": train, "dev": dev}
    stores = [
        (train, dev, "dev"),
        *(
            (train.subset(fold.train), partitions[fold.partition].subset(fold.validation), fold.partition)
            for fold in folds
        ),
    ]
    parts: list[Any] = [None] * len(stores) if resume is None else resume.get("parts", [])
    if len(parts) != len(stores):
        raise InputError("the checkpoint to resume from was judged by other folds")
    best = BestEpoch(resume["best"] if resume else None)
    state = resume or {}
    trainings = [
        epochs(
            experiment,
            training,
            validation,
            device=device,
            objective=objective,
            asv=(asv or {}).get(partition),
            resume=part,
        )
        for (training, validation, partition), part in zip(stores, parts, strict=True)
    ]
    for whole, *left_out in zip(*trainings, strict=True):
        measured, state = dict(whole[0]), whole[1]
        if objective in measured:
            judged = {
                metric.folded: float(np.mean([measures[metric.name] for measures, _ in left_out]))
                for metric in OBJECTIVES.values()
                if all(metric.name in measures for measures, _ in left_out)
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
