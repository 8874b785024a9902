"""Resemblyzer's speaker encoder (GE2E, Wan 2018) as a front end: one embedding per utterance.

A network of three LSTM layers reads mel spectra of 1.6 s; the embedding of an utterance is the mean over overlapping
windows. The weights are a file of the package `Resemblyzer`, which is not imported.
"""

import torch
from torch import Tensor, nn

from core.catalogue import packages
from core.errors import InputError
from core.features.pretrained.mels import slaney_filters
from core.features.tensors import float_tensors, listed, misfits, read_tensors, shapes, with_tensors
from core.features.weights import digests, package_weights
from core.features.xvector import RECKONED

N_MELS, N_HIDDEN, N_LAYERS = 40, 256, 3
N_FFT, HOP = 400, 160

WINDOW, STEP = 160, 77
"""Hops of a window of the network, and from one window to the next: 1.3 windows per second, as in the package."""

COVERAGE = 0.75
"""Fraction of the last window that must be audio; otherwise it is left out, unless it is the only one."""

LEVEL = 10 ** (-30 / 20)
"""Effective value to which softer audio is raised, -30 dB; louder audio stays as it is."""


class Network(nn.Module):
    """Embeddings of windows of mel spectra.

    Args:
        n_mels: Mel filters.
        n_hidden: Units of an LSTM layer.
        n_features: Size of the embedding.
    """

    def __init__(self, n_mels: int = N_MELS, n_hidden: int = N_HIDDEN, n_features: int = N_HIDDEN) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_mels, n_hidden, N_LAYERS, batch_first=True)
        self.linear = nn.Linear(n_hidden, n_features)

    def forward(self, mels: Tensor) -> Tensor:
        """Embeddings `(batch, n_features)` of length 1, of mel spectra `(batch, n_hops, n_mels)`."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(self.linear(hidden[-1]).relu(), dim=1)


class Resemblyzer(nn.Module):
    """The speaker embedding of a whole utterance as its only frame; see `resemblyzer`.

    Args:
        network: Network from mel spectra to the embedding.
        weights: File name -> SHA-256 of the network's weights.
    """

    version = 1

    def __init__(self, network: Network, *, weights: dict[str, str]) -> None:
        super().__init__()
        self.network = network
        self.weights = weights
        self.n_features = network.linear.out_features
        self.hop_length = RECKONED
        self.min_samples = N_FFT
        self.filters: Tensor
        self.register_buffer("filters", slaney_filters(N_FFT, network.lstm.input_size))

    def forward(self, waveform: Tensor) -> Tensor:
        """Features `(batch, n_features, 1)` of waveforms `(batch, time)`.

        Raises:
            RuntimeError: The waveforms are shorter than `min_samples`.
        """
        if waveform.shape[1] < self.min_samples:
            raise RuntimeError(f"{waveform.shape[1]} samples; an embedding needs {self.min_samples}")
        starts = window_starts(waveform.shape[1])
        mels = self._mels(waveform, n_hops=starts[-1] + WINDOW)
        embeddings = torch.stack([self.network(mels[:, start : start + WINDOW]) for start in starts])
        return nn.functional.normalize(embeddings.mean(dim=0), dim=1).unsqueeze(2)

    def _mels(self, waveform: Tensor, *, n_hops: int) -> Tensor:
        """Mel power spectra `(batch, at least n_hops, n_mels)`; silence follows the waveform."""
        effective = waveform.square().mean(dim=1, keepdim=True).sqrt()
        raised = waveform * (LEVEL / effective.clamp_min(1e-8)).clamp_min(1.0)
        raised = nn.functional.pad(raised, (N_FFT // 2, N_FFT // 2 + max(0, n_hops * HOP - waveform.shape[1])))
        window = torch.hann_window(N_FFT, device=waveform.device)
        spectrum = torch.stft(raised, N_FFT, HOP, window=window, center=False, return_complex=True)
        return (self.filters @ spectrum.abs().square()).transpose(1, 2)


def window_starts(n_samples: int) -> list[int]:
    """First hops of the windows of an utterance.

    Args:
        n_samples: Samples of the utterance.
    """
    n_hops = -(-(n_samples + 1) // HOP)
    starts = list(range(0, max(1, n_hops - WINDOW + STEP + 1), STEP))
    if len(starts) > 1 and n_samples - starts[-1] * HOP < COVERAGE * WINDOW * HOP:
        starts.pop()
    return starts


def resemblyzer(*, weights: str | None = None) -> Resemblyzer:
    """The speaker embedding of an utterance as one frame of 256 features.

    Use it with `input: {n_frames: 1}` and a backbone that takes one frame, such as `identity`. As in the package, soft
    audio is raised to -30 dB, and the embedding is the mean over windows of 1.6 s, of length 1. Other than in the
    package, pauses are not cut out: `audio: {trim_silence: true}` removes silence at the ends.

    Args:
        weights: File with the weights, in the format of the package `Resemblyzer`. None: the file of the installed
            package, which is not imported.

    Raises:
        InputError: The file is missing, cannot be read or holds another network.
    """
    path = package_weights("resemblyzer", packages.RESEMBLYZER, weights)
    where = f"front_end: resemblyzer: {path}"
    tensors = {
        name: tensor
        for name, tensor in read_tensors(path, where, key="model_state").items()
        if not name.startswith("similarity_")  # used in the training alone
    }
    with torch.device("meta"):  # allocates nothing: a damaged file may state sizes that its tensors do not have
        network = _network_of(tensors)
    wrong = misfits(tensors, shapes(network))
    if wrong:
        raise InputError(f"{where}: not Resemblyzer's network: {listed(wrong)}")
    network = with_tensors(network, float_tensors(tensors))
    return Resemblyzer(network, weights=digests([path])).requires_grad_(False).eval()


def _network_of(tensors: dict[str, object]) -> Network:
    """Network with the sizes of the given tensors; the published sizes replace those of missing tensors."""
    match tensors.get("lstm.weight_ih_l0"), tensors.get("linear.weight"):
        case Tensor(shape=(_, n_mels)), Tensor(shape=(n_features, n_hidden)) if n_mels and n_features and n_hidden:
            return Network(n_mels, n_hidden, n_features)
    return Network()
