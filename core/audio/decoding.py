"""Recordings -> waveforms of 16 kHz, mono, from any format, sample rate and channel count that libsndfile reads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import scipy
import soundfile
from numpy.typing import NDArray

from core.audio.samples import Opened, Samples, Source
from core.audio.wav_header import size_problem
from core.errors import InputError

SAMPLE_RATE = 16_000
"""Samples per second of every waveform in this package."""

RATES = (1_000, 384_000)
"""Minimum and maximum sample rate of a recording, Hz. Speech needs more than the minimum, converters reach the maximum.
A damaged header may have any number, and resampling from 1 Hz would take 16,000 times the memory."""

LOUDEST = 4.0
"""Peak above which a recording is suspect. Full scale is 1; resampling and lossy codecs overshoot it by less. Floating
point files of samples that are scaled as 16-bit integers are far above."""

CANCELLED = 1e-4
"""Ratio of the energy of the channels' mean to that of the channels, below which they cancel each other: -40 dB."""

FRAME = 160
"""Samples of a frame in the detection of silence: 10 ms."""


class AudioError(InputError):
    """A recording cannot be used; the message names the file and the reason."""


@dataclass(frozen=True)
class AudioOptions:
    """Options of decoding a recording.

    Attributes:
        trim_silence: Whether the silence before the first and after the last loud frame is removed. In ASVspoof 2019 LA
            the duration of this silence is a strong cue of the class (arXiv 2106.12914), so trimming changes results.
        trim_top_db: Threshold of silence in dB, positive: a frame of 10 ms is silent if its energy is this much or more
            below that of the loudest frame.
        min_duration_s: Minimum duration after trimming, s, 0 or more; shorter recordings are refused.

    Raises:
        ValueError: An option is out of range.
    """

    trim_silence: bool = False
    trim_top_db: float = 40.0
    min_duration_s: float = 0.1

    def __post_init__(self) -> None:
        if not self.trim_top_db > 0:  # this form also refuses NaN
            raise ValueError(f"audio: trim_top_db is {self.trim_top_db}; it must be above 0")
        if not self.min_duration_s >= 0:
            raise ValueError(f"audio: min_duration_s is {self.min_duration_s}; it must not be negative")


def load(source: Source, options: AudioOptions, warn: Callable[[str], None] | None = None) -> NDArray[np.float32]:
    """Waveform `(time,)` of a recording: mono, 16 kHz, in [-1, 1] up to a small overshoot of the resampling.

    Channels are averaged. Other sample rates are converted with an anti-aliasing polyphase filter (SciPy's
    `resample_poly`). A truncated FLAC file is refused. libsndfile does not report a truncated WAV or OGG file, so its
    remaining samples are returned; `warn` hears of a WAV file.

    Args:
        source: Recording in FLAC, WAV, OGG or another format that libsndfile reads, or samples in memory.
        options: Trimming and minimum duration.
        warn: Called with a message about a recording that can be used but is suspect: digital silence, a header that
            contradicts the size of the file, a peak above `LOUDEST`. None: such messages are dropped.

    Raises:
        AudioError: The recording is missing, cannot be decoded, is empty or too short, has a sample that is not finite
            or a sample rate outside `RATES`, or is entirely silent while `trim_silence` is on.
    """
    path = path_of(source)
    with opened(source) as file:
        rate = int(file.samplerate)
        samples = file.read(dtype="float32", always_2d=True)
    sound = Sound(measured=warn is not None)
    waveform = sound.mono(path, samples)
    sound.check(source, warn)
    if rate != SAMPLE_RATE:
        divisor = gcd(rate, SAMPLE_RATE)
        waveform = scipy.signal.resample_poly(waveform, SAMPLE_RATE // divisor, rate // divisor).astype(np.float32)
    if options.trim_silence:
        waveform = trim_silence(waveform, options.trim_top_db)
        if not len(waveform):
            raise AudioError(f"{path}: holds only silence")
    check_duration(path, len(waveform), options)
    return np.ascontiguousarray(waveform, dtype=np.float32)


def path_of(source: Source) -> Path:
    """Path of a recording; of samples in memory their name."""
    return source.path if isinstance(source, Samples) else source


def duration(source: Source) -> float:
    """Seconds of a recording by its header, for planning; 0 if it cannot be read."""
    if isinstance(source, Samples):
        return source.seconds
    try:
        info = soundfile.info(source)
    except (soundfile.LibsndfileError, OSError, RuntimeError, ValueError, TypeError):
        return 0.0
    return float(info.frames / info.samplerate) if info.samplerate else 0.0


def n_values(path: Path) -> int:
    """Samples of a file over all channels by its header, which bound the memory for decoding it; 0 if unreadable."""
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError, RuntimeError, ValueError, TypeError):
        return 0
    return int(info.frames) * int(info.channels)


