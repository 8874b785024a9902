"""Detectors, from features to CM scores: backbone and classifier, or Gaussian mixtures."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core import table
from core.backbones import BACKBONES
from core.classifiers import CLASSIFIERS
from core.config import Experiment
from core.gmm import GmmDetector
from core.heads import HEADS
from core.stores.store import FeatureStore, InputOptions, window_starts


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

    def score_utterance(self, features: Tensor) -> float:
        """CM score of the features `(n_features, n_frames)` of a whole utterance, as if they came from the store."""
        n_frames = self.options.n_frames
        spare = np.array([max(features.shape[1] - n_frames, 0)])
        starts = [int(window_starts(spare, position)[0]) for position in self.options.positions()]
        windows = [features[:, (start + np.arange(n_frames)) % features.shape[1]] for start in starts]
        return float(self.classifier(self.embed(torch.stack(windows)).mean(dim=0, keepdim=True))[0])

    def score_store(self, store: FeatureStore, *, device: torch.device | str = "cpu") -> NDArray[np.float64]:
        """CM scores `(n_utterances,)` of a store."""
        with torch.inference_mode():
            scores: Tensor = self.classifier(embed_store(self, store, device=device))
        return cast("NDArray[np.float64]", scores.double().cpu().numpy())


def build_detector(experiment: Experiment, n_features: int) -> Detector | GmmDetector:
    """An untrained detector of an experiment, with weights from torch's global generator.

    Raises:
        InputError: the backbone or classifier refuses its options or the input size.
    """
    if experiment.mode == "gmm":
        return GmmDetector(experiment.gmm, n_features, experiment.input)
    return build_network(experiment, n_features)


def build_network(experiment: Experiment, n_features: int) -> Detector:
    """As `build_detector`, of an experiment that trains a network."""
    context = (n_features, experiment.input.n_frames)
    backbone = table.build("backbone", BACKBONES, experiment.backbone, *context)
    if experiment.mode == "original":
        classifier: nn.Module = table.build("head", HEADS, experiment.head, backbone.embedding_dim, 2)
    else:
        classifier = table.build("classifier", CLASSIFIERS, experiment.classifier, backbone.embedding_dim)
    detector = Detector(backbone, classifier, experiment.input)
    if _in_whole_blocks(detector):
        detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return detector


def _in_whole_blocks(network: nn.Module) -> bool:
    """Whether the weights may lie channels last, which takes a quarter off a training step on a CPU.

    Not where a convolution has channels that fill no whole block of 16: for such remainders the CPU's kernels were seen
    to write past their buffers (4 channels, torch 2.11).
    """
    sides = [(each.in_channels, each.out_channels) for each in network.modules() if isinstance(each, nn.Conv2d)]
    return all((entering == 1 or entering % 16 == 0) and leaving % 16 == 0 for entering, leaving in sides)


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


def score_store(
    detector: Detector | GmmDetector, store: FeatureStore, *, device: torch.device | str = "cpu"
) -> NDArray[np.float64]:
    """CM scores `(n_utterances,)` of a store, higher = more bona fide."""
    return detector.eval().score_store(store, device=device)
