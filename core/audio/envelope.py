"""The envelope of a waveform: its extremes in steps of 20 ms, for a picture of a recording of any length."""

import numpy as np
from numpy.typing import NDArray

from core.audio.decoding import SAMPLE_RATE

STEP = SAMPLE_RATE // 50
"""Samples of a step: 20 ms."""


class Envelope:
    """Minimum and maximum of every step of a waveform that comes in blocks."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float32]] = []
        self._rest = np.empty(0, np.float32)

    def add(self, block: NDArray[np.float32]) -> None:
        """Takes the next block `(time,)`."""
        samples = np.concatenate([self._rest, block])
        whole = len(samples) // STEP * STEP
        steps = samples[:whole].reshape(-1, STEP)
        self._parts.append(np.stack([steps.min(axis=1), steps.max(axis=1)], axis=1))
        self._rest = samples[whole:].copy()

    def extremes(self) -> NDArray[np.float32]:
        """Minimum and maximum, `(n_steps, 2)`; the last step may be shorter than the others."""
        rest = [[self._rest.min(), self._rest.max()]] if len(self._rest) else []
        return np.concatenate([np.empty((0, 2), np.float32), *self._parts, np.array(rest, np.float32).reshape(-1, 2)])
