"""Spectral front ends: LFCC, MFCC and log power spectra.

LFCC follow the ASVspoof 2019 baseline (Sahidullah 2015), and MFCC follow LFCC. The floor of the logarithm is constant.
torchaudio's own LFCC and MFCC put it 80 dB below the loudest value of the whole batch, so that the features of a
waveform would depend on the other waveforms.
"""

import warnings
from typing import Literal

import torch
import torchaudio.functional as audio_functional
from torch import Tensor, nn

from core.audio import SAMPLE_RATE
from core.features.deltas import with_deltas

FLOOR = 1e-10
"""Minimum of a power in a log spectrum, so that silence becomes -10."""

EPSILON = 2.0**-52
"""Added to the energies before the logarithm of cepstra, as in the baseline, so that silence becomes -15.65."""

Window = Literal["hamming", "hann", "blackman"]
_WINDOWS = {"hamming": torch.hamming_window, "hann": torch.hann_window, "blackman": torch.blackman_window}


class Spectral(nn.Module):
    """Log10 power spectra, optionally with a filter bank, a DCT, mean normalisation and deltas.

    Spectra have whole windows only. Cepstra, which have a DCT, also have a last window that the waveform fills in part;
    zeros follow it. Their deltas are differences `x[t + 1] - x[t - 1]`. Both are as in the ASVspoof 2019 baseline.

    Args:
        n_fft: Points of the FFT; every window is zero-padded to this size on both sides.
        win_length: Samples per window.
        hop_length: Samples from one frame to the next.
        window: Shape of the window, symmetric.
        pre_emphasis: Coefficient of the filter `y[t] = x[t] - pre_emphasis * x[t - 1]`, with `y[0] = x[0]`.
        filters: Filter bank `(n_fft // 2 + 1, n_filters)`. None: the power spectrum itself.
        cosines: DCT matrix `(n_filters, n_coefficients)` for the log energies. None: the log energies themselves.
        deltas: Whether deltas and double deltas are appended.
        mean_normalize: Whether each feature's mean over the utterance is subtracted, before the deltas.
    """

    version = 2

    def __init__(
        self,
        *,
        n_fft: int,
        win_length: int,
        hop_length: int,
        window: Window = "hamming",
        pre_emphasis: float = 0.0,
        filters: Tensor | None = None,
        cosines: Tensor | None = None,
        deltas: bool = False,
        mean_normalize: bool = False,
    ) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.min_samples = win_length
        self.weights: dict[str, str] = {}
        self.pre_emphasis = pre_emphasis
        self.deltas = deltas
        self.mean_normalize = mean_normalize
        self.window: Tensor
        self.filters: Tensor | None
        self.cosines: Tensor | None
        self.register_buffer("window", _WINDOWS[window](win_length, periodic=False))
        self.register_buffer("filters", filters)
        self.register_buffer("cosines", cosines)
        bands = n_fft // 2 + 1 if filters is None else filters.shape[1]
        self.n_features = (bands if cosines is None else cosines.shape[1]) * (3 if deltas else 1)

    def forward(self, waveform: Tensor) -> Tensor:
        """Features `(batch, n_features, n_frames)` of waveforms `(batch, time)`, `time >= min_samples`.

        `n_frames` is `1 + (time - win_length) / hop_length`, rounded up for cepstra and down for spectra. Frame `t`
        begins at sample `t * hop_length`.

        Raises:
            RuntimeError: The waveform is shorter than `min_samples`.
        """
        if waveform.shape[1] < self.min_samples:
            raise RuntimeError(f"{waveform.shape[1]} samples; a frame needs {self.min_samples}")
        if self.pre_emphasis:
            waveform = audio_functional.preemphasis(waveform, self.pre_emphasis)
        if self.cosines is not None:
            waveform = nn.functional.pad(waveform, (0, -(waveform.shape[1] - self.min_samples) % self.hop_length))
        # A window is centred in the n_fft points of its FFT. This padding keeps the first and last samples in a frame.
        left = (self.n_fft - self.min_samples) // 2
        waveform = nn.functional.pad(waveform, (left, self.n_fft - self.min_samples - left))
        power: Tensor = audio_functional.spectrogram(
            waveform,
            pad=0,
            window=self.window,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            win_length=self.min_samples,
            power=2.0,
            normalized=False,
            center=False,
        ).transpose(1, 2)  # (batch, n_frames, n_fft // 2 + 1)
        if self.filters is not None:
            power = power @ self.filters
        features = power.clamp_min(FLOOR).log10() if self.cosines is None else (power + EPSILON).log10() @ self.cosines
        features = features.transpose(1, 2)  # (batch, n_coefficients, n_frames)
        if self.mean_normalize:
            features = features - features.mean(dim=-1, keepdim=True)
        if self.deltas:
            features = with_deltas(features, reach=1, divisor=1)
        return features.contiguous()


