"""Whisper's encoder (Radford 2022) as a front end: hidden states of a transformer that learned to transcribe speech.

The network is that of the library transformers. Its weights come from a model of the hub, from a folder in the format
of that library (a whole model or an encoder), or from a folder in the format of CTranslate2, which faster-whisper uses.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from core.errors import InputError
from core.features.layers import layers_of_options
from core.features.pretrained.ctranslate2 import MODEL, read_whisper
from core.features.pretrained.hub import CONFIGURATION, matching, model_folder, weight_files
from core.features.pretrained.mels import slaney_filters
from core.features.pretrained.segments import by_segments
from core.features.tensors import float_tensors, listed, misfits, read_tensors, shapes, with_tensors
from core.features.weights import digests

if TYPE_CHECKING:
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

N_FFT, HOP = 400, 160
"""Samples of a window of the spectrum, and from one window to the next. A frame of features is two hops."""

RANGE = 8.0
"""Powers below the loudest by more than this many powers of ten are raised to that value."""

SIZES = {
    "d_model": "embedding dimension",
    "encoder_layers": "layers",
    "encoder_attention_heads": "attention heads",
    "encoder_ffn_dim": "hidden units",
    "num_mel_bins": "mel filters",
    "max_source_positions": "positions",
}
"""Keys of `config.json` that determine the encoder."""

MARK = "conv1.weight"
"""Name of the encoder's first tensor; what precedes it in a file precedes all names of the encoder."""


