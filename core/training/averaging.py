"""The mean of a network's weights over its last epochs, which is often steadier than the last weights alone."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from core.detector import Detector


class RecentWeights:
    """The weights after each of the last epochs, for their mean: checkpoint averaging (Vaswani et al. 2017, 6.1).

    Vaswani et al. ("Attention is all you need") average the last checkpoints of a training in the same way. Stochastic
    weight averaging (Izmailov et al. 2018) is something else: it goes on with a cyclic or constant learning rate.

    Running statistics of batch norm are averaged with the rest, and not computed anew: the epochs are neighbours, so
    that their statistics are close, and the mean costs no pass over train.
    """

    def __init__(self, n_epochs: int, kept: Sequence[Mapping[str, Tensor]] = ()) -> None:
        """Weights of the last epochs of a training.

        Args:
            n_epochs: How many, at least 1; 1 = the last ones alone, and nothing is kept.
            kept: Those that an earlier part of the training left, oldest first.
        """
        self.n_epochs = n_epochs
        self.kept: list[Mapping[str, Tensor]] = list(kept)

    def add(self, detector: Detector) -> None:
        """Takes the weights after an epoch and forgets those that are too old."""
        if self.n_epochs > 1:
            weights = {name: value.detach().clone() for name, value in detector.state_dict().items()}
            self.kept = [*self.kept, weights][-self.n_epochs :]

    def averaged(self, detector: Detector) -> Detector:
        """A copy of the detector with the mean of the weights that are kept; itself where none are.

        What is no floating-point number (counters) is the detector's own.
        """
        if not self.kept:
            return detector
        own = detector.state_dict()
        mean = {
            name: torch.stack([each[name].to(value.device) for each in self.kept]).mean(dim=0)
            if value.is_floating_point()
            else value
            for name, value in own.items()
        }
        twin = copy.deepcopy(detector)
        twin.load_state_dict(mean)
        return twin

    def state(self, judged: Detector, detector: Detector) -> dict[str, Any]:
        """What a resume state needs, and the mean where it was judged; empty where nothing is averaged."""
        found: dict[str, Any] = {"recent": list(self.kept)} if self.kept else {}
        if judged is not detector:
            found["averaged"] = judged.state_dict()
        return found
