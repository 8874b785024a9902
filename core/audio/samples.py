"""Samples in memory as a recording: decoded as a file with the same samples is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError

MAX_CHANNELS = 64
"""Channels of a recording in memory; an array with more along its shorter side is no waveform, such as a spectrogram"""

FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}
"""Integer type of samples -> the magnitude that becomes 1, as libsndfile converts the samples of files."""


class Opened(Protocol):
    """A recording that is open for reading, as `soundfile.SoundFile` offers it."""

    samplerate: int
    channels: int

    def read(self, frames: int = -1, *, dtype: str, always_2d: bool) -> NDArray[np.float32]:
        """The next samples `(time, channels)`; all that follow if `frames` is -1, none at the end."""


@dataclass(frozen=True)
class Samples:
    """A recording in memory.

    Attributes:
        path: Name of the recording in messages and results; no file needs to have it.
        values: Samples `(time, channels)`: real numbers, or integers of 16 or 32 bits.
        sample_rate: Samples per second.
    """

    path: Path
    values: NDArray[Any]
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Duration, s."""
        return len(self.values) / self.sample_rate if self.sample_rate else 0.0

    def opened(self) -> Opened:
        """The recording, from its begin."""
        return _Reader(self)


Source = Path | Samples
"""A recording: a file, or samples in memory."""


def samples_of(array: Any, sample_rate: int | None, *, name: str) -> Samples:
    """A recording of an array.

    Args:
        array: Waveform `(time,)`, or channels of it in either order: of two sides, the longer one is time. A NumPy
            array, a PyTorch tensor on any device, or a sequence of numbers. Real numbers have the full scale 1,
            integers of 16 and 32 bits that of their type.
        sample_rate: Samples per second; an array does not have it.
        name: Name of the recording in messages.

    Raises:
        InputError: The sample rate is missing or is not a whole number above 0, or the array is no waveform.
    """
    if sample_rate is None:
        raise InputError(f"{name}: an array does not say its sample rate; pass sample_rate=")
    try:
        whole = float(sample_rate) >= 1 and not float(sample_rate) % 1
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise InputError(f"{name}: sample_rate is {sample_rate!r}; it must be a whole number above 0")
    if hasattr(array, "detach"):  # a tensor of PyTorch, whose bfloat16 NumPy does not know
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    try:
        values = np.asarray(array)
    except ValueError as error:  # lists of different lengths
        raise InputError(f"{name}: is not an array: {error}") from error
    shape = " x ".join(map(str, values.shape)) or "none"
    if values.dtype.kind != "f" and values.dtype.name not in FULL_SCALE:
        raise InputError(f"{name}: its samples are {values.dtype}; they must be real numbers, int16 or int32")
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise InputError(
            f"{name}: an array of shape {shape} is not one waveform; it has a side for time, and may have "
            "one for channels"
        )
    if values.shape[1] > values.shape[0]:
        values = values.T
    if values.shape[1] > MAX_CHANNELS:
        raise InputError(f"{name}: an array of shape {shape} is not a waveform of at most {MAX_CHANNELS} channels")
    if not values.size:
        raise InputError(f"{name}: holds no samples")
    return Samples(Path(name), values, int(sample_rate))


class _Reader:
    """Samples in memory, read block by block: only a block at a time is converted."""

    def __init__(self, samples: Samples) -> None:
        self.samplerate = samples.sample_rate
        self.channels = int(samples.values.shape[1])
        self._values = samples.values
        self._position = 0

    def read(self, frames: int = -1, *, dtype: str, always_2d: bool) -> NDArray[np.float32]:
        """As `Opened.read`; `always_2d` must be true."""
        assert always_2d
        end = len(self._values) if frames < 0 else self._position + frames
        block = self._values[self._position : end]
        self._position += len(block)
        scale = FULL_SCALE.get(block.dtype.name)
        return np.ascontiguousarray(block if scale is None else block / scale, dtype=dtype)
