"""Constant-Q spectra and cepstra (Todisco 2017): bins spaced like the notes of a scale.

The transform is the non-stationary Gabor one of the reference implementation (Velasco 2011; Schoerkhuber 2014): every
bin is a window in the frequency domain, and the part of the signal's spectrum under it, transformed back, is the bin's
course in time. librosa's variable-Q transform cannot stand in: its hop must be a multiple of a power of two that grows
with the octaves (256 for nine), and it refuses a highest band that reaches beyond half the sample rate.
"""

import math

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from core.audio import SAMPLE_RATE
from core.features.spectral import delta

ERB = 228.7
"""Frequency, Hz, by which the centre of a bin is raised so that its width is in proportion to the ear's filter, of
`24.7 + f / 9.265` Hz: their product is 228.8, which the reference implementation writes as 228.7."""

EPSILON = 2.0**-52
"""Added to powers before the logarithm, as in the reference implementation: silence has -15.65 in base 10. On the scale
of these powers, a sinusoid's squared amplitude, 16-bit rounding noise has 1e-14 (lowest bins) to 1e-12, above it."""

TOGETHER = 32.0
"""Seconds of padded signal whose spectrum under all bins is kept at once; longer ones go bin group by bin group."""


class ConstantQ(nn.Module):
    """Log power of a constant-Q transform, optionally as cepstra and with deltas.

    Args:
        bins_per_octave: Bins an octave.
        f_min: Centre of the lowest bin, Hz.
        f_max: The centre of the highest bin lies below it, Hz.
        hop_length: Samples from one value of a bin to the next.
        gamma: What is added to every bandwidth, Hz; 0 = constant Q.
        cepstra: Matrix `(n_coefficients, n_bins)` that makes cepstra of a log spectrum, or None.
        deltas: Append 3-point deltas and the deltas of those.

    Raises:
        ValueError: sizes that do not fit together; every one is listed.
    """

    version = 2

    def __init__(
        self,
        *,
        bins_per_octave: int,
        f_min: float,
        f_max: float,
        hop_length: int,
        gamma: float | None,
        cepstra: Tensor | None = None,
        deltas: bool = False,
    ) -> None:
        super().__init__()
        check_bins(bins_per_octave, f_min, f_max, hop_length, gamma)
        self.centres = centres(bins_per_octave, f_min, f_max)
        self.bandwidths = bandwidths(bins_per_octave, self.centres, gamma)
        longest_hop = int(SAMPLE_RATE / self.bandwidths.max())
        if hop_length > longest_hop:
            raise ValueError(
                f"hop_length is {hop_length}; the widest bin, of {self.bandwidths.max():.1f} Hz, needs {longest_hop} "
                "or less, else its course in time would be aliased"
            )
        self.hop_length = hop_length
        self.min_samples = hop_length
        self.weights: dict[str, str] = {}
        self.deltas = deltas
        self.cepstra: Tensor | None
        self.register_buffer("cepstra", cepstra)
        self.n_features = (len(self.centres) if cepstra is None else len(cepstra)) * (3 if deltas else 1)
        # A Hann window of bandwidth B in frequency lasts about 4 / B in time: so much silence on either side keeps
        # the end of a signal, which the FFT makes periodic, out of its beginning.
        self.margin = hop_length * math.ceil(4 * SAMPLE_RATE / (2 * self.bandwidths.min() * hop_length))

    def forward(self, waveform: Tensor) -> Tensor:
        """Features `(batch, n_features, n_frames)` of waveforms `(batch, time)`, `time >= min_samples`.

        `n_frames` is `time // hop_length`; frame `t` is centred on sample `t * hop_length`.
        """
        power = self.power(waveform) + EPSILON
        features = power.log10() if self.cepstra is None else self.cepstra @ power.log()
        if self.deltas:
            first = delta(features)
            features = torch.cat([features, first, delta(first)], dim=1)
        return features.contiguous()

    def power(self, waveform: Tensor) -> Tensor:
        """Squared magnitudes `(batch, n_bins, n_frames)`; a sinusoid of amplitude 1 has 1 in its bin, whichever."""
        n_frames = waveform.shape[1] // self.hop_length
        if n_frames < 1:
            raise RuntimeError(f"{waveform.shape[1]} samples; a frame needs {self.min_samples}")
        # A whole number of hops, so that the frames of the padded signal fall on those of the signal.
        n_hops = 2 * self.margin // self.hop_length + math.ceil(waveform.shape[1] / self.hop_length)
        length = n_hops * self.hop_length
        padded = nn.functional.pad(waveform, (self.margin, length - self.margin - waveform.shape[1]))
        spectrum = torch.fft.rfft(padded)
        group = max(1, int(len(self.centres) * TOGETHER * SAMPLE_RATE / (length * len(waveform))))
        parts = [
            self._bins(spectrum, slice(begin, begin + group), length, n_hops)
            for begin in range(0, len(self.centres), group)
        ]
        first = self.margin // self.hop_length
        return torch.cat(parts, dim=1)[:, :, first : first + n_frames]

    def _bins(self, spectrum: Tensor, which: slice, length: int, n_hops: int) -> Tensor:
        """Squared magnitudes `(batch, n, n_hops)` of some bins, from the half spectrum of `length` padded samples."""
        device = spectrum.device
        resolution = SAMPLE_RATE / length
        middle = self.centres[which] / resolution
        nearest = np.rint(middle)
        # The lines of the spectrum around the middle of each bin, n_hops of them: as many as the inverse FFT takes.
        steps = torch.arange(-(n_hops // 2), n_hops - n_hops // 2, device=device)
        lines = torch.from_numpy(nearest.astype(np.int64)).to(device)[:, None] + steps
        off, width = (
            torch.from_numpy(each).to(spectrum.real)[:, None]
            for each in (nearest - middle, self.bandwidths[which] / resolution)
        )
        position = (steps + off) / width
        window = torch.where(position.abs() < 0.5, 0.5 + 0.5 * torch.cos(2 * math.pi * position), 0.0)
        # Lines beyond half the sample rate belong to negative frequencies: a bin that reaches there is cut off.
        inside = (lines >= 0) & (lines < spectrum.shape[1])
        held = spectrum[:, lines.clamp(0, spectrum.shape[1] - 1)] * torch.where(inside, window, 0.0)
        course = torch.fft.ifft(torch.fft.ifftshift(held, dim=-1), dim=-1)
        # Of a sinusoid of amplitude 1 one line of the spectrum holds length / 2, and the inverse FFT divides by n_hops.
        magnitude: Tensor = course.abs() * (2 * n_hops / length)
        return magnitude**2


def centres(bins_per_octave: int, f_min: float, f_max: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Centres of the bins, Hz: `f_min * 2 ** (k / bins_per_octave)`, as long as they are below `f_max`."""
    n_bins = math.ceil(bins_per_octave * math.log2(f_max / f_min) - 1e-9)
    return np.asarray(f_min * 2.0 ** (np.arange(n_bins) / bins_per_octave))


def bandwidths(
    bins_per_octave: int, of: np.ndarray[tuple[int], np.dtype[np.float64]], gamma: float | None
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Widths of the bins, Hz, from one zero of a window to the other.

    Args:
        bins_per_octave: Bins an octave.
        of: Centres of the bins, Hz.
        gamma: What is added to every width, Hz; None = what makes the widths proportional to the ear's.
    """
    relative = 2 ** (1 / bins_per_octave) - 2 ** (-1 / bins_per_octave)
    added = ERB * relative if gamma is None else gamma
    return np.asarray(relative * of + added)


def cepstral_matrix(
    n_cqcc: int, of: np.ndarray[tuple[int], np.dtype[np.float64]], *, d: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Matrix `(n_cqcc, n_bins)` from a log spectrum on a scale of bins to cepstra.

    The log spectrum is interpolated by cubic splines onto frequencies with one distance, `1 / d` of the lowest centre,
    and transformed by the orthonormal DCT-II. Both steps are linear, so that together they are one matrix.

    Args:
        n_cqcc: Coefficients kept, c0 first.
        of: Centres of the bins, Hz.
        d: Parts of the first octave.
    """
    uniform = np.arange(of[0], of[-1] + 1e-9, of[0] / d)
    splines = scipy.interpolate.CubicSpline(of, np.eye(len(of)))(uniform)  # (n_uniform, n_bins)
    return np.asarray(scipy.fft.dct(splines, type=2, norm="ortho", axis=0)[:n_cqcc])


def check_bins(bins_per_octave: int, f_min: float, f_max: float, hop_length: int, gamma: float | None) -> None:
    """Refuses what makes no bins.

    Raises:
        ValueError: every option out of range.
    """
    nyquist = SAMPLE_RATE / 2
    wrong = {
        f"bins_per_octave is {bins_per_octave}; it must be at least 1": bins_per_octave < 1,
        f"f_min is {f_min:g} and f_max {f_max:g}; 0 < f_min < f_max <= {nyquist:g} must hold": not (
            0 < f_min < f_max <= nyquist
        ),
        f"hop_length is {hop_length}; it must be at least 1": hop_length < 1,
        f"gamma is {gamma}; it must be at least 0": gamma is not None and gamma < 0,
    }
    found = [problem for problem, holds in wrong.items() if holds]
    if found:
        raise ValueError("; ".join(found))


def cqt(
    *,
    bins_per_octave: int = 96,
    f_min: float = 15.625,
    f_max: float = SAMPLE_RATE / 2,
    hop_length: int = 128,
    gamma: float | None = None,
) -> ConstantQ:
    """Log10 power of a constant-Q transform: 864 bins by default, every 8 ms.

    Args:
        bins_per_octave: Bins an octave.
        f_min: Centre of the lowest bin, Hz; 15.625 is nine octaves below 8 kHz.
        f_max: The bins end below it, Hz.
        hop_length: Samples from one frame to the next; 128 is just short enough for the widest default bin.
        gamma: Hz added to every bandwidth, which shortens the low bins' memory; 0 = truly constant Q, whose lowest bins
            need ten seconds of signal; None = as wide as the ear's filters are in proportion (3.3 Hz by default).

    Raises:
        ValueError: sizes that do not fit together; every one is listed.
    """
    return ConstantQ(
        bins_per_octave=bins_per_octave, f_min=f_min, f_max=f_max, hop_length=hop_length, gamma=gamma
    ).eval()


def cqcc(
    *,
    n_cqcc: int = 30,
    d: int = 16,
    bins_per_octave: int = 96,
    f_min: float = 15.625,
    f_max: float = SAMPLE_RATE / 2,
    hop_length: int = 128,
    gamma: float | None = None,
    deltas: bool = True,
) -> ConstantQ:
    """Constant-Q cepstral coefficients; the defaults are the 90-d ones of the ASVspoof 2019 baseline.

    The logarithm is the natural one of the power plus an epsilon, as there.

    Args:
        n_cqcc: Coefficients kept, c0 first: 30 are c0 and 29 others.
        d: Resampling of the frequency axis: the first octave gets `d` parts, and every other Hz the same density.
        bins_per_octave: Bins an octave; this and the next four as of `cqt`.
        f_min: Centre of the lowest bin, Hz.
        f_max: The bins end below it, Hz.
        hop_length: Samples from one frame to the next.
        gamma: Hz added to every bandwidth.
        deltas: Append deltas and double deltas, three times as many features in all.

    Raises:
        ValueError: sizes that do not fit together; every one is listed.
    """
    check_bins(bins_per_octave, f_min, f_max, hop_length, gamma)
    of = centres(bins_per_octave, f_min, f_max)
    if d < 1:
        raise ValueError(f"d is {d}; it must be at least 1")
    if len(of) < 2 or not 1 <= n_cqcc <= len(of):
        raise ValueError(
            f"n_cqcc is {n_cqcc}; it must be from 1 to the number of bins, {len(of)}, of which 2 are needed"
        )
    matrix = torch.from_numpy(cepstral_matrix(n_cqcc, of, d=d)).float()
    return ConstantQ(
        bins_per_octave=bins_per_octave,
        f_min=f_min,
        f_max=f_max,
        hop_length=hop_length,
        gamma=gamma,
        cepstra=matrix,
        deltas=deltas,
    ).eval()
