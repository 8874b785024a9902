"""The state after each epoch of a training: it resumes the training and includes the best detector."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from core.config import Experiment, experiment_to_plain
from core.evaluation.judgement import judgement
from core.evaluation.tandem import AsvErrorRates
from core.training.best_epoch import BestEpoch, copied

Epochs = Iterator[tuple[dict[str, float], dict[str, Any]]]
"""Metrics and state after each epoch."""


class FitState:
    """The best epoch so far and the snapshots: the parts of a state besides the detector in training.

    Attributes:
        best: The best epoch so far, by `judgement` and then by the loss on dev.
        asv: Error rates of the ASV on dev; None = unknown.
        snapshots: Number of an epoch of `Experiment.snapshot_epochs` -> tensors of the detector after this epoch.
    """

    def __init__(
        self,
        experiment: Experiment,
        n_features: int,
        layers: tuple[int, ...],
        objective: str,
        resume: dict[str, Any] | None,
        asv: AsvErrorRates | None = None,
    ) -> None:
        self.experiment, self.n_features, self.layers = experiment, n_features, layers
        self.objective, self.asv = objective, asv
        self.best = BestEpoch(resume["best"] if resume else None)
        self.snapshots: dict[str, Any] = resume["snapshots"] if resume else {}

    def judged(self, epoch: int) -> bool:
        """Whether an epoch is evaluated: every `evaluate_every`-th epoch, and the last one."""
        return epoch % self.experiment.evaluate_every == 0 or epoch == self.experiment.epochs

    def state(self, measured: dict[str, float], detector: nn.Module) -> dict[str, Any]:
        """The state after an epoch, without the optimiser; adds `objective` to the metrics of the epoch.

        Args:
            measured: Metrics of the epoch; changed in place.
            detector: Detector that the metrics belong to.
        """
        epoch = int(measured["epoch"])
        if self.objective in measured:
            rank = (judgement(self.objective, measured), measured["dev_loss"])
            self.best.offer(rank, epoch=epoch, metrics=measured, weights=detector.state_dict())
        measured.update(self.best.objective())
        if epoch in self.experiment.snapshot_epochs:
            self.snapshots = {**self.snapshots, str(epoch): copied(detector.state_dict())}
        return {
            "experiment": experiment_to_plain(self.experiment),
            "n_features": self.n_features,
            "layers": list(self.layers),
            "epoch": epoch,
            "detector": detector.state_dict(),
            "best": self.best.kept,
            "snapshots": self.snapshots,
        }