def lfcc(
    *,
    n_lfcc: int = 20,
    n_filter: int = 20,
    n_fft: int = 512,
    win_length: int = 320,
    hop_length: int = 160,
    f_min: float = 0.0,
    f_max: float = SAMPLE_RATE / 2,
    pre_emphasis: float = 0.97,
    deltas: bool = True,
    mean_normalize: bool = False,
) -> Spectral:
    """Linear frequency cepstral coefficients (LFCC); the defaults are those of the ASVspoof 2019 baseline: 60 features.

    Args:
        n_lfcc: Coefficients kept, c0 included, from 1 to `n_filter`.
        n_filter: Triangular filters, equally spaced in Hz.
        n_fft: Points of the FFT.
        win_length: Samples per (Hamming) window, at most `n_fft`; 320 are 20 ms.
        hop_length: Samples from one frame to the next; 160 are 10 ms.
        f_min: Lower edge of the first filter, Hz.
        f_max: Upper edge of the last filter, Hz, at most 8000.
        pre_emphasis: Coefficient in [0, 1] of the pre-emphasis filter; 0: no filter.
        deltas: Whether deltas and double deltas are appended, which triples the number of features.
        mean_normalize: Whether the mean over the utterance is subtracted, which removes a constant channel.

    Raises:
        ValueError: The options are out of range or contradict each other, or a filter is narrower than a bin of the
            FFT.
    """
    check_framing(n_fft, win_length, hop_length, pre_emphasis)
    _check_filters("n_lfcc", n_lfcc, "n_filter", n_filter, f_min, f_max)
    filters = audio_functional.linear_fbanks(n_fft // 2 + 1, f_min, f_max, n_filter, SAMPLE_RATE)
    return Spectral(
        n_fft=n_fft,
        win_length=win_length,
        hop_length=hop_length,
        pre_emphasis=pre_emphasis,
        filters=_without_gaps(filters, "n_filter", n_fft),
        cosines=audio_functional.create_dct(n_lfcc, n_filter, norm="ortho"),
        deltas=deltas,
        mean_normalize=mean_normalize,
    ).eval()


def mfcc(
    *,
    n_mfcc: int = 20,
    n_mels: int = 40,
    n_fft: int = 512,
    win_length: int = 320,
    hop_length: int = 160,
    f_min: float = 0.0,
    f_max: float = SAMPLE_RATE / 2,
    pre_emphasis: float = 0.97,
    deltas: bool = True,
    mean_normalize: bool = False,
) -> Spectral:
    """Mel frequency cepstral coefficients (MFCC): as `lfcc`, with filters equally spaced in mel (HTK's formula).

    Args:
        n_mfcc: Coefficients kept, c0 included, from 1 to `n_mels`.
        n_mels: Triangular filters, equally spaced in mel.
        n_fft: Points of the FFT.
        win_length: Samples per (Hamming) window, at most `n_fft`.
        hop_length: Samples from one frame to the next.
        f_min: Lower edge of the first filter, Hz.
        f_max: Upper edge of the last filter, Hz, at most 8000.
        pre_emphasis: Coefficient in [0, 1] of the pre-emphasis filter; 0: no filter.
        deltas: Whether deltas and double deltas are appended, which triples the number of features.
        mean_normalize: Whether the mean over the utterance is subtracted, which removes a constant channel.

    Raises:
        ValueError: The options are out of range or contradict each other, or a filter is narrower than a bin of the
            FFT.
    """
    check_framing(n_fft, win_length, hop_length, pre_emphasis)
    _check_filters("n_mfcc", n_mfcc, "n_mels", n_mels, f_min, f_max)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchaudio warns of empty filters; here they are an error
        filters = audio_functional.melscale_fbanks(n_fft // 2 + 1, f_min, f_max, n_mels, SAMPLE_RATE)
    return Spectral(
        n_fft=n_fft,
        win_length=win_length,
        hop_length=hop_length,
        pre_emphasis=pre_emphasis,
        filters=_without_gaps(filters, "n_mels", n_fft),
        cosines=audio_functional.create_dct(n_mfcc, n_mels, norm="ortho"),
        deltas=deltas,
        mean_normalize=mean_normalize,
    ).eval()


def logspec(
    *,
    n_fft: int = 512,
    win_length: int = 400,
    hop_length: int = 160,
    window: Window = "hamming",
    pre_emphasis: float = 0.0,
    mean_normalize: bool = False,
) -> Spectral:
    """Log10 power spectra of `n_fft // 2 + 1` bins; by default 257 bins every 10 ms.

    Args:
        n_fft: Points of the FFT.
        win_length: Samples per window, at most `n_fft`; 400 are 25 ms.
        hop_length: Samples from one frame to the next.
        window: Shape of the window.
        pre_emphasis: Coefficient in [0, 1] of the pre-emphasis filter; 0: no filter.
        mean_normalize: Whether each bin's mean over the utterance is subtracted, which removes a constant channel.

    Raises:
        ValueError: Options are out of range; the message lists all of them.
    """
    check_framing(n_fft, win_length, hop_length, pre_emphasis)
    return Spectral(
        n_fft=n_fft,
        win_length=win_length,
        hop_length=hop_length,
        window=window,
        pre_emphasis=pre_emphasis,
        mean_normalize=mean_normalize,
    ).eval()


def check_framing(n_fft: int, win_length: int, hop_length: int, pre_emphasis: float) -> None:
    """Checks the options that cut a waveform into frames.

    Raises:
        ValueError: Options are out of range; the message lists all of them.
    """
    _refuse(
        {
            f"win_length is {win_length}; it must be from 2 to n_fft, {n_fft}": not 2 <= win_length <= n_fft,
            f"hop_length is {hop_length}; it must be at least 1": hop_length < 1,
            f"pre_emphasis is {pre_emphasis}; it must be from 0 to 1": not 0 <= pre_emphasis <= 1,
        }
    )


def _check_filters(kept_name: str, kept: int, filters_name: str, n_filters: int, f_min: float, f_max: float) -> None:
    nyquist = SAMPLE_RATE / 2
    _refuse(
        {
            f"{filters_name} is {n_filters}; it must be at least 1": n_filters < 1,
            f"{kept_name} is {kept}; it must be from 1 to {filters_name}, {n_filters}": not 1 <= kept <= n_filters,
            f"f_min is {f_min:g} and f_max {f_max:g}; 0 <= f_min < f_max <= {nyquist:g} must hold": not (
                0 <= f_min < f_max <= nyquist
            ),
        }
    )


def _refuse(wrong: dict[str, bool]) -> None:
    problems = [problem for problem, holds in wrong.items() if holds]
    if problems:
        raise ValueError("; ".join(problems))


def _without_gaps(filters: Tensor, name: str, n_fft: int) -> Tensor:
    empty = int((filters.sum(dim=0) == 0).sum())
    if empty:
        raise ValueError(
            f"{name} is {filters.shape[1]}, and {empty} of these filters are narrower than a bin of "
            f"n_fft {n_fft}; take fewer filters or a larger n_fft"
        )
    return filters
