"""How stored features become one backbone input: which layers are read, which windows, and how they are normalised."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.errors import InputError, Problem

Layer = int | Literal["mean", "mix", "all"]
"""What is read of a store with several layers of a front end; see `InputOptions.layer`."""


@dataclass(frozen=True)
class InputOptions:
    """How the features of an utterance become one backbone input.

    Attributes:
        n_frames: Frames of every input. Training takes a random crop; a shorter utterance is repeated.
        score_windows: Number of windows of an utterance whose embeddings are averaged outside training, spread evenly
            from the first to the last window; 1 = only the first. `whole`: one window, which is the whole utterance
            whatever its length; only for the backbones of `core.backbones.ANY_LENGTH`. Training takes crops all the
            same, and the classifier is fitted on the embeddings of whole utterances.
        normalize: Normalisation of every window, per feature: `none`, zero mean (`mean`), or zero mean and unit
            variance (`mean_variance`).
        layer: What is read of the layers that the front end returns: the index of one layer; `mean`, their mean; `mix`,
            their sum with weights that are learned with the detector (SUPERB, Yang 2021); or `all`, for backbones that
            take layers. All of them read the same feature store. A front end without layers has `mean`.
        layer_norm: Whether `mix` first normalises every frame of every layer to zero mean and unit variance over its
            features, so that layers of large values do not outweigh the others (the option `normalize` of s3prl).
    """

    n_frames: int = 400
    score_windows: int | Literal["whole"] = 1
    normalize: Literal["none", "mean", "mean_variance"] = "none"
    layer: Layer = "mean"
    layer_norm: bool = False

    def __post_init__(self) -> None:
        for name in ("n_frames", "score_windows"):
            value = getattr(self, name)
            if value != "whole" and value < 1:
                raise ValueError(f"input: {name} is {value}; it must be at least 1")
        if isinstance(self.layer, int) and self.layer < 0:
            raise ValueError(f"input: layer is {self.layer}; it must be at least 0")

    def positions(self) -> tuple[float, ...]:
        """Positions of the scored windows, from 0 (the first window) to 1 (the last)."""
        if self.score_windows == "whole":
            return (0.0,)
        return tuple(k / max(self.score_windows - 1, 1) for k in range(self.score_windows))

    def scored_frames(self, n_frames: int) -> int:
        """Frames of a scored window of an utterance of `n_frames` frames."""
        return n_frames if self.score_windows == "whole" else self.n_frames


def window_starts(spare: NDArray[np.int64], position: float) -> NDArray[np.int64]:
    """First frames of windows.

    Args:
        spare: Frames of each utterance that are outside its window, `(n_utterances,)`.
        position: Position of the windows, from 0 (the first window) to 1 (the last).
    """
    starts: NDArray[np.int64] = np.rint(spare * position).astype(np.int64)
    return starts


def check_layer(layer: Layer, layers: Sequence[int], source: str) -> None:
    """Refuses a layer that is not there.

    Args:
        layer: As in `InputOptions.layer`.
        layers: Indices of the layers that the source has; empty: it has no layers to choose from.
        source: Front end or store, for the message.

    Raises:
        InputError: The source does not have this layer.
    """
    if layer == "mean" or layer in layers or (layers and not isinstance(layer, int)):
        return
    text = f"input.layer is {layer}; {source} has no layers to choose from: leave it out"
    if layers:
        text = f"input.layer is {layer}; {source} has layers {', '.join(map(str, layers))}; also valid: mean, mix, all"
    raise InputError(Problem(("input", "layer"), text))


def n_blocks(layers: Sequence[int]) -> int:
    """Number of arrays that a store keeps of an utterance: its layers, and after several layers also their mean."""
    return len(layers) + 1 if len(layers) > 1 else 1


def read_blocks(layer: Layer, layers: Sequence[int]) -> Sequence[int]:
    """Positions of the arrays that are read of an utterance, among those that a store keeps of it; see `n_blocks`."""
    if layer == "mean" or not layers:
        return [n_blocks(layers) - 1]
    return [layers.index(layer)] if isinstance(layer, int) else range(len(layers))


def n_layers_read(layer: Layer, layers: Sequence[int]) -> int:
    """Number of layers of an input: one, or all of the source for `mix` and `all`."""
    return len(read_blocks(layer, layers))


def read_layers(features: Tensor, layer: Layer, layers: Sequence[int]) -> Tensor:
    """What a store reads of the features of utterances, from the features of a front end.

    Args:
        features: `(..., n_layers * n_features, n_frames)`, layer after layer, in float32 as the front end returns them.
        layer: As in `InputOptions.layer`.
        layers: Indices of the layers of the front end.

    Returns:
        `(..., n_features, n_frames)` in float16, as in a store; of `mix` and `all`, `(..., n_layers * n_features,
        n_frames)`.
    """
    if len(layers) > 1 and layer not in ("mix", "all"):
        parts = features.chunk(len(layers), dim=-2)
        features = parts[layers.index(layer)] if isinstance(layer, int) else mean_of_layers(parts)
    return features.half()


def mean_of_layers(layers: Sequence[Tensor]) -> Tensor:
    """Mean of tensors of one shape, which are added in their order: the mean is always the same to the bit."""
    total = layers[0]
    for other in layers[1:]:
        total = total + other
    return total * (1 / len(layers))
