"""Hidden layers of the speech encoders of the library transformers as a front end: see FAMILIES for the types."""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from core.audio import SAMPLE_RATE
from core.errors import InputError
from core.features.layers import layers_of_options
from core.features.pretrained.families import FAMILIES, Family, Input
from core.features.pretrained.hub import (
    CONFIGURATION,
    SAFETENSORS,
    first_line,
    matching,
    model_folder,
    quiet,
    weight_files,
)
from core.features.pretrained.segments import by_segments
from core.features.weights import digests

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


class Transformer(nn.Module):
    """Chosen hidden states of a pretrained speech encoder, one after the other.

    Args:
        model: Model of the library. Its layers above the highest chosen one are removed, so that nothing above is
            computed or takes memory.
        layers: Indices of the hidden states to return; 0 is the input of the first transformer layer.
        family: Description of the type of the model.
        reads: What the model reads.
        weights: File name -> SHA-256 of the model's weights.
        configuration: File name -> SHA-256 of the files that describe the model.

    Attributes:
        lr_factor: Learning rate relative to that of other parts, where the model is trained.
    """

    version = 2
    lr_factor = 1.0

    def __init__(
        self,
        model: "PreTrainedModel",
        layers: tuple[int, ...],
        *,
        family: Family,
        reads: Input,
        weights: dict[str, str],
        configuration: dict[str, str],
    ) -> None:
        super().__init__()
        self.model = model
        self.layers = layers
        self.family = family
        self.reads = reads
        self.weights = weights
        self.configuration = configuration
        config: Any = model.config
        self.n_features = int(config.hidden_size)
        self.hop_length = reads.hop_length
        self.min_samples = reads.min_samples
        self.n_layers = int(config.num_hidden_layers)
        self._truncate(max(layers))

    def forward(self, waveform: Tensor) -> Tensor:
        """Features of waveforms `(batch, time)` of one length, without padding.

        Returns:
            `(batch, len(layers) * n_features, n_frames)`: the values of one layer after those of another, in the order
            of `layers`. `n_frames` is the number of hops that fit behind the first `min_samples`, and one.

        Raises:
            RuntimeError: The waveforms are shorter than `min_samples`.
        """
        if waveform.shape[1] < self.min_samples:
            raise RuntimeError(f"{waveform.shape[1]} samples; a frame needs {self.min_samples}")
        n_frames = 1 + (waveform.shape[1] - self.min_samples) // self.hop_length
        if self.reads.longest is None:
            return self._encode(waveform)[:, :, :n_frames].contiguous()
        sizes = {"hop_length": self.hop_length, "longest": self.reads.longest, "min_samples": self.min_samples}
        return by_segments(waveform, self._encode, n_frames=n_frames, **sizes).contiguous()

    def _encode(self, waveform: Tensor) -> Tensor:
        with torch.autocast(waveform.device.type, enabled=False):  # spectra do not fit float16
            inputs = self.reads.prepare(waveform)
        output = self.model(**{self.reads.name: inputs}, output_hidden_states=True)
        states = list(output.hidden_states)
        highest = max(self.layers)
        if highest == 0 or (highest == self.n_layers and self.family.has_norm(self.model.config)):
            states[highest:] = [output.last_hidden_state]
        frames = [self.family.frames(states[layer], self.model.config) for layer in self.layers]
        return torch.cat(frames, dim=2).transpose(1, 2)

    def _truncate(self, highest: int) -> None:
        """Removes the transformer layers above the hidden state `highest`, and what belongs to other states."""
        config: Any = self.model.config
        config.tie_last_hidden_states = False  # otherwise the library may replace the last state by what follows it
        removed = [self.family.upsampling]
        if highest < self.n_layers:
            place, _, name = self.family.layers.rpartition(".")
            layers: Any = self.model.get_submodule(self.family.layers)
            setattr(self.model.get_submodule(place), name, layers[:highest])
            if self.family.has_norm(config):
                removed.append(self.family.norm)
        for path in filter(None, removed):
            place, _, name = path.rpartition(".")
            setattr(self.model.get_submodule(place), name, nn.Identity())


def transformer(
    *,
    model: str,
    layer: int | None = None,
    layers: list[int] | Literal["all"] | None = None,
    revision: str | None = None,
) -> Transformer:
    """One hidden layer of a pretrained speech encoder, or several, which one extraction stores.

    FAMILIES in `core.features.pretrained.families` lists the types of models. Most have 50 frames per second; SEW has
    25, the rate of its transformer, and AST 10: a frame is the mean over all frequencies. AST takes 10.24 s at a time;
    shorter audio is filled up, longer audio is cut into segments.

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
    config, extractor = _configuration(folder, model)
    family = FAMILIES[config.model_type]
    n_layers = int(config.num_hidden_layers)
    chosen = layers_of_options(f"front_end: transformers: {model}", layer, layers, n_layers)
    network, paths = _network(folder, model, config)
    without_weights = torch.get_default_device().type == "meta"
    front_end = Transformer(
        network,
        chosen,
        family=family,
        reads=family.input_of(config, extractor),
        weights=digests([] if without_weights else paths),
        configuration=digests(matching(folder, CONFIGURATION)),
    )
    return front_end.requires_grad_(False).eval()


def _configuration(folder: Path, model: str) -> "tuple[PreTrainedConfig, Any]":
    """Configuration of a model, and its feature extractor."""
    from transformers import AutoConfig, AutoFeatureExtractor

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if config.model_type not in FAMILIES:
            raise InputError(
                f"front_end: transformers: {model} is of type {config.model_type}; "
                f"this front end takes {', '.join(FAMILIES)}"
                f"{'; the front end `whisper` takes it' if config.model_type == 'whisper' else ''}"
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
    for key, value in FAMILIES[config.model_type].options.items():
        setattr(config, key, value)
    return config, extractor


def _network(folder: Path, model: str, config: "PreTrainedConfig") -> "tuple[PreTrainedModel, list[Path]]":
    """The model with its weights in float32, and the files that the weights come from; on "meta" without weights."""
    import safetensors
    from transformers import AutoModel

    paths = weight_files(folder)
    use_safetensors = bool(matching(folder, SAFETENSORS))
    if not paths:
        raise InputError(
            f"front_end: transformers: {model} has no weights: neither model.safetensors nor pytorch_model.bin"
        )
    if torch.get_default_device().type == "meta":
        return AutoModel.from_config(config), paths  # type: ignore[no-untyped-call]
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
