"""Group delay and modified group delay spectra, which are features of the phase (Xiao 2015; Wu, Chng, Li 2012)."""

import torch
import torchaudio.functional as audio_functional
from torch import Tensor, nn

from core.features.deltas import with_deltas
from core.features.spectral import check_framing

QUIET = 1e-8
"""Floor of a bin's power. Without it the group delay of silence would be a quotient of two rounding errors."""

LARGEST = 65504.0
"""Largest number of half precision, in which features are stored. All values are clamped to plus or minus this."""

HIGHEST_GAMMA = 4.0
"""Maximum of `gamma`: `QUIET ** gamma` must not underflow in float32, or silence would give 0 / 0."""


class GroupDelay(nn.Module):
    """Group delay of every frame, plain or modified, optionally with a DCT and deltas; see `gd` and `mgd`.

    Args:
        n_fft: Points of the FFT.
        win_length: Samples per (Hamming) window.
        hop_length: Samples from one frame to the next.
        pre_emphasis: Coefficient of the pre-emphasis filter; 0: no filter.
        alpha: Exponent of the modified group delay. None: the plain group delay.
        gamma: Exponent of the smoothed power spectrum in the denominator (modified group delay only).
        lifter: Cepstral coefficients that the smoothed spectrum keeps (modified group delay only).
        n_coefficients: Coefficients of a DCT over the bins. None: the bins themselves.
        deltas: Whether deltas and double deltas are appended.

    Raises:
        ValueError: An option is out of range.
    """

    version = 1

    def __init__(
        self,
        *,
        n_fft: int,
        win_length: int,
        hop_length: int,
        pre_emphasis: float,
        alpha: float | None,
        gamma: float,
        lifter: int,
        n_coefficients: int | None,
        deltas: bool,
    ) -> None:
        super().__init__()
        check_framing(n_fft, win_length, hop_length, pre_emphasis)
        n_bins = n_fft // 2 + 1
        wrong = {
            f"alpha is {alpha}; it must be above 0 and at most 1": alpha is not None and not 0 < alpha <= 1,
            f"gamma is {gamma}; it must be above 0 and at most {HIGHEST_GAMMA:g}": not 0 < gamma <= HIGHEST_GAMMA,
            f"lifter is {lifter}; it must be from 1 to n_fft / 2, {n_fft // 2}": not 1 <= lifter <= n_fft // 2,
            f"n_coefficients is {n_coefficients}; it must be from 1 to the number of bins, {n_bins}": (
                n_coefficients is not None and not 1 <= n_coefficients <= n_bins
            ),
        }
        problems = [problem for problem, holds in wrong.items() if holds]
        if problems:
            raise ValueError("; ".join(problems))
        self.n_fft, self.hop_length, self.min_samples = n_fft, hop_length, win_length
        self.pre_emphasis, self.alpha, self.gamma, self.lifter = pre_emphasis, alpha, gamma, lifter
        self.deltas = deltas
        self.weights: dict[str, str] = {}
        self.window: Tensor
        self.cosines: Tensor | None
        self.register_buffer("window", torch.hamming_window(win_length, periodic=False))
        dct = None if n_coefficients is None else audio_functional.create_dct(n_coefficients, n_bins, norm="ortho")
        self.register_buffer("cosines", dct)
        self.n_features = (n_bins if n_coefficients is None else n_coefficients) * (3 if deltas else 1)

    def forward(self, waveform: Tensor) -> Tensor:
        """Features `(batch, n_features, n_frames)` of waveforms `(batch, time)`, `time >= min_samples`.

        `n_frames` is `1 + (time - win_length) // hop_length`; frame `t` begins at sample `t * hop_length`.
        """
        if self.pre_emphasis:
            waveform = audio_functional.preemphasis(waveform, self.pre_emphasis)
        frames = waveform.unfold(1, self.min_samples, self.hop_length) * self.window  # (batch, n_frames, win_length)
        features = self.delays(frames)
        if self.cosines is not None:
            features = features @ self.cosines
        # A delta is half a difference, so deltas stay within the same bounds.
        features = features.clamp(-LARGEST, LARGEST).transpose(1, 2)
        if self.deltas:
            features = with_deltas(features, reach=1, divisor=2)
        return features.contiguous()

    def delays(self, frames: Tensor) -> Tensor:
        """Group delays `(..., n_bins)` of windowed frames `(..., win_length)`; plain ones are in samples.

        Plain delays are clamped to plus or minus `win_length`, modified ones to plus or minus `LARGEST`.
        """
        spectrum = torch.fft.rfft(frames, self.n_fft)
        ramp = torch.arange(self.min_samples, device=frames.device, dtype=frames.dtype)
        ramped = torch.fft.rfft(frames * ramp, self.n_fft)
        product = spectrum.real * ramped.real + spectrum.imag * ramped.imag
        power = spectrum.abs() ** 2
        if self.alpha is None:
            # Near a zero of the spectrum the delay grows without limit, so it is clamped to the length of the window.
            delays: Tensor = product / power.clamp_min(QUIET)
            return delays.clamp(-self.min_samples, self.min_samples)
        smoothed = self.smoothed(power.clamp_min(QUIET))
        modified = product / smoothed**self.gamma
        compressed: Tensor = modified.sign() * modified.abs() ** self.alpha
        return compressed.clamp(-LARGEST, LARGEST)

    def smoothed(self, power: Tensor) -> Tensor:
        """Cepstrally smoothed power spectra `(..., n_bins)`: only the first `lifter` cepstral coefficients are kept."""
        cepstrum = torch.fft.irfft(power.log(), self.n_fft)
        kept = torch.zeros_like(cepstrum)
        kept[..., : self.lifter] = cepstrum[..., : self.lifter]
        if self.lifter > 1:
            kept[..., 1 - self.lifter :] = cepstrum[..., 1 - self.lifter :]  # a real spectrum's cepstrum is symmetric
        envelope: Tensor = torch.fft.rfft(kept, self.n_fft).real.exp()
        return envelope


