"""DistillMOS (Stahl and Gamper 2025) as a front end: hidden states of a small transformer.

It was trained to predict the quality of speech, with larger self-supervised models (XLS-R) as teachers. A convolutional
network reads the compressed complex spectrum and halves its frame rate to 50 Hz; its output is projected and passes
through transformer layers. The network here is built from the tensors of the published file, whose sizes it takes. What
follows the transformer (pooling over time and the quality) is not used.
"""

import re
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from core.catalogue import packages
from core.errors import InputError
from core.features.layers import layers_of_options
from core.features.pretrained.segments import by_segments
from core.features.tensors import float_tensors, listed, misfits, read_tensors, shapes, with_tensors
from core.features.weights import digests, package_weights

WINDOW, HOP = 320, 160
"""Samples of a window of the spectrum, and from one window to the next. A frame of features is two hops."""

COMPRESSION = 0.3
"""Exponent of the magnitudes; the phases are kept."""

CHANNELS, N_FEATURES, N_POSITIONS = (64, 64, 128, 256, 256, 256), 200, 384
"""Sizes of the published network: output channels of the convolutions, features per frame, frames at a time."""

N_HEADS = 8
"""Attention heads; no tensor has this size."""

REACH = 5
"""Frames on either side that a frame before the transformer depends on: six convolutions and a window."""

_BODY = "transformer_pool_attn."
_NAMES = (
    (re.compile(r"cnn\.cnn\.(\d+)\b"), "convolutions.{convolution}"),  # every second module has no tensors
    (re.compile(rf"{re.escape(_BODY)}norm_input\b"), "norms.0"),
    (re.compile(rf"{re.escape(_BODY)}transformer\.norm\b"), "norms.1"),
    (re.compile(rf"{re.escape(_BODY)}transformer\.linear_proj\b"), "projection"),
    (re.compile(rf"{re.escape(_BODY)}transformer\.transformer_encoder\.layers\b"), "layers"),
    (re.compile(rf"{re.escape(_BODY)}transformer\.position_encoding\.pe$"), "positions"),
)
"""Begin of names of tensors in the file, and of the same tensors in `Network`."""

_UNUSED = (f"{_BODY}norm_trans.", f"{_BODY}pool.")
"""Begin of the names of the tensors that follow the transformer."""


class Network(nn.Module):
    """Hidden states of DistillMOS.

    Args:
        channels: Output channels of the convolutions.
        n_features: Values per frame of a hidden state.
        n_positions: Maximum number of frames.
        n_hidden: Hidden units of the feed-forward part of a transformer layer.
        n_layers: Transformer layers.
    """

    def __init__(
        self, *, channels: tuple[int, ...], n_features: int, n_positions: int, n_hidden: int, n_layers: int
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        n_bins, below = WINDOW // 2 + 1, 2  # real and imaginary part
        for index, n_out in enumerate(channels):
            strides = (1 if index == 0 else 2, 2 if index == len(channels) - 1 else 1)
            self.convolutions.append(nn.Conv2d(below, n_out, 3, stride=strides, padding=(0, 1)))
            n_bins, below = (n_bins - 3) // strides[0] + 1, n_out
        self.norms = nn.Sequential(nn.BatchNorm1d(below * n_bins), nn.BatchNorm1d(below * n_bins))
        self.projection = nn.Linear(below * n_bins, n_features)
        self.positions: Tensor
        self.register_buffer("positions", torch.zeros(1, n_positions, n_features))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(n_features, N_HEADS, n_hidden, dropout=0.0, batch_first=True)
            for _ in range(n_layers)
        )

    def forward(self, waveform: Tensor, *, n_silent: int = 0) -> list[Tensor]:
        """Hidden states `(batch, n_frames, n_features)` of waveforms `(batch, n_frames * 2 * HOP)`.

        The first is the input of the transformer, and every other the output of a layer. The waveforms are brought to
        a peak of 1.

        Args:
            waveform: `(batch, time)`, `time` being a multiple of the hop of a frame.
            n_silent: Frames of silence that follow the waveforms.
        """
        n_frames = waveform.shape[1] // (2 * HOP)
        # Frames within silence are equal. Those that the waveform or the end reaches are computed, and one in between.
        n_computed = min(n_silent, 2 * REACH)
        waveform = nn.functional.pad(waveform, (0, n_computed * 2 * HOP))
        x = compressed_spectrum(waveform / (waveform.abs().amax(dim=1, keepdim=True) + 1e-8))
        for convolution in self.convolutions:
            x = nn.functional.leaky_relu(convolution(x), 0.1)
        x = self.projection(self.norms(x.flatten(1, 2)).transpose(1, 2))
        if n_silent > n_computed:
            middle = n_frames + REACH
            equal = x[:, middle : middle + 1].expand(-1, n_silent - n_computed, -1)
            x = torch.cat([x[:, :middle], equal, x[:, middle:]], dim=1)
        states = [x + self.positions[:, : x.shape[1]]]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states


