"""Training modes: the targets of an experiment's mode, the modules that it trains, and the loss of a minibatch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core import table
from core.config import Experiment
from core.detector import Detector
from core.heads import BONA_FIDE, HEADS
from core.siamese.losses import LOSSES
from core.siamese.network import Siamese, SiameseOutput
from core.siamese.pairs import PAIR_SAMPLERS
from core.stores.store import FeatureStore

Step = Callable[[Tensor, Tensor, torch.Generator], dict[str, Tensor]]
"""Function of features `(batch, n_features, n_frames)`, targets `(batch,)` on the CPU, and a generator. It returns the
scalar `loss` and further scalars that TensorBoard shows."""


class Objective(NamedTuple):
    """The training objective of a mode.

    Attributes:
        step: Loss of a minibatch.
        targets: Target of every training utterance, `(n_utterances,)`: its label, or its class for a head.
        trained: Module that holds the parameters to optimise.
        extra: Module that only training needs, which is not part of the detector; it belongs to the resume state.
        chance: Loss of an embedding that carries no information; None: the mode has no loss on embeddings.
    """

    step: Step
    targets: NDArray[np.int64]
    trained: nn.Module
    extra: nn.Module
    chance: float | None = None


def build_objective(experiment: Experiment, detector: Detector, train: FeatureStore, device: torch.device) -> Objective:
    """Training objective of an experiment's mode: siamese, original or multiclass.

    New weights come from torch's global generator.

    Args:
        experiment: The experiment.
        detector: Detector to train.
        train: Store of the training utterances.
        device: Device of the modules that only training needs.
    """
    if experiment.mode == "siamese":
        loss: Any = table.build("loss", LOSSES, experiment.loss)
        chance = loss.chance(experiment.batch_size)
        step = _siamese(experiment, detector, loss)
        return Objective(step, train.labels, nn.ModuleList([detector.mix, detector.backbone]), nn.Identity(), chance)
    if experiment.mode == "original":
        return Objective(_classification(detector, detector.classifier), train.labels, detector, nn.Identity())
    attacks = attack_numbers(train)
    # In a head, bona fide speech is class 1 and the attacks are classes 0, 2, 3, ...
    classes = np.where(attacks == 0, BONA_FIDE, np.where(attacks == 1, 0, attacks))
    embedding_dim: Any = detector.backbone.embedding_dim
    head = table.build("head", HEADS, experiment.head, embedding_dim, int(attacks.max()) + 1).to(device)
    trained = nn.ModuleList([detector.mix, detector.backbone, head])
    return Objective(_classification(detector, head), classes, trained, head)


def attack_numbers(store: FeatureStore) -> NDArray[np.int64]:
    """Attack number of every utterance, `(n_utterances,)`: 0 for bona fide, from 1 for attacks sorted by their id."""
    names = sorted({name for name, label in zip(store.attack_ids, store.labels, strict=True) if not label})
    numbers = {name: number for number, name in enumerate(names, start=1)}
    return np.array([0 if label else numbers[name] for name, label in zip(store.attack_ids, store.labels, strict=True)])


def _siamese(experiment: Experiment, detector: Detector, loss: nn.Module) -> Step:
    """Step of siamese mode: the loss on pairs of the minibatch's embeddings (paper, section 3.1)."""
    sampler = table.build("pairs", PAIR_SAMPLERS, experiment.pairs)
    siamese = Siamese(_Normalized(detector), sampler, loss)

    def step(features: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        output: SiameseOutput = siamese(features, labels.to(features.device, non_blocking=True), generator)
        return output._asdict()

    return step


def _classification(detector: Detector, head: nn.Module) -> Step:
    """Step of original and multiclass mode: the loss of a head of HEADS (paper, table 2, "original")."""
    loss: Any = head.loss

    def step(features: Tensor, classes: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        embeddings = detector.embed(features)
        with torch.autocast(embeddings.device.type, enabled=False):  # half precision is too coarse for the margins
            return {"loss": loss(embeddings, classes.to(features.device, non_blocking=True))}

    return step


class _Normalized(nn.Module):
    """The Siamese network's shared backbone: the detector's computation from stored features to an embedding."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, features: Tensor) -> Tensor:
        return self.detector.embed(features)