def gd(
    *,
    n_fft: int = 512,
    win_length: int = 400,
    hop_length: int = 160,
    pre_emphasis: float = 0.97,
    n_coefficients: int | None = None,
    deltas: bool = False,
) -> GroupDelay:
    """Group delay spectra, by default of 257 bins: the negative derivative of the phase with respect to frequency.

    The delays are in samples from the first sample of the window. They are computed without phase unwrapping, from the
    spectra of the frame `x[n]` and of `n * x[n]`.

    Args:
        n_fft: Points of the FFT.
        win_length: Samples per (Hamming) window, at most `n_fft`; delays are clamped to plus or minus this.
        hop_length: Samples from one frame to the next.
        pre_emphasis: Coefficient in [0, 1] of the pre-emphasis filter; 0: no filter.
        n_coefficients: Coefficients of an orthonormal DCT over the bins. None: the bins themselves.
        deltas: Whether deltas and double deltas are appended, which triples the number of features.

    Raises:
        ValueError: An option is out of range.
    """
    return GroupDelay(
        n_fft=n_fft,
        win_length=win_length,
        hop_length=hop_length,
        pre_emphasis=pre_emphasis,
        alpha=None,
        gamma=1.0,
        lifter=1,
        n_coefficients=n_coefficients,
        deltas=deltas,
    ).eval()


def mgd(
    *,
    n_fft: int = 512,
    win_length: int = 400,
    hop_length: int = 160,
    pre_emphasis: float = 0.97,
    alpha: float = 0.4,
    gamma: float = 1.2,
    lifter: int = 30,
    n_coefficients: int | None = None,
    deltas: bool = False,
) -> GroupDelay:
    """Modified group delay spectra: a smoothed spectrum in the denominator avoids spikes at the zeros of the spectrum.

    The features are `sign(N) |N / P^gamma|^alpha`, where N is the numerator of the group delay and P the cepstrally
    smoothed power spectrum. Wu (2012) writes the same with the smoothed magnitude to the power of 2 gamma.

    Args:
        n_fft: Points of the FFT.
        win_length: Samples per (Hamming) window, at most `n_fft`.
        hop_length: Samples from one frame to the next.
        pre_emphasis: Coefficient in [0, 1] of the pre-emphasis filter; 0: no filter.
        alpha: Exponent in (0, 1] that compresses the range of the values; 1: no compression.
        gamma: Exponent in (0, 4] of the smoothed spectrum: the degree to which the spectral envelope is removed.
        lifter: Cepstral coefficients of the smoothed spectrum, c0 included, from 1 to `n_fft // 2`.
        n_coefficients: Coefficients of an orthonormal DCT over the bins. None: the bins themselves.
        deltas: Whether deltas and double deltas are appended, which triples the number of features.

    Raises:
        ValueError: An option is out of range.
    """
    return GroupDelay(
        n_fft=n_fft,
        win_length=win_length,
        hop_length=hop_length,
        pre_emphasis=pre_emphasis,
        alpha=alpha,
        gamma=gamma,
        lifter=lifter,
        n_coefficients=n_coefficients,
        deltas=deltas,
    ).eval()
