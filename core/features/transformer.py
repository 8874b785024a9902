"""Hidden layers of wav2vec 2.0, HuBERT and WavLM models as a front end. XLS-R is a wav2vec 2.0 model."""

import math
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from core.audio import SAMPLE_RATE
from core.errors import InputError
from core.features.layers import layers_of_options
from core.features.pretrained.hub import (
    CONFIGURATION,
    SAFETENSORS,
    first_line,
    matching,
    model_folder,
    quiet,
    weight_files,
)
from core.features.weights import digests

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

MODEL_TYPES = ("wav2vec2", "hubert", "wavlm")


class Transformer(nn.Module):
    """Chosen hidden states of a pretrained speech transformer, one after the other.

    Args:
        model: Model whose `hidden_states` are `(batch, n_frames, n_features)`. Its layers above the highest chosen one
            are removed, so that nothing above is computed or takes memory.
        layers: Indices of the hidden states to return; 0 is the input of the first transformer layer.
        normalize: Whether each waveform is first normalised to zero mean and unit variance, as in the pretraining.
        weights: File name -> SHA-256 of the model's weights.
        configuration: File name -> SHA-256 of the files that describe the model.
    """

    version = 2

    def __init__(
        self,
        model: "PreTrainedModel",
        layers: tuple[int, ...],
        *,
        normalize: bool,
        weights: dict[str, str],
        configuration: dict[str, str],
    ) -> None:
        super().__init__()
        _truncate(model, max(layers))
        self.model = model
        self.layers = layers
        self.normalize = normalize
        self.weights = weights
        self.configuration = configuration
        config: Any = model.config
        self.n_features = int(config.hidden_size)
        self.hop_length = math.prod(config.conv_stride)
        self.min_samples = receptive_field(config.conv_kernel, config.conv_stride)

    def forward(self, waveform: Tensor) -> Tensor:
        """Features of waveforms `(batch, time)` of one length, without padding.

        Returns:
            `(batch, len(layers) * n_features, n_frames)`: the values of one layer after those of another, in the order
            of `layers`.
        """
        if self.normalize:
            centred = waveform - waveform.mean(dim=1, keepdim=True)
            waveform = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-7).sqrt()
        output = self.model(waveform, output_hidden_states=True)
        states = [*output.hidden_states[:-1], output.last_hidden_state]  # hidden_states[-1] may lack the last norm
        return torch.cat([states[layer] for layer in self.layers], dim=2).transpose(1, 2).contiguous()


def _truncate(model: "PreTrainedModel", highest: int) -> None:
    """Removes the transformer layers of a model above the hidden state `highest`.

    The norm that follows the last layer of some models belongs to their last hidden state alone.
    """
    encoder: Any = model.encoder
    if highest < len(encoder.layers):
        encoder.layers = encoder.layers[:highest]
        if getattr(model.config, "do_stable_layer_norm", False):  # otherwise the norm precedes the first layer
            encoder.layer_norm = nn.Identity()


def receptive_field(kernels: list[int], strides: list[int]) -> int:
    """Number of input samples that determine one output of a stack of unpadded convolutions.

    Args:
        kernels: Kernel sizes, from the input to the output.
        strides: Strides, in the same order.
    """
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * step
        step *= stride
    return field


def transformer(
    *,
    model: str,
    layer: int | None = None,
    layers: list[int] | Literal["all"] | None = None,
    revision: str | None = None,
) -> Transformer:
    """One hidden layer of a pretrained speech transformer, or several, which one extraction stores.

    The weights are read from safetensors files. A model without them is read from PyTorch's pickle files, with an
    unpickler that accepts only tensors. Code that comes with a model is never run.

    Args:
        model: Name of a model on the Hugging Face hub, such as `facebook/wav2vec2-xls-r-300m`, or a local folder with a
            model (`config.json`, `preprocessor_config.json` and the weights).
        layer: Index of the hidden state: 0 is the input of the first transformer layer, n the output of the n-th layer.
            None: the last. Models that normalise before each layer (XLS-R, "large" models) normalise only the last.
        layers: Indices of several hidden states, or `all`; an alternative to `layer`. All of them are stored.
        revision: Branch, tag or commit on the hub; None: the default branch. With a commit, results are repeatable.

    Raises:
        InputError: The model cannot be found or read, its type or sample rate is not supported, it has no such layer,
            or both `layer` and `layers` are given.
    """
    folder = model_folder("transformers", model, revision)
    config, normalize = _configuration(folder, model)
    n_layers = int(config.num_hidden_layers)
    chosen = layers_of_options(f"front_end: transformers: {model}", layer, layers, n_layers)
    network, paths = _network(folder, model, config)
    front_end = Transformer(
        network,
        chosen,
        normalize=normalize,
        weights=digests(paths),
        configuration=digests(matching(folder, CONFIGURATION)),
    )
    return front_end.requires_grad_(False).eval()


def _configuration(folder: Path, model: str) -> "tuple[PreTrainedConfig, bool]":
    """Configuration of a model, and whether the model expects normalised waveforms."""
    from transformers import AutoConfig, AutoFeatureExtractor

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if config.model_type not in MODEL_TYPES:
            raise InputError(
                f"front_end: transformers: {model} is of type {config.model_type}; "
                f"this front end takes {', '.join(MODEL_TYPES)}"
            )
        extractor: Any = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=False)  # type: ignore[no-untyped-call]
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"front_end: transformers: {model}: its configuration cannot be read: {first_line(error)}"
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE:
        raise InputError(
            f"front_end: transformers: {model} takes {extractor.sampling_rate} Hz; it must be {SAMPLE_RATE}"
        )
    config.add_adapter = False  # an adapter would reduce the frame rate of the last layer
    return config, bool(extractor.do_normalize)


def _network(folder: Path, model: str, config: "PreTrainedConfig") -> "tuple[PreTrainedModel, list[Path]]":
    """The model with its weights in float32, and the files that the weights come from."""
    import safetensors
    from transformers import AutoModel

    paths = weight_files(folder)
    use_safetensors = bool(matching(folder, SAFETENSORS))
    if not paths:
        raise InputError(
            f"front_end: transformers: {model} has no weights: neither model.safetensors nor pytorch_model.bin"
        )
    try:
        with quiet():
            network, report = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=use_safetensors,
                weights_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, KeyError, safetensors.SafetensorError, pickle.UnpicklingError) as error:
        raise InputError(
            f"front_end: transformers: {model}: its weights cannot be read: {first_line(error)}"
        ) from error
    # Only pretraining uses masked_spec_embed. The library fills all missing tensors with random values.
    missing = sorted(name for name in report["missing_keys"] if name != "masked_spec_embed")
    if missing:
        raise InputError(
            f"front_end: transformers: {model}: its weights lack {len(missing)} tensors, such as {missing[0]}"
        )
    return network, paths
