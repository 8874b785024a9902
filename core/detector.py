"""A detector: backbone and classifier, from features to CM scores."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core import table
from core.backbones import BACKBONES
from core.classifier import CLASSIFIERS
from core.config import Experiment, InputOptions
from core.features.store import FeatureStore


class LinearHead(nn.Linear):
    """The two-class layer that ends the original network (paper, table 2)."""

    def __init__(self, embedding_dim: int) -> None:
        super().__init__(embedding_dim, 2)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Logits `(batch, 2)` of spoof and bona fide, for embeddings `(batch, embedding_dim)`."""
        return super().forward(embeddings)

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(batch,)`: the log odds of bona fide."""
        logits = self.logits(embeddings)
        return logits[:, 1] - logits[:, 0]


class Detector(nn.Module):
    """A countermeasure: features `(batch, n_features, n_frames)` -> CM scores `(batch,)`, higher = more bona fide."""

    def __init__(self, backbone: nn.Module, classifier: nn.Module, options: InputOptions) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.options = options

    def embed(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features as the store holds them."""
        return cast(Tensor, self.backbone(normalized(features, self.options)).float())

    def forward(self, features: Tensor) -> Tensor:
        """CM scores of features as the store holds them."""
        return cast(Tensor, self.classifier(self.embed(features)))


def build_detector(experiment: Experiment, n_features: int) -> Detector:
    """An untrained detector of an experiment, with weights from torch's global generator.

    Raises:
        InputError: the backbone or classifier refuses its options or the input size.
    """
    context = (n_features, experiment.input.n_frames)
    backbone = table.build("backbone", BACKBONES, experiment.backbone, *context)
    if experiment.mode == "original":
        classifier: nn.Module = LinearHead(backbone.embedding_dim)
    else:
        classifier = table.build("classifier", CLASSIFIERS, experiment.classifier, backbone.embedding_dim)
    return Detector(backbone, classifier, experiment.input)


def normalized(features: Tensor, options: InputOptions) -> Tensor:
    """Features `(batch, n_features, n_frames)` in float32, less what `options.normalize` takes out of each window."""
    features = features.float()
    if options.normalize == "none":
        return features
    features = features - features.mean(dim=-1, keepdim=True)
    if options.normalize == "mean_variance":
        features = features / features.std(dim=-1, keepdim=True, correction=0).clamp_min(1e-5)
    return features


@torch.inference_mode()
def embed_store(
    detector: Detector, store: FeatureStore, *, batch_size: int = 64, device: torch.device | str = "cpu"
) -> Tensor:
    """Embeddings `(n_utterances, embedding_dim)`, on `device`: the mean over the windows that `InputOptions` names.

    The detector is put into evaluation mode and left there.
    """
    detector.eval()
    # Batches of one length whatever the rest: an utterance scores the same alone as among others.
    batches = np.array_split(np.arange(len(store)), range(batch_size, len(store), batch_size))
    positions = detector.options.positions()
    parts = []
    for indices in batches:
        windows = (store.windows(indices, detector.options.n_frames, position=each) for each in positions)
        parts.append(torch.stack([detector.embed(each.to(device)) for each in windows]).mean(dim=0))
    return torch.cat(parts)


@torch.inference_mode()
def score_store(
    detector: Detector, store: FeatureStore, *, batch_size: int = 64, device: torch.device | str = "cpu"
) -> NDArray[np.float64]:
    """CM scores `(n_utterances,)` of a store, higher = more bona fide."""
    embeddings = embed_store(detector, store, batch_size=batch_size, device=device)
    return cast("NDArray[np.float64]", detector.classifier(embeddings).double().cpu().numpy())
