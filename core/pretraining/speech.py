"""Speech without labels for pretraining: recordings cut into stretches, read ahead by a thread."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import audio
from core.audio import SAMPLE_RATE, AudioError, AudioOptions
from core.errors import InputError
from core.seeds import derived_seed
from core.training.prefetch import read_ahead


class Speech:
    """Recordings cut into stretches of one length.

    Attributes:
        length: Samples of a stretch.
        n_samples: Recording -> number of its samples; only recordings that are long enough for a stretch.
        trained: Recordings for training.
        held_out: Recordings held out of training, to measure its progress.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        seconds: float,
        held_out: float,
        cache_mb: int,
        seed: int,
        on_bad_audio: str = "stop",
    ) -> None:
        """Decodes every recording once to get its length.

        Args:
            files: Recordings of speech.
            seconds: Length of the stretches in s.
            held_out: Fraction of the recordings that is held out, in (0, 1); at least one recording.
            cache_mb: Decoded speech kept in memory as float16, in MB.
            seed: Seed of the choice of held-out recordings.
            on_bad_audio: `stop` or `skip`: whether recordings that cannot be read are an error or left out.

        Raises:
            InputError: Fewer than two recordings are long enough, or recordings cannot be read and `on_bad_audio` is
                `stop`; all of them are listed.
        """
        self.length = round(seconds * SAMPLE_RATE)
        self._kept: dict[Path, NDArray[np.float16]] = {}
        self._room = cache_mb * 1_000_000
        self._lock = threading.Lock()
        with ThreadPoolExecutor(4) as pool:
            lengths = list(pool.map(self._n_samples, files))
        bad = [str(length) for length in lengths if isinstance(length, AudioError)]
        if bad and on_bad_audio == "stop":
            hint = "pretraining.on_bad_audio: skip leaves such recordings out"
            raise InputError([*bad, f"{len(bad)} recordings of {len(files)} cannot be used; {hint}"])
        read = [(path, length) for path, length in zip(files, lengths, strict=True) if isinstance(length, int)]
        self.n_samples = {path: length for path, length in read if length >= self.length}
        usable = list(self.n_samples)
        n_held_out = max(1, round(held_out * len(usable)))
        if len(usable) <= n_held_out:
            raise InputError(
                f"{len(usable)} of {len(files)} recordings have {seconds} s of speech; "
                "at least 2 are needed, one of them held out"
            )
        order = np.random.default_rng(derived_seed(seed, "held out files")).permutation(len(usable))
        self.held_out = [usable[k] for k in sorted(order[:n_held_out])]
        self.trained = [usable[k] for k in sorted(order[n_held_out:])]

    def n_stretches(self, files: Sequence[Path]) -> int:
        """Number of stretches in some recordings."""
        return sum(self.n_samples[path] // self.length for path in files)

    def minibatches(self, files: Sequence[Path], *, batch_size: int, n_batches: int, seed: int) -> Iterator[Tensor]:
        """Yields `n_batches` minibatches `(batch_size, length)`; they are smaller if there are fewer stretches.

        Args:
            files: Recordings, keys of `n_samples`.
            batch_size: Stretches of a minibatch.
            n_batches: Number of minibatches.
            seed: Seed of the cuts of every recording and of the order of the stretches.
        """
        random = np.random.default_rng(seed)
        stretches = []
        for path in files:
            n, spare = divmod(self.n_samples[path], self.length)
            first = int(random.integers(spare + 1))
            stretches += [(path, first + k * self.length) for k in range(n)]
        order = random.permutation(len(stretches))
        size = min(batch_size, len(stretches))
        batches = [[stretches[k] for k in order[begin : begin + size]] for begin in range(0, n_batches * size, size)]
        return read_ahead((self._gathered(batch) for batch in batches), depth=1)

    def _gathered(self, stretches: Sequence[tuple[Path, int]]) -> Tensor:
        rows = [self._waveform(path)[first : first + self.length] for path, first in stretches]
        return torch.from_numpy(np.stack(rows).astype(np.float32))

    def _n_samples(self, path: Path) -> int | AudioError:
        try:
            return len(self._waveform(path))
        except AudioError as error:
            return error

    def _waveform(self, path: Path) -> NDArray[np.float16]:
        """Samples of a recording, always rounded to float16, so that the size of the cache does not change results."""
        with self._lock:
            if path in self._kept:
                return self._kept[path]
        waveform = audio.load(path, AudioOptions(min_duration_s=0.0)).astype(np.float16)
        with self._lock:
            if waveform.nbytes <= self._room and path not in self._kept:
                self._room -= waveform.nbytes
                self._kept[path] = waveform
        return waveform
