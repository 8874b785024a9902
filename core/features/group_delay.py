"""Group delay and modified group delay spectra: features of the phase (Xiao 2015; Wu, Chng, Li 2012)."""

import torch
import torchaudio.functional as audio_functional
from torch import Tensor, nn

from core.features.spectral import check_framing, delta

QUIET = 1e-8
"""Power under which a bin is taken to have this power: the group delay of nothing is a division of noise by noise."""

LARGEST = 65504.0
"""Largest number of half precision, in which features are stored; all values are held within it on either side."""

HIGHEST_GAMMA = 4.0
"""`QUIET ** gamma` must stay a number in float32, else silence would be 0 / 0."""


class GroupDelay(nn.Module):
    """Group delay of each frame, optionally modified, as cepstra and with deltas; see `gd` and `mgd`.

    Args:
        n_fft: Points of the FFT.
        win_length: Samples a (Hamming) window.
        hop_length: Samples from one window to the next.
        pre_emphasis: Weight of the previous sample that is subtracted.
        alpha: Power to which the modified group delay is raised; None = the plain group delay.
        gamma: Power of the smoothed spectrum that it is divided by.
        lifter: Cepstral coefficients that the smoothed spectrum keeps.
        n_coefficients: Coefficients of a DCT over the bins, or None for the bins themselves.
        deltas: Append 3-point deltas and the deltas of those.

    Raises:
        ValueError: an option out of range; every one is listed.
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
        found = [problem for problem, holds in wrong.items() if holds]
        if found:
            raise ValueError("; ".join(found))
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

        `n_frames` is `1 + (time - win_length) // hop_length`; frame `t` sees the samples from `t * hop_length` on.
        """
        if self.pre_emphasis:
            waveform = audio_functional.preemphasis(waveform, self.pre_emphasis)
        frames = waveform.unfold(1, self.min_samples, self.hop_length) * self.window  # (batch, n_frames, win_length)
        features = self.delays(frames)
        if self.cosines is not None:
            features = features @ self.cosines
        # Deltas halve a difference and stay within the same bounds.
        features = features.clamp(-LARGEST, LARGEST).transpose(1, 2)
        if self.deltas:
            first = delta(features)
            features = torch.cat([features, first, delta(first)], dim=1)
        return features.contiguous()

    def delays(self, frames: Tensor) -> Tensor:
        """Group delays `(..., n_bins)` of windowed frames `(..., win_length)`: in samples, or modified.

        Plain ones lie within `win_length` on either side of 0, modified ones within what half precision holds.
        """
        spectrum = torch.fft.rfft(frames, self.n_fft)
        ramp = torch.arange(self.min_samples, device=frames.device, dtype=frames.dtype)
        ramped = torch.fft.rfft(frames * ramp, self.n_fft)
        product = spectrum.real * ramped.real + spectrum.imag * ramped.imag
        power = spectrum.abs() ** 2
        if self.alpha is None:
            # Next to a zero of the spectrum the delay grows without limit: it is held within the window on either side.
            delays: Tensor = product / power.clamp_min(QUIET)
            return delays.clamp(-self.min_samples, self.min_samples)
        smoothed = self.smoothed(power.clamp_min(QUIET))
        modified = product / smoothed**self.gamma
        compressed: Tensor = modified.sign() * modified.abs() ** self.alpha
        return compressed.clamp(-LARGEST, LARGEST)

    def smoothed(self, power: Tensor) -> Tensor:
        """Power spectra `(..., n_bins)` without what lies beyond the first `lifter` cepstral coefficients."""
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
    """Group delay spectra: minus the derivative of the phase, in samples from the window's first; 257 bins by default.

    It is computed from the spectra of the frame and of the frame times its index, without unwrapping a phase.

    Args:
        n_fft: Points of the FFT.
        win_length: Samples a (Hamming) window; no delay is reported beyond plus or minus so many.
        hop_length: Samples from one frame to the next.
        pre_emphasis: Weight of the previous sample that is subtracted; 0 for none.
        n_coefficients: Coefficients of an orthonormal DCT over the bins; None = the bins themselves.
        deltas: Append deltas and double deltas, three times as many features in all.

    Raises:
        ValueError: an option out of range; every one is listed.
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
    """Modified group delay spectra, whose denominator is a smoothed spectrum: no spikes at the zeros of the spectrum.

    With the numerator of the group delay N and the cepstrally smoothed power P: `sign(N) |N / P^gamma|^alpha`. In Wu
    (2012) the smoothed magnitude stands to the power 2 gamma, which is the same.

    Args:
        n_fft: Points of the FFT.
        win_length: Samples a (Hamming) window.
        hop_length: Samples from one frame to the next.
        pre_emphasis: Weight of the previous sample that is subtracted; 0 for none.
        alpha: In (0, 1]: how much of the range is left.
        gamma: In (0, 4]: how far the spectral envelope is taken out.
        lifter: Cepstral coefficients of the smoothed spectrum, c0 included.
        n_coefficients: Coefficients of an orthonormal DCT over the bins; None = the bins themselves.
        deltas: Append deltas and double deltas, three times as many features in all.

    Raises:
        ValueError: an option out of range; every one is listed.
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
