"""Sinc layer on waveforms (Ravanelli 2018), with fixed band-pass filters as in RawNet2 and AASIST."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.audio import SAMPLE_RATE


class SincFilters(nn.Module):
    """Band-pass filters whose edges lie at equal distances on the mel scale, from 0 Hz to half the sample rate.

    A filter is the difference of two low-pass filters, `2 f / rate * sinc(2 f n / rate)`, times a Hamming window. The
    filters are not trained (Tak 2021, section 2.1; Jung 2022, section 3.1).

    Args:
        n_filters: Number of filters, 1 or more.
        kernel: Taps of a filter, odd.

    Raises:
        ValueError: An argument is outside the range above.
    """

    def __init__(self, n_filters: int, *, kernel: int) -> None:
        super().__init__()
        if n_filters < 1:
            raise ValueError(f"n_filters is {n_filters}; it must be at least 1")
        if kernel < 3 or kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}; it must be odd and at least 3")
        mels = np.linspace(0, np.log10(1 + SAMPLE_RATE / 2 / 700), n_filters + 1)  # in units of 2,595 mel
        widths = 2 * 700 * (10 ** mels[:, None] - 1) / SAMPLE_RATE
        low_passes = widths * np.sinc(widths * (np.arange(kernel) - kernel // 2))
        filters = (np.hamming(kernel) * np.diff(low_passes, axis=0)).astype(np.float32)[:, None]
        self.filters: Tensor
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Filtered waveforms `(batch, n_filters, n_samples - kernel + 1)` of waveforms `(batch, 1, n_samples)`."""
        return F.conv1d(waveform, self.filters.to(waveform.dtype))


def check_waveform(n_features: int, n_frames: int, *, at_least: int) -> None:
    """Requires an input of one value per frame and of enough samples.

    Raises:
        ValueError: The features are not those of the front end `waveform`, or an input is too short.
    """
    if n_features != 1:
        raise ValueError(f"the front end has {n_features} features per frame; this network needs `front_end: waveform`")
    if n_frames < at_least:
        raise ValueError(f"input.n_frames is {n_frames} samples; at least {at_least} are needed")
