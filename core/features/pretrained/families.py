"""FAMILIES: the speech encoders of the library transformers. What they take, where their layers are, and their frames.

`core.features.transformer` loads a model and reads its hidden states as its family says.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from core.features.pretrained.mels import fbank

WINDOW, HOP = 400, 160
"""Samples of a window of mel spectra, and from one window to the next."""


@dataclass(frozen=True)
class Input:
    """What a model reads, made from waveforms.

    Attributes:
        name: Name of the model's argument.
        prepare: Function of waveforms `(batch, time)` that returns the argument.
        hop_length: Samples from one frame of the hidden states to the next.
        min_samples: Samples that determine one frame.
        longest: Maximum number of frames; None: any number.
    """

    name: str
    prepare: Callable[[Tensor], Tensor]
    hop_length: int
    min_samples: int
    longest: int | None = None


@dataclass(frozen=True)
class Family:
    """A type of models.

    Attributes:
        input_of: Function of a model's configuration and its feature extractor.
        layers: Path of the list of transformer layers within the model.
        norm: Path of the norm that follows the last layer and belongs to its hidden state; None: there is none.
        norm_if: Key of the configuration that says whether there is such a norm; None: always.
        upsampling: Path of a part that raises the frame rate of the last hidden state, and is left out; None: none.
        frames: Function of a hidden state and the configuration that returns frames `(batch, n_frames, n_features)`.
        options: Changes of a model's configuration.
    """

    input_of: Callable[[Any, Any], Input]
    layers: str = "encoder.layers"
    norm: str | None = None
    norm_if: str | None = None
    upsampling: str | None = None
    frames: Callable[[Tensor, Any], Tensor] = lambda state, config: state
    options: Mapping[str, object] = field(default_factory=dict)

    def has_norm(self, config: Any) -> bool:
        """Whether a norm follows the last layer of a model."""
        return self.norm is not None and (self.norm_if is None or bool(getattr(config, self.norm_if)))


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Number of input samples that determine one output of a stack of unpadded convolutions.

    Args:
        kernels: Kernel sizes, from the input to the output.
        strides: Strides, in the same order.
    """
    size, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        size += (kernel - 1) * step
        step *= stride
    return size


def waveform(config: Any, extractor: Any) -> Input:
    """Waveforms, which convolutions read; each is brought to mean 0 and variance 1 if the pretraining did so."""
    squeeze = int(getattr(config, "squeeze_factor", 1))  # frames that are averaged before the transformer
    hop_length = math.prod(config.conv_stride)
    return Input(
        "input_values",
        normalised if extractor.do_normalize else lambda waveform: waveform,
        hop_length=hop_length * squeeze,
        min_samples=receptive_field(config.conv_kernel, config.conv_stride) + (squeeze - 1) * hop_length,
    )


def normalised(waveform: Tensor) -> Tensor:
    """Waveforms `(batch, time)` with mean 0 and variance 1."""
    centred = waveform - waveform.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True) + 1e-7).sqrt()


def stacked_mels(config: Any, extractor: Any) -> Input:
    """Log-mel spectra of w2v-BERT 2.0, mean 0 and variance 1 per filter; `stride` of them make a frame."""
    stride, n_mels = int(extractor.stride), int(extractor.num_mel_bins)

    def prepare(waveform: Tensor) -> Tensor:
        mels = fbank(waveform * 2**15, "povey", n_mels)
        mels = (mels - mels.mean(dim=1, keepdim=True)) / (mels.var(dim=1, keepdim=True) + 1e-7).sqrt()
        n_frames = mels.shape[1] // stride  # the library masks a last frame that is not whole
        return mels[:, : n_frames * stride].reshape(len(mels), n_frames, stride * n_mels)

    return Input("input_features", prepare, hop_length=stride * HOP, min_samples=WINDOW + (stride - 1) * HOP)


def patched_mels(config: Any, extractor: Any) -> Input:
    """Log-mel spectra of AST, filled up to its length; patches of 16 by 16 make the frames."""
    patch, stride, length = int(config.patch_size), int(config.time_stride), int(extractor.max_length)

    def prepare(waveform: Tensor) -> Tensor:
        mels = fbank(waveform, "hanning", int(extractor.num_mel_bins))[:, :length]
        mels = torch.nn.functional.pad(mels, (0, 0, 0, length - mels.shape[1]))
        return (mels - extractor.mean) / (2 * extractor.std) if extractor.do_normalize else mels

    return Input(
        "input_values",
        prepare,
        hop_length=stride * HOP,
        min_samples=WINDOW + (patch - 1) * HOP,
        longest=(length - patch) // stride + 1,
    )


def mean_of_patches(state: Tensor, config: Any) -> Tensor:
    """Frames of AST: mean over the patches of a moment, without the two tokens that stand for the whole."""
    n_bands = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    patches = state[:, 2:]
    return patches.reshape(len(state), n_bands, -1, patches.shape[2]).mean(dim=1)


_NO_ADAPTER = {"add_adapter": False}  # an adapter would reduce the frame rate of the last layer
_WAV2VEC2 = Family(waveform, norm="encoder.layer_norm", norm_if="do_stable_layer_norm", options=_NO_ADAPTER)
_SEW = Family(waveform, upsampling="encoder.upsample")

FAMILIES = {
    "wav2vec2": _WAV2VEC2,  # XLS-R and MMS, too
    "wav2vec2-conformer": Family(waveform, norm="encoder.layer_norm", options=_NO_ADAPTER),
    "wav2vec2-bert": Family(stacked_mels, options={**_NO_ADAPTER, "use_intermediate_ffn_before_adapter": False}),
    "hubert": _WAV2VEC2,
    "wavlm": _WAV2VEC2,
    "data2vec-audio": Family(waveform, options=_NO_ADAPTER),
    "unispeech": _WAV2VEC2,
    "unispeech-sat": _WAV2VEC2,
    "sew": _SEW,
    "sew-d": Family(waveform, layers="encoder.encoder.layer", upsampling="encoder.upsample"),
    "audio-spectrogram-transformer": Family(patched_mels, layers="layers", norm="layernorm", frames=mean_of_patches),
}
"""Type of a model, as in its `config.json` -> its family."""
