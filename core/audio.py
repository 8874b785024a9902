"""Recordings -> waveforms: any format that libsndfile reads, any rate and channel count -> 16 kHz mono."""

from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import scipy
import soundfile
from numpy.typing import NDArray

from core.errors import InputError

SAMPLE_RATE = 16_000
"""Samples a second of every waveform in this package."""

FRAME = 160
"""Samples of a frame whose energy decides about silence: 10 ms."""


class AudioError(InputError):
    """A recording cannot be used; the message names the file and the reason."""


@dataclass(frozen=True)
class AudioOptions:
    """How a recording becomes a waveform.

    Attributes:
        trim_silence: Cuts the silence before the first and after the last loud frame. Its duration alone tells much
            of ASVspoof 2019 LA's spoofed speech (arXiv 2106.12914), so results with and without it differ.
        trim_top_db: A frame of 10 ms is silent when its energy lies this many dB below the loudest frame's.
        min_duration_s: Shorter recordings are refused, after trimming.
    """

    trim_silence: bool = False
    trim_top_db: float = 40.0
    min_duration_s: float = 0.1

    def __post_init__(self) -> None:
        if not self.trim_top_db > 0:  # so written, NaN is refused too
            raise ValueError(f"audio: trim_top_db is {self.trim_top_db}; it must be above 0")
        if not self.min_duration_s >= 0:
            raise ValueError(f"audio: min_duration_s is {self.min_duration_s}; it must not be negative")


def load(path: Path, options: AudioOptions) -> NDArray[np.float32]:
    """The waveform of a recording, `(time,)`, mono, 16 kHz, about [-1, 1] (resampling may overshoot a little).

    Channels are averaged; other rates pass a polyphase filter that keeps aliases out (SciPy's `resample_poly`). A FLAC
    file that was cut short is refused; of a WAV or OGG file libsndfile gives what is there and says nothing.

    Args:
        path: FLAC, WAV, OGG or whatever else libsndfile reads.
        options: Trimming and the shortest duration.

    Raises:
        AudioError: missing, not readable, empty, too short, silent where silence is to be trimmed, or not finite.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError, ValueError, TypeError) as error:
        # TypeError: soundfile asks for the rate of headerless formats. error_string: the reason without the path.
        why = getattr(error, "error_string", error)
        reason = "no such file" if not Path(path).exists() else f"cannot be decoded: {why}"
        raise AudioError(f"{path}: {reason}") from error
    if not len(samples):
        raise AudioError(f"{path}: holds no samples")
    waveform = samples.mean(axis=1)
    if not np.isfinite(waveform).all():
        raise AudioError(f"{path}: holds samples that are not finite")
    if rate != SAMPLE_RATE:
        divisor = gcd(rate, SAMPLE_RATE)
        waveform = scipy.signal.resample_poly(waveform, SAMPLE_RATE // divisor, rate // divisor).astype(np.float32)
    if options.trim_silence:
        waveform = trim_silence(waveform, options.trim_top_db)
        if not len(waveform):
            raise AudioError(f"{path}: holds nothing but silence")
    if len(waveform) < options.min_duration_s * SAMPLE_RATE:
        seconds = len(waveform) / SAMPLE_RATE
        raise AudioError(f"{path}: {seconds:.3f} s is too short; audio.min_duration_s is {options.min_duration_s}")
    return np.ascontiguousarray(waveform, dtype=np.float32)


def trim_silence(waveform: NDArray[np.float32], top_db: float) -> NDArray[np.float32]:
    """The waveform `(time,)` from its first to its last loud frame; empty where all is zero.

    Args:
        waveform: 16 kHz.
        top_db: Frames of 10 ms this many dB below the loudest are silent. Silence inside stays.
    """
    n_frames = -(-len(waveform) // FRAME)
    padded = np.zeros(n_frames * FRAME, np.float64)
    padded[: len(waveform)] = waveform
    energies = np.square(padded).reshape(n_frames, FRAME).mean(axis=1)
    if not energies.any():
        return waveform[:0]
    loud = np.flatnonzero(energies > energies.max() * 10 ** (-top_db / 10))
    return waveform[loud[0] * FRAME : (loud[-1] + 1) * FRAME]
