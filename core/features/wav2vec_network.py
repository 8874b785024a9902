"""The wav2vec network, version 1 (Schneider et al. 2019), in several sizes."""

import math
import typing
from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional

from core import table

Layers = tuple[tuple[int, int, int], ...]

_MOST_LAYERS = 64
_LARGEST = 4096  # maximum of channels, kernel and stride of a layer


@dataclass(frozen=True)
class Wav2VecConfig:
    """Configuration of a wav2vec network.

    Attributes:
        encoder: Layers `(channels, kernel, stride)` from the waveform to encoder features.
        context: Layers `(channels, kernel, 1)` from encoder features to context features; the convolutions are causal.
        activation: Activation after every group normalisation.
        log_compression: Whether the encoder returns `log(|x| + 1)`.
        skip_encoder: Whether encoder layers with as many output as input channels have residual connections.
        skip_context: Whether the layers of the context network have residual connections.
        residual_scale: Number whose square root multiplies the sum of a layer's output and its residual.
        context_zero_padding: Whether the frames before the first are zeros; otherwise they repeat the first frame.
        context_bias: Whether the convolutions of the context network have a bias.
        affine_norm: Whether the group normalisations have weights.
        prediction_steps: Number of future frames that the prediction head predicts in training; 0: no head.

    Raises:
        ValueError: A value has the wrong type or is out of range.
    """

    encoder: Layers
    context: Layers
    activation: Literal["relu", "gelu"] = "relu"
    log_compression: bool = True
    skip_encoder: bool = False
    skip_context: bool = True
    residual_scale: float = 0.5
    context_zero_padding: bool = False
    context_bias: bool = True
    affine_norm: bool = True
    prediction_steps: int = 0

    def __post_init__(self) -> None:
        for name, annotation in typing.get_type_hints(type(self)).items():
            if not table.matches(getattr(self, name), annotation):
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {table.type_name(annotation)}")
        for name, layers in (("encoder", self.encoder), ("context", self.context)):
            if not 1 <= len(layers) <= _MOST_LAYERS:
                raise ValueError(f"{name} has {len(layers)} layers; it must have 1 to {_MOST_LAYERS}")
            if not all(len(layer) == 3 and all(1 <= size <= _LARGEST for size in layer) for layer in layers):
                raise ValueError(f"{name} must be of (channels, kernel, stride), each from 1 to {_LARGEST}")
        if any(stride != 1 for _, _, stride in self.context):
            raise ValueError("context has a stride other than 1")
        if not 0 <= self.residual_scale < math.inf:
            raise ValueError(f"residual_scale is {self.residual_scale}; it must be finite and not negative")
        if not 0 <= self.prediction_steps <= _LARGEST:
            raise ValueError(f"prediction_steps is {self.prediction_steps}; it must be from 0 to {_LARGEST}")


def wav2vec_large(*, prediction_steps: int = 0) -> Wav2VecConfig:
    """The published "large" network: 29,390,848 parameters without prediction head, 512 features every 160 samples."""
    return Wav2VecConfig(
        encoder=((512, 10, 5), (512, 8, 4), (512, 4, 2), (512, 4, 2), (512, 4, 2), (512, 1, 1), (512, 1, 1)),
        context=tuple((512, kernel, 1) for kernel in range(2, 14)),
        prediction_steps=prediction_steps,
    )


def wav2vec_small(*, prediction_steps: int = 0) -> Wav2VecConfig:
    """Network with 128 channels that a CPU can train: 774,912 parameters without prediction head, the same hop."""
    return Wav2VecConfig(
        encoder=((128, 10, 5), (128, 8, 4), (128, 4, 2), (128, 4, 2), (128, 4, 2)),
        context=tuple((128, kernel, 1) for kernel in range(2, 8)),
        prediction_steps=prediction_steps,
    )


def wav2vec_tiny(*, prediction_steps: int = 0) -> Wav2VecConfig:
    """Network with 16 channels and the hop of the large one, for tests."""
    return Wav2VecConfig(
        encoder=((16, 10, 5), (16, 8, 4), (16, 4, 2), (16, 4, 2), (16, 4, 2)),
        context=((16, 2, 1), (16, 3, 1)),
        prediction_steps=prediction_steps,
    )