class Whisper(nn.Module):
    """Chosen hidden states of Whisper's encoder, one after the other; see `whisper`.

    Args:
        encoder: `WhisperEncoder` of the library transformers, without the layers above the highest chosen one.
        layers: Indices of the hidden states to return; 0 is the input of the first transformer layer.
        n_layers: Transformer layers of the whole encoder; the norm behind the last one belongs to its hidden state.
        pad: Whether shorter waveforms are filled up with zeros.
        weights: File name -> SHA-256 of the network's weights.
        configuration: File name -> SHA-256 of the files that describe the model.
    """

    version = 1

    def __init__(
        self,
        encoder: "WhisperEncoder",
        layers: tuple[int, ...],
        *,
        n_layers: int,
        pad: bool,
        weights: dict[str, str],
        configuration: dict[str, str],
    ) -> None:
        super().__init__()
        self.encoder = encoder
        config: Any = encoder.config
        self.layers = layers
        self.n_layers = n_layers
        self.pad = pad
        self.weights = weights
        self.configuration = configuration
        self.n_features = int(config.d_model)
        self.hop_length = self.min_samples = 2 * HOP
        self.longest = int(config.max_source_positions)
        self.filters: Tensor
        self.register_buffer("filters", slaney_filters(N_FFT, int(config.num_mel_bins)))

    def forward(self, waveform: Tensor) -> Tensor:
        """Features `(batch, len(layers) * n_features, n_frames)` of waveforms `(batch, time)` of one length.

        `n_frames` is `time // hop_length`.

        Raises:
            RuntimeError: The waveforms are shorter than `min_samples`.
        """
        n_frames = waveform.shape[1] // self.hop_length
        if n_frames < 1:
            raise RuntimeError(f"{waveform.shape[1]} samples; a frame needs {self.min_samples}")
        return by_segments(
            waveform, self._encode, n_frames=n_frames, hop_length=self.hop_length, longest=self.longest
        ).contiguous()

    def _encode(self, waveform: Tensor) -> Tensor:
        n_samples = self.longest * self.hop_length
        n_frames = self.longest if self.pad else min(waveform.shape[1] // self.hop_length, self.longest)
        # The convolutions then read the silence that follows, and the loudest value is that of all hops with audio.
        n_hops = min(2 * n_frames + 4, n_samples // HOP)
        spectrum = log_mel(waveform[:, :n_samples], self.filters, n_hops=n_hops)
        x = nn.functional.gelu(self.encoder.conv1(spectrum))
        x = nn.functional.gelu(self.encoder.conv2(x))[:, :, :n_frames].transpose(1, 2)
        states = [x + self.encoder.embed_positions.weight[:n_frames]]
        for layer in self.encoder.layers:
            states.append(layer(states[-1], None))
        if len(states) > self.n_layers:
            states[-1] = self.encoder.layer_norm(states[-1])
        return torch.cat([states[layer] for layer in self.layers], dim=2).transpose(1, 2)


def log_mel(waveform: Tensor, filters: Tensor, *, n_hops: int) -> Tensor:
    """Whisper's log-mel spectra `(batch, n_mels, n_hops)` of waveforms that silence follows.

    The dynamic range is limited to `RANGE` below the loudest value of each waveform.

    Args:
        waveform: `(batch, time)`.
        filters: Mel filters `(n_mels, n_bins)`.
        n_hops: Hops to return; those behind the waveform are those of silence.
    """
    margin = N_FFT // 2
    filled = nn.functional.pad(waveform, (0, max(0, n_hops * HOP - waveform.shape[1])))
    padded = nn.functional.pad(filled, (margin, margin), mode="reflect")
    window = torch.hann_window(N_FFT, device=waveform.device)
    spectrum = torch.stft(padded, N_FFT, HOP, window=window, center=False, return_complex=True)
    power = filters @ spectrum.abs().square()[:, :, :n_hops]
    logarithm = power.clamp_min(1e-10).log10()
    loudest = logarithm.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(logarithm, loudest - RANGE) + 4) / 4


def whisper(
    *,
    model: str,
    layer: int | None = None,
    layers: list[int] | Literal["all"] | None = None,
    pad: bool = False,
    revision: str | None = None,
) -> Whisper:
    """Hidden states of Whisper's encoder, every 20 ms; 384 features for the model "tiny", 1,280 for "large".

    Whisper takes 30 s at a time. Longer audio is cut into segments of 30 s, each computed by itself; the last one ends
    with the audio and gives only the frames that the others have not. Shorter audio is not padded here: state 0 is the
    same as with padding, but the transformer attends to the frames of the audio alone, so that higher layers differ.

    Args:
        model: Name of a model on the Hugging Face hub, such as `openai/whisper-tiny.en`, or a local folder. It holds a
            model or an encoder (`config.json` and safetensors or PyTorch's files), or the format of CTranslate2
            (`model.bin`).
        layer: Index of the hidden state: 0 is the input of the first transformer layer, n the output of the n-th layer.
            None: the last, to which the norm that follows it belongs.
        layers: Indices of several hidden states, or `all`; an alternative to `layer`. All of them are stored.
        pad: Whether shorter audio is filled up with zeros to 30 s, as in Whisper's training. Every utterance then costs
            the time of 30 s.
        revision: Branch, tag or commit on the hub; None: the default branch. With a commit, results are repeatable.

    Raises:
        InputError: The model cannot be found or read, is not Whisper, has no such layer, or both `layer` and `layers`
            are given.
    """
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    folder = model_folder("whisper", model, revision, others=[MODEL])
    where = f"front_end: whisper: {model}"
    if (folder / MODEL).is_file():
        sizes, tensors = read_whisper(folder / MODEL, where)
        paths, described = [folder / MODEL], []
    else:
        sizes, described = _sizes(folder, where), matching(folder, CONFIGURATION)
        paths = weight_files(folder)
        if not paths:
            raise InputError(f"{where} has no weights: neither model.safetensors, pytorch_model.bin nor {MODEL}")
        tensors = _encoder(paths, where)
    n_layers = sizes["encoder_layers"]
    chosen = layers_of_options(where, layer, layers, n_layers)
    above = tuple(f"layers.{index}." for index in range(max(chosen), n_layers))
    needed = {name: tensor for name, tensor in tensors.items() if not name.startswith(above)}
    with torch.device("meta"):
        try:
            network = WhisperEncoder(WhisperConfig(**{**sizes, "encoder_layers": max(chosen)}))
        except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
            raise InputError(f"{where}: no encoder has the sizes {sizes}: {error}") from error
    wrong = misfits(needed, shapes(network))
    if wrong:
        raise InputError(f"{where}: its weights are not those of Whisper's encoder: {listed(wrong)}")
    front_end = Whisper(
        with_tensors(network, float_tensors(needed)),
        chosen,
        n_layers=n_layers,
        pad=pad,
        weights=digests(paths),
        configuration=digests(described),
    )
    return front_end.requires_grad_(False).eval()


def _sizes(folder: Path, where: str) -> dict[str, Any]:
    """Sizes of an encoder, from the configuration of its folder."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: {path} cannot be read: {error}") from error
    kind = config.get("model_type") if isinstance(config, Mapping) else None
    if kind != "whisper":
        raise InputError(f"{where} is of type {kind}; this front end takes whisper")
    wrong = [f"{key} is {config.get(key)!r}" for key in SIZES if type(config.get(key)) is not int or config[key] < 1]
    if wrong:
        raise InputError(f"{where}: {path}: {'; '.join(wrong)}; it must be a positive integer")
    return {key: config[key] for key in SIZES}


def _encoder(paths: list[Path], where: str) -> dict[str, object]:
    """The encoder's tensors in the files of a model, whatever the model adds around it."""
    tensors: dict[str, object] = {}
    for path in paths:
        if path.suffix != ".json":  # the index of a model in several files
            tensors |= read_tensors(path, f"{where}: {path.name}", only=_may_be_encoder)
    begin = next((name.removesuffix(MARK) for name in tensors if name.endswith(MARK)), "")
    return {name.removeprefix(begin): tensor for name, tensor in tensors.items() if name.startswith(begin)}


def _may_be_encoder(name: str) -> bool:
    return not name.startswith(("model.decoder.", "decoder.", "proj_out."))
