"""Detectors: features -> CM scores. A detector is a backbone with a classifier, or two Gaussian mixtures."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core import table
from core.backbones import ANY_LENGTH, BACKBONES, ENCODER_BACKBONES, LAYERED_BACKBONES
from core.backbones.layer_mix import LayerMix
from core.classifiers import CLASSIFIERS
from core.config import Experiment
from core.errors import InputError, Problem
from core.gmm import GmmDetector
from core.heads import HEADS
from core.stores.inputs import InputOptions, check_layer, n_layers_read, read_layers, window_starts
from core.stores.store import FeatureStore

WHOLE_FRAMES = 25_600
"""Maximum number of frames in a batch of whole utterances, which bounds its memory. A longer utterance is alone."""


class Detector(nn.Module):
    """A countermeasure: features `(batch, n_features, n_frames)` -> CM scores `(batch,)`, higher = more bona fide.

    With `InputOptions.layer` `mix` or `all`, the features are `(batch, n_layers * n_features, n_frames)`: see
    `FeatureStore.reading`.

    Attributes:
        mix: The learned mix of layers; the identity for any other `InputOptions.layer`.
        layers: Indices of the layers of the front end; empty: it has no layers to choose from.
    """

    def __init__(
        self, backbone: nn.Module, classifier: nn.Module, options: InputOptions, layers: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.options = options
        self.layers = tuple(layers)
        mixed = options.layer == "mix"
        self.mix = LayerMix(len(layers), normalize=options.layer_norm) if mixed else nn.Identity()

    def inputs(self, features: Tensor) -> Tensor:
        """Inputs of the backbone, from stored features `(batch, n_features, n_frames)`: mixed, then normalised."""
        return normalized(self.mix(features), self.options)

    def embed(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of stored features `(batch, n_features, n_frames)`."""
        return cast(Tensor, self.backbone(self.inputs(features)).float())

    def forward(self, features: Tensor) -> Tensor:
        """CM scores `(batch,)` of stored features `(batch, n_features, n_frames)`."""
        return cast(Tensor, self.classifier(self.embed(features)))

    def layer_weights(self) -> dict[int, float]:
        """Index of a layer -> its weight in the learned mix; empty if there is no mix."""
        if not isinstance(self.mix, LayerMix):
            return {}
        return dict(zip(self.layers, self.mix.weights().tolist(), strict=True))

    def windows(self, features: Tensor) -> Tensor:
        """Scored windows of utterances of one length, `(batch, n_windows, n_features, n_frames)`, as a store has them.

        Args:
            features: Features `(batch, n_features, n_frames)` of whole utterances, of all layers of the front end, in
                float32; they are rounded to float16 as in a store. Repeated if shorter than a window.

        Returns:
            The windows, one for each of `InputOptions.positions`, or the only one if all of them are the same.
        """
        features = read_layers(features, self.options.layer, self.layers)
        length = features.shape[-1]
        n_frames = self.options.scored_frames(length)
        spare = np.array([max(length - n_frames, 0)])
        starts = [int(window_starts(spare, position)[0]) for position in self.options.positions()]
        if not spare[0]:
            starts = starts[:1]
        windows = [features[..., (start + np.arange(n_frames)) % length] for start in starts]
        return torch.stack(windows, dim=1)

    def embed_windows(self, windows: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of utterances: means over their `windows`; the same as from a store."""
        embeddings: Tensor = self.embed(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
        # The mean of equal numbers may differ from them in the last bit, so it is taken as for a store.
        return embeddings.expand(-1, max(len(self.options.positions()), windows.shape[1]), -1).mean(dim=1)

    def score_windows(self, windows: Tensor) -> Tensor:
        """CM scores `(batch,)` of utterances, from all of their `windows`; the same as from a store."""
        return cast(Tensor, self.classifier(self.embed_windows(windows)))

    def score_utterance(self, features: Tensor) -> float:
        """CM score of the features `(n_features, n_frames)` of one whole utterance; see `windows`."""
        return float(self.score_windows(self.windows(features[None]))[0])

    def score_store(self, store: FeatureStore, *, device: torch.device | str = "cpu") -> NDArray[np.float64]:
        """CM scores `(n_utterances,)` of all utterances of a store; higher = more bona fide."""
        with torch.inference_mode():
            scores: Tensor = self.classifier(embed_store(self, store, device=device))
        return cast("NDArray[np.float64]", scores.double().cpu().numpy())


def build_detector(experiment: Experiment, n_features: int, layers: Sequence[int] = ()) -> Detector | GmmDetector:
    """Untrained detector of an experiment, with weights from torch's global generator.

    Args:
        experiment: The experiment.
        n_features: Features per frame of one layer.
        layers: Indices of the layers of the front end; empty: it has no layers to choose from.

    Raises:
        InputError: The backbone or the classifier refuses its options or the size of the input, or the front end does
            not have the layer of the input.
    """
    if experiment.mode == "gmm":
        check_layer(experiment.input.layer, layers, f"front end {experiment.front_end.name}")
        return GmmDetector(experiment.gmm, n_features, experiment.input, layers)
    return build_network(experiment, n_features, layers)


def build_network(experiment: Experiment, n_features: int, layers: Sequence[int] = ()) -> Detector:
    """As `build_detector`, for an experiment whose mode is not `gmm`."""
    _check_length(experiment)
    layer = experiment.input.layer
    check_layer(layer, layers, f"front end {experiment.front_end.name}")
    context: tuple[Any, ...] = (n_features, experiment.input.n_frames)
    if experiment.backbone.name in LAYERED_BACKBONES:
        context = (*context, n_layers_read(layer, layers) if layer == "all" else 1)
    if experiment.backbone.name in ENCODER_BACKBONES:
        context = (*context, *_encoder(experiment))
    backbone = table.build("backbone", BACKBONES, experiment.backbone, *context)
    trained = layer == "mix" or any(parameter.requires_grad for parameter in backbone.parameters())
    if experiment.mode == "siamese" and not trained:
        text = f"{experiment.backbone.name} has no parameters to train in siamese mode; use mode: classifier"
        raise InputError(Problem(("backbone",), f"backbone: {text}"))
    if experiment.mode == "original":
        classifier: nn.Module = table.build("head", HEADS, experiment.head, backbone.embedding_dim, 2)
    else:
        classifier = table.build("classifier", CLASSIFIERS, experiment.classifier, backbone.embedding_dim)
    detector = Detector(backbone, classifier, experiment.input, layers)
    if _in_whole_blocks(detector):
        detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return detector


def _encoder(experiment: Experiment) -> tuple[str, str | None]:
    """Model and revision of the encoder that the backbone trains."""
    model, revision = (experiment.front_end.options.get(option) for option in ("model", "revision"))
    if experiment.front_end.name != "waveform" or not isinstance(model, str):
        name = experiment.backbone.name
        text = f"backbone {name} needs front_end: {{name: waveform, model: MODEL}}, which names the encoder to train"
        raise InputError(Problem(("front_end",), f"front_end: {text}"))
    return model, revision


def _check_length(experiment: Experiment) -> None:
    if experiment.input.score_windows == "whole" and experiment.backbone.name not in ANY_LENGTH:
        valid = ", ".join(name for name in BACKBONES if name in ANY_LENGTH)
        text = (
            f"score_windows is whole, but backbone {experiment.backbone.name} has inputs of one length; valid: {valid}"
        )
        raise InputError(Problem(("input", "score_windows"), f"input: {text}"))


def _in_whole_blocks(network: nn.Module) -> bool:
    """Whether all convolutions have channels in whole blocks of 16, so that the channels-last format is safe.

    This format shortens a training step on a CPU by a quarter. With incomplete blocks, torch's CPU kernels have been
    observed to write past their buffers (4 channels, torch 2.11).
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    return all(
        (convolution.in_channels == 1 or convolution.in_channels % 16 == 0) and convolution.out_channels % 16 == 0
        for convolution in convolutions
    )


class _WithoutDraws(TorchFunctionMode):
    """Leaves tensors as they are instead of filling them with random numbers."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_):
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))


def check_detector(experiment: Experiment, n_features: int, layers: Sequence[int] = ()) -> int:
    """Number of weights of a detector, which is built without memory and initial weights to see whether it can be.

    Random numbers on the meta device would load PyTorch's compiler, which takes as long as loading PyTorch.

    Args:
        experiment: What would be trained.
        n_features: Features per frame of one layer.
        layers: Indices of the layers of the front end.

    Raises:
        InputError: The detector cannot be built.
    """
    with torch.device("meta"), _WithoutDraws():
        built = build_detector(experiment, n_features, layers)
    return sum(tensor.numel() for tensor in built.state_dict().values())


def normalized(features: Tensor, options: InputOptions) -> Tensor:
    """Features `(batch, n_features, n_frames)` in float32, normalised over the frames of each window.

    Args:
        features: Stored features `(batch, n_features, n_frames)`.
        options: Input options. `normalize` is `none`; `mean`: the mean of every feature is subtracted; or
            `mean_variance`: the result is also divided by the standard deviation.
    """
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
    """Embeddings `(n_utterances, embedding_dim)` of a store, on `device`.

    The embedding of an utterance is the mean over its windows (see `InputOptions.score_windows`). The detector is left
    in evaluation mode.

    Args:
        detector: The detector, on `device`.
        store: The store.
        batch_size: Utterances per batch; of several layers fewer.
        device: Device of the computation.
    """
    detector.eval()
    store = store.reading(detector.options.layer)
    batch_size = max(1, batch_size // n_layers_read(detector.options.layer, detector.layers))  # bounds the memory
    positions = detector.options.positions()
    order, parts = [], []
    for indices, n_frames in _batches(store, detector.options, batch_size):
        windows = (store.windows(indices, n_frames, position=position) for position in positions)
        parts.append(torch.stack([detector.embed(window.to(device)) for window in windows]).mean(dim=0))
        order.append(indices)
    return torch.cat(parts)[torch.from_numpy(np.argsort(np.concatenate(order))).to(device)]


def _batches(store: FeatureStore, options: InputOptions, batch_size: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Yields indices of utterances whose scored windows have one length, and that length in frames.

    All windows of a batch have the same length, so an utterance has the same score alone and in a batch. Whole
    utterances are batched with others of their length; `WHOLE_FRAMES` bounds the frames of such a batch.
    """
    lengths = np.array([options.scored_frames(n) for n in store.n_frames.tolist()])
    for n_frames in np.unique(lengths).tolist():
        indices = np.flatnonzero(lengths == n_frames)
        size = min(batch_size, max(1, WHOLE_FRAMES // n_frames)) if options.score_windows == "whole" else batch_size
        for begin in range(0, len(indices), size):
            yield indices[begin : begin + size], n_frames


def score_store(
    detector: Detector | GmmDetector, store: FeatureStore, *, device: torch.device | str = "cpu"
) -> NDArray[np.float64]:
    """CM scores `(n_utterances,)` of all utterances of a store; higher = more bona fide.

    The detector is left in evaluation mode.
    """
    return detector.eval().score_store(store, device=device)
