"""One step of each way to train a network: a minibatch in, its loss out."""

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
"""Features `(batch, n_features, n_frames)`, targets `(batch,)` on the host and a generator -> `loss`, and what else
TensorBoard shows."""


class Objective(NamedTuple):
    """What a mode of training optimises.

    Attributes:
        step: The loss of a minibatch.
        targets: What each training utterance is to be taken for, `(n_utterances,)`.
        trained: Holds the parameters that the optimiser moves.
        extra: Modules that training needs and the detector has not; they belong to the resume state.
    """

    step: Step
    targets: NDArray[np.int64]
    trained: nn.Module
    extra: nn.Module


def build_objective(experiment: Experiment, detector: Detector, train: FeatureStore, device: torch.device) -> Objective:
    """The objective of an experiment's mode. New weights come from torch's global generator."""
    if experiment.mode == "siamese":
        return Objective(_siamese(experiment, detector), train.labels, detector.backbone, nn.Identity())
    if experiment.mode == "original":
        return Objective(_classification(detector, detector.classifier), train.labels, detector, nn.Identity())
    attacks = attack_numbers(train)
    # Bona fide is class 1 of a head, whatever the number of attacks: they have 0, 2, 3, ...
    classes = np.where(attacks == 0, BONA_FIDE, np.where(attacks == 1, 0, attacks))
    embedding_dim: Any = detector.backbone.embedding_dim
    head = table.build("head", HEADS, experiment.head, embedding_dim, int(attacks.max()) + 1).to(device)
    trained = nn.ModuleList([detector.backbone, head])
    return Objective(_classification(detector, head), classes, trained, head)


def attack_numbers(store: FeatureStore) -> NDArray[np.int64]:
    """For each utterance 0 (bona fide) or the number, from 1, of its attack in alphabetical order."""
    names = sorted({name for name, label in zip(store.attack_ids, store.labels, strict=True) if not label})
    numbers = {name: number for number, name in enumerate(names, start=1)}
    return np.array([0 if label else numbers[name] for name, label in zip(store.attack_ids, store.labels, strict=True)])


def _siamese(experiment: Experiment, detector: Detector) -> Step:
    """The loss on pairs of the minibatch's embeddings (paper, section 3.1)."""
    sampler = table.build("pairs", PAIR_SAMPLERS, experiment.pairs)
    siamese = Siamese(_Normalized(detector), sampler, table.build("loss", LOSSES, experiment.loss))

    def step(features: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        output: SiameseOutput = siamese(features, labels.to(features.device, non_blocking=True), generator)
        return output._asdict()

    return step


def _classification(detector: Detector, head: nn.Module) -> Step:
    """The loss of a head of HEADS on the minibatch's embeddings (paper, table 2, "original")."""
    loss: Any = head.loss

    def step(features: Tensor, classes: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        embeddings = detector.embed(features)
        with torch.autocast(embeddings.device.type, enabled=False):  # cosines and margins in half precision are noise
            return {"loss": loss(embeddings, classes.to(features.device, non_blocking=True))}

    return step


class _Normalized(nn.Module):
    """The detector's way from stored features to an embedding, as the Siamese network's shared backbone."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, features: Tensor) -> Tensor:
        return self.detector.embed(features)
