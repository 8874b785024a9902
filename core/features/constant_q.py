"""Constant-Q spectra and cepstra (Todisco 2017): frequency bins spaced geometrically, like the notes of a scale.

The transform is the non-stationary Gabor transform of the reference implementation (Velasco 2011; Schoerkhuber 2014).
Every bin is a window in the frequency domain. The inverse FFT of the spectrum under this window is the bin's signal in
time. librosa's variable-Q transform is not used, for two reasons: its hop must be a multiple of a power of two that
grows with the number of octaves (256 for nine), and it refuses a highest bin that reaches beyond the Nyquist frequency.
"""

import math

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from core.audio import SAMPLE_RATE
from core.features.deltas import with_deltas
from core.features.spectral import EPSILON

ERB = 228.7
"""Offset in Hz of the auditory filters: the equivalent rectangular bandwidth at frequency `f`, `24.7 + f / 9.265` Hz,
is proportional to `f + ERB`. The exact value is 24.7 * 9.265 = 228.8; the reference implementation has 228.7."""

TOGETHER = 32.0
"""Seconds of padded signal that are transformed for all bins at once. Longer signals are transformed in groups of bins,
which limits the memory."""


class ConstantQ(nn.Module):
    """Log power of a constant-Q transform, optionally with a cepstral transform and deltas.

    Args:
        bins_per_octave: Bins per octave.
        f_min: Centre of the lowest bin, Hz.
        f_max: Upper limit of the centres, Hz; the highest centre is below it.
        hop_length: Samples from one frame to the next.
        gamma: Amount in Hz that is added to every bandwidth; 0: constant Q. None: see `bandwidths`.
        cepstra: Matrix `(n_coefficients, n_bins)` from a log spectrum to cepstra; None: the log spectrum itself.
        deltas: Whether deltas and double deltas are appended.

    Raises:
        ValueError: The options are out of range or contradict each other.
    """

    version = 3

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
        self.centres = centres(bins_per_octave, f_min, f_max, gamma)
        self.bandwidths = bandwidths(bins_per_octave, self.centres, gamma)
        longest_hop = int(SAMPLE_RATE / self.bandwidths.max())
        if hop_length > longest_hop:
            raise ValueError(
                f"hop_length is {hop_length}; it must be at most {longest_hop}, "
                f"or the widest bin ({self.bandwidths.max():.1f} Hz) would be aliased"
            )
        self.hop_length = hop_length
        self.min_samples = hop_length
        self.weights: dict[str, str] = {}
        self.deltas = deltas
        self.cepstra: Tensor | None
        self.register_buffer("cepstra", cepstra)
        self.n_features = (len(self.centres) if cepstra is None else len(cepstra)) * (3 if deltas else 1)
        # The FFT treats the signal as periodic. A Hann window of bandwidth B in frequency extends over about 4 / B in
        # time, so half of this as silence on either side keeps the end of the signal out of its beginning.
        self.margin = hop_length * math.ceil(4 * SAMPLE_RATE / (2 * self.bandwidths.min() * hop_length))

    def forward(self, waveform: Tensor) -> Tensor:
        """Features `(batch, n_features, n_frames)` of waveforms `(batch, time)`, `time >= min_samples`.

        `n_frames` is `time // hop_length`; frame `t` is centred on sample `t * hop_length`.
        """
        power = self.power(waveform) + EPSILON
        features = power.log10() if self.cepstra is None else self.cepstra @ power.log()
        if self.deltas:
            features = with_deltas(features, reach=3, divisor=28)
        return features.contiguous()

    def power(self, waveform: Tensor) -> Tensor:
        """Squared magnitudes `(batch, n_bins, n_frames)`; a sinusoid of amplitude 1 at the centre of any bin gives 1.

        Args:
            waveform: `(batch, time)`.

        Raises:
            RuntimeError: The waveform is shorter than `min_samples`.
        """
        n_frames = waveform.shape[1] // self.hop_length
        if n_frames < 1:
            raise RuntimeError(f"{waveform.shape[1]} samples; a frame needs {self.min_samples}")
        # The padded signal has a whole number of hops, so that its frames coincide with those of the signal.
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

    def _bins(self, spectrum: Tensor, bins: slice, length: int, n_hops: int) -> Tensor:
        """Squared magnitudes `(batch, n, n_hops)` of the given bins, from the half spectrum of `length` samples."""
        device = spectrum.device
        resolution = SAMPLE_RATE / length
        middle = self.centres[bins] / resolution
        nearest = np.rint(middle)
        # The n_hops lines of the spectrum around the centre of each bin: the inverse FFT takes this number.
        steps = torch.arange(-(n_hops // 2), n_hops - n_hops // 2, device=device)
        lines = torch.from_numpy(nearest.astype(np.int64)).to(device)[:, None] + steps
        offset, width = (
            torch.from_numpy(values).to(spectrum.real)[:, None]
            for values in (nearest - middle, self.bandwidths[bins] / resolution)
        )
        position = (steps + offset) / width
        window = torch.where(position.abs() < 0.5, 0.5 + 0.5 * torch.cos(2 * math.pi * position), 0.0)
        # Lines beyond the Nyquist frequency belong to negative frequencies, so a window that reaches there is cut off.
        inside = (lines >= 0) & (lines < spectrum.shape[1])
        windowed = spectrum[:, lines.clamp(0, spectrum.shape[1] - 1)] * torch.where(inside, window, 0.0)
        signal = torch.fft.ifft(torch.fft.ifftshift(windowed, dim=-1), dim=-1)
        # A sinusoid of amplitude 1 has length / 2 in its line of the spectrum, and the inverse FFT divides by n_hops.
        magnitude: Tensor = signal.abs() * (2 * n_hops / length)
        return magnitude**2


def centres(
    bins_per_octave: int, f_min: float, f_max: float, gamma: float | None
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Centres `(n_bins,)` of the bins, Hz: all `f_min * 2 ** (k / bins_per_octave)` below `f_max`.

    As in the reference implementation, bins whose window reaches beyond the Nyquist frequency are left out.

    Args:
        bins_per_octave: Bins per octave.
        f_min: Centre of the lowest bin, Hz.
        f_max: Upper limit of the centres, Hz.
        gamma: Amount in Hz that is added to every width; see `bandwidths`.
    """
    n_bins = math.ceil(bins_per_octave * math.log2(f_max / f_min) - 1e-9)
    below = np.asarray(f_min * 2.0 ** (np.arange(n_bins) / bins_per_octave))
    highest = below + bandwidths(bins_per_octave, below, gamma) / 2
    return np.asarray(below[highest <= SAMPLE_RATE / 2])


def bandwidths(
    bins_per_octave: int, of: np.ndarray[tuple[int], np.dtype[np.float64]], gamma: float | None
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Widths `(n_bins,)` of the bins, Hz, from the first zero of a window to the last.

    Args:
        bins_per_octave: Bins per octave.
        of: Centres `(n_bins,)` of the bins, Hz.
        gamma: Amount in Hz that is added to every width. None: the amount that makes the widths proportional to the
            auditory filters (see `ERB`).
    """
    relative = 2 ** (1 / bins_per_octave) - 2 ** (-1 / bins_per_octave)
    added = ERB * relative if gamma is None else gamma
    return np.asarray(relative * of + added)


def cepstral_matrix(
    n_cqcc: int, of: np.ndarray[tuple[int], np.dtype[np.float64]], *, d: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Matrix `(n_cqcc, n_bins)` from a log spectrum with geometrically spaced bins to cepstra.

    Cubic splines interpolate the log spectrum at equally spaced frequencies, `1 / d` of the lowest centre apart. The
    orthonormal DCT-II transforms the result. Both steps are linear, so their product is one matrix.

    Args:
        n_cqcc: Coefficients kept, c0 first.
        of: Centres `(n_bins,)` of the bins, Hz.
        d: Number of equal steps in the first octave.
    """
    uniform = np.arange(of[0], of[-1] + 1e-9, of[0] / d)
    splines = scipy.interpolate.CubicSpline(of, np.eye(len(of)))(uniform)  # (n_uniform, n_bins)
    return np.asarray(scipy.fft.dct(splines, type=2, norm="ortho", axis=0)[:n_cqcc])


def check_bins(bins_per_octave: int, f_min: float, f_max: float, hop_length: int, gamma: float | None) -> None:
    """Checks the options that define the bins.

    Raises:
        ValueError: Options are out of range; the message lists all of them.
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
    problems = [problem for problem, holds in wrong.items() if holds]
    if problems:
        raise ValueError("; ".join(problems))


def cqt(
    *,
    bins_per_octave: int = 96,
    f_min: float = 15.625,
    f_max: float = SAMPLE_RATE / 2,
    hop_length: int = 128,
    gamma: float | None = None,
) -> ConstantQ:
    """Log10 power of a constant-Q transform; by default 863 bins every 8 ms.

    Args:
        bins_per_octave: Bins per octave, 1 or more.
        f_min: Centre of the lowest bin, Hz; 15.625 is nine octaves below 8 kHz.
        f_max: Upper limit of the centres, Hz, at most 8000.
        hop_length: Samples from one frame to the next; 128 is just short enough for the widest default bin.
        gamma: Amount in Hz, 0 or more, that is added to every bandwidth and shortens the windows of the low bins in
            time. 0: true constant Q, whose lowest bins need ten seconds of signal. None: the amount that makes the
            widths proportional to the auditory filters (3.3 Hz by default).

    Raises:
        ValueError: The options are out of range or contradict each other.
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
    """Constant-Q cepstral coefficients (CQCC); the defaults are those of the ASVspoof 2019 baseline: 90 features.

    As in the baseline, they come from the natural logarithm of the power plus `EPSILON`, and deltas are slopes over
    seven frames.

    Args:
        n_cqcc: Coefficients kept, c0 included, from 1 to the number of bins.
        d: Resampling of the frequency axis to equal steps, 1 or more: the number of steps in the first octave.
        bins_per_octave: Bins per octave; this and the next four options as in `cqt`.
        f_min: Centre of the lowest bin, Hz.
        f_max: Upper limit of the centres, Hz.
        hop_length: Samples from one frame to the next.
        gamma: Amount in Hz that is added to every bandwidth.
        deltas: Whether deltas and double deltas are appended, which triples the number of features.

    Raises:
        ValueError: The options are out of range or contradict each other.
    """
    check_bins(bins_per_octave, f_min, f_max, hop_length, gamma)
    bin_centres = centres(bins_per_octave, f_min, f_max, gamma)
    if d < 1:
        raise ValueError(f"d is {d}; it must be at least 1")
    n_bins = len(bin_centres)
    if n_bins < 2 or not 1 <= n_cqcc <= n_bins:
        raise ValueError(
            f"n_cqcc is {n_cqcc}; it must be from 1 to the number of bins, {n_bins}, and there must be 2 bins or more"
        )
    matrix = torch.from_numpy(cepstral_matrix(n_cqcc, bin_centres, d=d)).float()
    return ConstantQ(
        bins_per_octave=bins_per_octave,
        f_min=f_min,
        f_max=f_max,
        hop_length=hop_length,
        gamma=gamma,
        cepstra=matrix,
        deltas=deltas,
    ).eval()
