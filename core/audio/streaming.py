"""A recording of any length, block by block: its memory does not grow with its duration."""

from collections.abc import Callable, Iterator
from math import ceil, gcd
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from core.audio.decoding import FRAME, SAMPLE_RATE, AudioError, AudioOptions, Sound, check_duration, opened, path_of
from core.audio.samples import Source

BLOCK_SECONDS = 30
"""Duration of a block, s."""

BLOCK_SAMPLES = 4_000_000
"""Maximum number of samples of a block over all channels, which bounds its memory: 16 MB."""

ZERO_CROSSINGS = 10
"""Zero crossings on either side of the filter that converts sample rates; the filter is that of `resample_poly`."""


def blocks(
    source: Source, options: AudioOptions, warn: Callable[[str], None] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yields the waveform of a recording in consecutive blocks `(time,)`. Joined, they are the waveform of `load`.

    With `trim_silence`, the recording is read twice: the loudest frame decides what is silent.

    Args:
        source: Recording in any format that `load` accepts, or samples in memory.
        options: Trimming and minimum duration.
        warn: As for `load`.

    Raises:
        AudioError: As for `load`. A recording that is damaged or ends too early raises it after the blocks before.
    """
    path = path_of(source)
    begin, end = 0, None
    if options.trim_silence:
        begin, end = _loud_range(path, _at_16_khz(source, warn), options.trim_top_db)
        warn = None
    position = n_samples = 0
    for block in _at_16_khz(source, warn):
        kept = block[max(begin - position, 0) : None if end is None else max(end - position, 0)]
        position += len(block)
        n_samples += len(kept)
        if len(kept):
            yield np.ascontiguousarray(kept)
    check_duration(path, n_samples, options)


def _loud_range(path: Path, waveform: Iterator[NDArray[np.float32]], top_db: float) -> tuple[int, int]:
    """First sample of the first loud frame and end of the last one, as `trim_silence` defines them."""
    energies = []
    rest = np.empty(0, np.float64)
    for block in waveform:
        samples = np.concatenate([rest, block])
        whole = len(samples) // FRAME * FRAME
        energies.append(np.square(samples[:whole]).reshape(-1, FRAME).mean(axis=1))
        rest = samples[whole:]
    if len(rest):
        energies.append(np.square(np.pad(rest, (0, FRAME - len(rest)))).mean(keepdims=True))
    energy = np.concatenate(energies)
    if not energy.any():
        raise AudioError(f"{path}: holds only silence")
    loud = np.flatnonzero(energy > energy.max() * 10 ** (-top_db / 10))
    return int(loud[0]) * FRAME, int(loud[-1] + 1) * FRAME


def _at_16_khz(source: Source, warn: Callable[[str], None] | None) -> Iterator[NDArray[np.float32]]:
    """Yields the mono waveform in blocks at 16 kHz, untrimmed."""
    path = path_of(source)
    sound = Sound(measured=warn is not None)
    with opened(source) as file:
        divisor = gcd(file.samplerate, SAMPLE_RATE)
        up, down = SAMPLE_RATE // divisor, file.samplerate // divisor
        n_read = min(BLOCK_SECONDS * file.samplerate, BLOCK_SAMPLES // file.channels)
        n_read = max(n_read // down * down, _margin(up, down))

        def mono() -> Iterator[NDArray[np.float32]]:
            while len(samples := file.read(n_read, dtype="float32", always_2d=True)):
                yield sound.mono(path, samples)

        yield from mono() if up == down else _resampled(mono(), up, down)
    sound.check(source, warn)


def _margin(up: int, down: int) -> int:
    """Input samples on either side that a converted sample may depend on, rounded up to a multiple of `down`."""
    return ceil(ZERO_CROSSINGS * max(up, down) / (up * down)) * down


def _resampled(waveform: Iterator[NDArray[np.float32]], up: int, down: int) -> Iterator[NDArray[np.float32]]:
    """Yields a waveform at `up / down` times its sample rate, the same values as of `resample_poly` on the whole.

    A sample depends on a stretch of input samples on either side. Blocks are converted with this margin, which is then
    cut off. Blocks and margins are multiples of `down` samples, so that the samples of a block lie on the same grid.

    Args:
        waveform: Blocks `(time,)`, of multiples of `down` samples but for the last.
        up: Factor of the sample rate.
        down: Divisor of the sample rate.
    """
    reach = ZERO_CROSSINGS * max(up, down)
    # The default filter of resample_poly, which would compute it anew for every block.
    taps = scipy.signal.firwin(2 * reach + 1, 1 / max(up, down), window=("kaiser", 5.0)).astype(np.float32)
    margin = _margin(up, down)
    before = current = np.empty(0, np.float32)

    def converted(after: NDArray[np.float32]) -> NDArray[np.float32]:
        piece = np.concatenate([before, current, after[:margin]])
        first = len(before) * up // down
        values = scipy.signal.resample_poly(piece, up, down, window=taps)
        return np.asarray(values[first : first + ceil(len(current) * up / down)], dtype=np.float32)

    for block in waveform:
        if len(current):
            yield converted(block)
            before = np.concatenate([before, current])[-margin:].copy()
        current = block
    if len(current):
        yield converted(current[:0])
