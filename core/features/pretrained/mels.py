"""Mel spectra as pretrained encoders expect them: Slaney's scale, or Kaldi's."""

from functools import partial

import torch
import torchaudio.functional as audio_functional
from torch import Tensor

from core.audio import SAMPLE_RATE


def slaney_filters(n_fft: int, n_mels: int) -> Tensor:
    """Filters `(n_mels, n_fft // 2 + 1)` for power spectra: triangles of equal area on Slaney's mel scale, 0 to 8 kHz.

    Args:
        n_fft: Points of the FFT.
        n_mels: Filters.
    """
    filters: Tensor = audio_functional.melscale_fbanks(
        n_fft // 2 + 1, 0.0, SAMPLE_RATE / 2, n_mels, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return filters.T.contiguous()


def fbank(waveform: Tensor, window: str, n_mels: int) -> Tensor:
    """Kaldi's log-mel spectra `(batch, n_windows, n_mels)` of waveforms `(batch, time)`."""
    import torchaudio.compliance.kaldi as kaldi

    spectrum = partial(kaldi.fbank, sample_frequency=SAMPLE_RATE, window_type=window, num_mel_bins=n_mels)
    return torch.stack([spectrum(single[None]) for single in waveform])