class Layer(nn.Module):
    """Convolution, group normalisation, activation: `(batch, n_in, time)` -> `(batch, n_out, n_frames)`.

    The normalisation averages over channels and time together. Zero-padding of a waveform would thus change all its
    features.
    """

    def __init__(
        self, n_in: int, shape: tuple[int, int, int], config: Wav2VecConfig, *, bias: bool, projected: bool
    ) -> None:
        super().__init__()
        n_out, kernel, stride = shape
        self.convolution = nn.Conv1d(n_in, n_out, kernel, stride=stride, bias=bias)
        self.norm = nn.GroupNorm(1, n_out, affine=config.affine_norm)
        self.projection = nn.Conv1d(n_in, n_out, 1, bias=False) if projected else None  # of the residual
        self.activation = functional.relu if config.activation == "relu" else functional.gelu

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.convolution(x)))


class Wav2Vec(nn.Module):
    """The network: an encoder of the waveform, a causal context network, and an optional prediction head for training.

    Args:
        config: Configuration of the network.
        layer: Part of the network whose output `forward` returns.
    """

    version = 1

    def __init__(self, config: Wav2VecConfig, *, layer: Literal["context", "encoder"] = "context") -> None:
        super().__init__()
        self.config = config
        self.layer = layer
        self.weights: dict[str, str] = {}
        self.encoder, n_in = nn.ModuleList(), 1
        for shape in config.encoder:
            self.encoder.append(Layer(n_in, shape, config, bias=False, projected=False))
            n_in = shape[0]
        n_encoder = n_in
        self.context = nn.ModuleList()
        for shape in config.context:
            projected = config.skip_context and n_in != shape[0]
            self.context.append(Layer(n_in, shape, config, bias=config.context_bias, projected=projected))
            n_in = shape[0]
        steps = config.prediction_steps
        self.prediction_head = nn.ConvTranspose2d(n_in, n_encoder, (1, steps)) if steps else None
        self.n_features = n_in if layer == "context" else n_encoder
        self.hop_length = math.prod(stride for _, _, stride in config.encoder)
        self.min_samples, step = 1, 1  # the encoder's receptive field
        for _, kernel, stride in config.encoder:
            self.min_samples += (kernel - 1) * step
            step *= stride

    def forward(self, waveform: Tensor) -> Tensor:
        """Features `(batch, n_features, n_frames)` of waveforms `(batch, time)` in [-1, 1], all of one length."""
        encoded = self.encode(waveform)
        return encoded if self.layer == "encoder" else self.contextualize(encoded)

    def encode(self, waveform: Tensor) -> Tensor:
        """Encoder features `(batch, channels, n_frames)`, `n_frames` being `1 + (time - min_samples) // hop_length`."""
        x = waveform.unsqueeze(1)  # (batch, 1, time)
        for layer in self.encoder:
            residual, x = x, layer(x)
            if self.config.skip_encoder and x.shape[1] == residual.shape[1]:
                step = residual.shape[2] // x.shape[2]
                x = (x + residual[..., ::step][..., : x.shape[2]]) * math.sqrt(self.config.residual_scale)
        return x.abs().add(1).log() if self.config.log_compression else x

    def contextualize(self, encoded: Tensor) -> Tensor:
        """Context features `(batch, channels, n_frames)` from encoder features of the same number of frames.

        The convolutions are causal: frame `t` reads no frame after `t`.
        """
        x = encoded
        mode = "constant" if self.config.context_zero_padding else "replicate"
        for layer, (_, kernel, _) in zip(self.context, self.config.context, strict=True):
            assert isinstance(layer, Layer)
            padded = functional.pad(x, (kernel - 1, 0), mode=mode)
            residual, x = x, layer(padded)
            if self.config.skip_context:
                residual = residual if layer.projection is None else layer.projection(residual)
                x = (x + residual) * math.sqrt(self.config.residual_scale)
        return x

    def predictions(self, contextualized: Tensor) -> Tensor:
        """Output of the prediction head, `(batch, channels, n_frames, prediction_steps)`: future encoder features.

        Args:
            contextualized: Context features `(batch, channels, n_frames)`.
        """
        assert self.prediction_head is not None, "built with prediction_steps=0"
        return cast(Tensor, self.prediction_head(contextualized.unsqueeze(-1)))
