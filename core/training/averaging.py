"""Checkpoint averaging: the mean of a network's weights over the last epochs, often better than the last weights."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from core.detector import Detector


class RecentWeights:
    """The weights after each of the last epochs, and their mean: checkpoint averaging (Vaswani et al. 2017, 6.1).

    Vaswani et al. ("Attention is all you need") average the last checkpoints of a training in the same way. Stochastic
    weight averaging (Izmailov et al. 2018) differs: it continues with a cyclic or constant learning rate.

    Running statistics of batch norm are averaged like the weights and not computed again. Neighbouring epochs have
    similar statistics, and the mean needs no pass over train.
    """

    def __init__(self, n_epochs: int, kept: Sequence[Mapping[str, Tensor]] = ()) -> None:
        """Starts with the weights that an earlier part of the training kept.

        Args:
            n_epochs: Number of epochs to average, at least 1; 1 = no averaging, and no weights are kept.
            kept: Weights from the state of a resumed training, oldest first.
        """
        self.n_epochs = n_epochs
        self.kept: list[Mapping[str, Tensor]] = list(kept)

    def add(self, detector: Detector) -> None:
        """Keeps the weights after an epoch and drops those that are older than the last `n_epochs`."""
        if self.n_epochs > 1:
            weights = {name: value.detach().clone() for name, value in detector.state_dict().items()}
            self.kept = [*self.kept, weights][-self.n_epochs :]

    def averaged(self, detector: Detector) -> Detector:
        """A copy of the detector with the mean of the kept weights; the detector itself if none are kept.

        Integer tensors, such as counters, are not averaged: they are those of the detector.
        """
        if not self.kept:
            return detector
        own = detector.state_dict()
        mean = {
            name: torch.stack([weights[name].to(value.device) for weights in self.kept]).mean(dim=0)
            if value.is_floating_point()
            else value
            for name, value in own.items()
        }
        averaged = copy.deepcopy(detector)
        averaged.load_state_dict(mean)
        return averaged

    def state(self, judged: Detector, detector: Detector) -> dict[str, Any]:
        """Entries of a resume state: `recent`, the kept weights, and `averaged`, their mean; empty without averaging.

        Args:
            judged: Detector that was evaluated. `averaged` is absent if it is `detector`.
            detector: Detector in training.
        """
        state: dict[str, Any] = {"recent": list(self.kept)} if self.kept else {}
        if judged is not detector:
            state["averaged"] = judged.state_dict()
        return state