@contextmanager
def opened(source: Source) -> Iterator[Opened]:
    """A recording, open for reading. Whatever libsndfile refuses in the `with` block becomes an `AudioError`.

    Raises:
        AudioError: The recording is missing, cannot be decoded, or has a sample rate outside `RATES`.
    """
    path = path_of(source)
    try:
        with nullcontext(source.opened()) if isinstance(source, Samples) else soundfile.SoundFile(source) as file:
            if not RATES[0] <= file.samplerate <= RATES[1]:
                text = f"its sample rate is {file.samplerate} Hz; it must be from {RATES[0]} to {RATES[1]}"
                raise AudioError(f"{path}: {text}")
            yield file
    except AudioError:
        raise
    except (soundfile.LibsndfileError, OSError, RuntimeError, ValueError, TypeError) as error:
        # soundfile raises TypeError for headerless formats, whose sample rate it would need. error_string is the reason
        # without the path.
        why = getattr(error, "error_string", error)
        missing = isinstance(source, Path) and not source.exists()
        reason = "no such file" if missing else f"cannot be decoded: {why}"
        raise AudioError(f"{path}: {reason}") from error


def check_duration(path: Path, n_samples: int, options: AudioOptions) -> None:
    """Refuses a recording of too few samples at 16 kHz, after trimming.

    Raises:
        AudioError: The recording is too short.
    """
    if n_samples < options.min_duration_s * SAMPLE_RATE:
        seconds = n_samples / SAMPLE_RATE
        raise AudioError(f"{path}: {seconds:.3f} s is too short; audio.min_duration_s is {options.min_duration_s}")


@dataclass
class Sound:
    """What the decoded samples of a recording tell about it, gathered over its blocks.

    Attributes:
        measured: Whether peak and energies are wanted, for warnings.
        n_samples: Samples so far.
        peak: Highest magnitude of a sample in any channel.
        mono_energy: Sum of the squares of the channels' mean.
        channel_energy: Sum over samples of the mean square of the channels.
    """

    measured: bool
    n_samples: int = 0
    peak: float = 0.0
    mono_energy: float = 0.0
    channel_energy: float = 0.0

    def mono(self, path: Path, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean `(time,)` of the channels of further samples `(time, channels)`.

        Raises:
            AudioError: A sample is not finite.
        """
        waveform: NDArray[np.float32] = samples.mean(axis=1)
        if not np.isfinite(waveform).all():
            raise AudioError(f"{path}: holds samples that are not finite")
        self.n_samples += len(samples)
        if self.measured and len(samples):
            self.peak = max(self.peak, float(np.abs(samples).max()))
            self.mono_energy += float(np.square(waveform, dtype=np.float64).sum())
            self.channel_energy += float(np.square(samples, dtype=np.float64).sum()) / samples.shape[1]
        return waveform

    def check(self, source: Source, warn: Callable[[str], None] | None) -> None:
        """Refuses a recording without samples; calls `warn` for everything that is suspect about it.

        Raises:
            AudioError: There are no samples.
        """
        path = path_of(source)
        if not self.n_samples:
            raise AudioError(f"{path}: holds no samples")
        if warn is None:
            return
        if not self.peak:
            warn(f"{path}: holds digital silence")
        elif self.mono_energy < CANCELLED * self.channel_energy:
            warn(f"{path}: its channels cancel each other: hardly anything is left in their mean")
        if self.peak > LOUDEST:
            warn(f"{path}: its peak is {self.peak:,.6g}; full scale is 1, so the samples are probably scaled wrongly")
        problem = None if isinstance(source, Samples) else size_problem(source)
        if problem:
            warn(f"{path}: {problem}")


def trim_silence(waveform: NDArray[np.float32], top_db: float) -> NDArray[np.float32]:
    """The waveform `(time,)` from its first to its last loud frame; empty if all samples are 0.

    Args:
        waveform: `(time,)`, 16 kHz.
        top_db: Frames of 10 ms are silent if their energy is this many dB or more below that of the loudest frame.
            Silence between two loud frames is kept.
    """
    n_frames = -(-len(waveform) // FRAME)
    padded = np.zeros(n_frames * FRAME, np.float64)
    padded[: len(waveform)] = waveform
    energies = np.square(padded).reshape(n_frames, FRAME).mean(axis=1)
    if not energies.any():
        return waveform[:0]
    loud = np.flatnonzero(energies > energies.max() * 10 ** (-top_db / 10))
    return waveform[loud[0] * FRAME : (loud[-1] + 1) * FRAME]