def compressed_spectrum(waveform: Tensor) -> Tensor:
    """Real and imaginary part `(batch, 2, n_bins, n_hops)` of a spectrum whose magnitudes are raised to `COMPRESSION`.

    Args:
        waveform: `(batch, n_hops * HOP)`, reflected at both ends.
    """
    margin = (WINDOW - HOP) // 2
    spectrum = torch.stft(
        nn.functional.pad(waveform, (margin, margin), mode="reflect"),
        n_fft=WINDOW,
        hop_length=HOP,
        window=torch.hann_window(WINDOW, device=waveform.device),
        center=False,
        return_complex=True,
    )
    parts = torch.view_as_real(spectrum).movedim(-1, 1)
    magnitude = parts.square().sum(dim=1, keepdim=True).sqrt().clamp_min(1e-12)
    return parts * magnitude ** (COMPRESSION - 1)


class DistillMos(nn.Module):
    """Chosen hidden states of DistillMOS, one after the other; see `distillmos`.

    Args:
        network: Network without the layers above the highest chosen one.
        layers: Indices of the hidden states to return; 0 is the input of the first transformer layer.
        pad: Whether shorter waveforms are filled up with zeros.
        weights: File name -> SHA-256 of the network's weights.
    """

    version = 1

    def __init__(self, network: Network, layers: tuple[int, ...], *, pad: bool, weights: dict[str, str]) -> None:
        super().__init__()
        self.network = network
        self.layers = layers
        self.pad = pad
        self.weights = weights
        self.n_features = network.projection.out_features
        self.hop_length = self.min_samples = 2 * HOP
        self.longest = network.positions.shape[1]

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
        missing = self.longest * self.hop_length - waveform.shape[1]
        if self.pad:
            filled = nn.functional.pad(waveform, (0, min(missing, -waveform.shape[1] % self.hop_length)))
            states = self.network(filled, n_silent=self.longest - filled.shape[1] // self.hop_length)
        else:
            states = self.network(waveform[:, : waveform.shape[1] // self.hop_length * self.hop_length])
        return torch.cat([states[layer] for layer in self.layers], dim=2).transpose(1, 2)


def distillmos(
    *,
    weights: str | None = None,
    layer: int | None = None,
    layers: list[int] | Literal["all"] | None = None,
    pad: bool = True,
) -> DistillMos:
    """Hidden states of DistillMOS: 200 features every 20 ms, layers 0 to 7.

    The network takes 7.68 s at a time, which are brought to a peak of 1. Longer audio is cut into segments of 7.68 s,
    each computed by itself; the last one ends with the audio and gives only the frames that the others have not.

    Args:
        weights: File with the weights, in the format of the package `distillmos`. None: the file of the installed
            package, which is not imported.
        layer: Index of the hidden state: 0 is the input of the first transformer layer, n the output of the n-th layer.
            None: the last.
        layers: Indices of several hidden states, or `all`; an alternative to `layer`. All of them are stored.
        pad: Whether shorter audio is filled up with zeros to 7.68 s, as in the package. Without it, features of short
            audio cost less time, but differ from those of the training.

    Raises:
        InputError: The file is missing, cannot be read or holds another network, there is no such layer, or both
            `layer` and `layers` are given.
    """
    path = package_weights("distillmos", packages.DISTILLMOS, weights)
    where = f"front_end: distillmos: {path}"
    tensors = _renamed(read_tensors(path, where, key="model"))
    n_layers = len({name.split(".")[1] for name in tensors if name.startswith("layers.")})
    chosen = layers_of_options(where, layer, layers, n_layers)
    above = tuple(f"layers.{index}." for index in range(max(chosen), n_layers))
    needed = {name: tensor for name, tensor in tensors.items() if not name.startswith(above)}
    with torch.device("meta"):  # allocates nothing: a damaged file may state sizes that its tensors do not have
        network = _network_of(needed, n_layers=max(chosen))
    wrong = misfits(needed, shapes(network))
    if wrong:
        raise InputError(f"{where}: not DistillMOS: {listed(wrong)}")
    network = with_tensors(network, float_tensors(needed))
    return DistillMos(network, chosen, pad=pad, weights=digests([path])).requires_grad_(False).eval()


def _renamed(tensors: Mapping[str, object]) -> dict[str, object]:
    """The tensors of a file that the network has, under its own names; unknown names are kept."""
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith(_UNUSED) or name.endswith("num_batches_tracked"):
            continue
        for pattern, own in _NAMES:
            if match := pattern.match(name):
                name = f"{own.format(convolution=int(match[1]) // 2 if match.groups() else None)}{name[match.end() :]}"
                break
        renamed[name] = tensor
    return renamed


def _network_of(tensors: Mapping[str, object], *, n_layers: int) -> Network:
    """Network with the sizes of the given tensors; the published sizes replace those of missing tensors."""

    def size(name: str, dimension: int, published: int) -> int:
        tensor = tensors.get(name)
        return tensor.shape[dimension] if isinstance(tensor, Tensor) and tensor.ndim > dimension else published

    n_features = size("projection.weight", 0, N_FEATURES)
    return Network(
        channels=tuple(size(f"convolutions.{index}.weight", 0, n) for index, n in enumerate(CHANNELS)),
        n_features=n_features if n_features and n_features % N_HEADS == 0 else N_FEATURES,
        n_positions=size("positions", 1, N_POSITIONS),
        n_hidden=size("layers.0.linear1.weight", 0, 2 * N_FEATURES),
        n_layers=n_layers,
    )
