"""Recordings -> pieces that get one score each: decoded ahead in threads, cut into segments where they are long."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core import audio
from core.audio import SAMPLE_RATE, AudioOptions, Envelope, Source, path_of
from core.bundle.listening import Cut, Limits, Listening, cut
from core.errors import InputError

N_DECODERS = 4
"""Threads that decode recordings ahead of the front end. libsndfile releases Python's lock."""

AHEAD = 32
"""Recordings that are decoded ahead, or opened if they are heard in segments."""

Blocks = Iterator[NDArray[np.float32]]
Warn = Callable[[str], None] | None


@dataclass
class Recording:
    """A recording while it is heard: what is known of it so far.

    Attributes:
        path: The recording.
        n_samples: Samples at 16 kHz so far.
        in_segments: Whether it is scored in segments; otherwise it is scored whole.
        error: Reason why it has no score; None = no reason so far.
        whole: CM score of the whole recording.
        segments: First sample, end and CM score of segments.
        envelope: Extremes of the waveform, if they are wanted.
        complete: Whether all of its pieces are known.
    """

    path: Path
    n_samples: int = 0
    in_segments: bool = False
    error: InputError | None = None
    whole: float = math.nan
    segments: list[tuple[int, int, float]] = field(default_factory=list)
    envelope: Envelope = field(default_factory=Envelope)
    complete: bool = False


@dataclass
class Piece:
    """Samples that get one score: a segment of a recording, all of it, or both."""

    recording: Recording
    cut: Cut
    is_whole: bool
    is_segment: bool


def pieces(
    sources: Iterable[Source],
    options: AudioOptions,
    *,
    lengths: Limits,
    listening: Listening,
    min_samples: int,
    warn: Warn,
) -> Iterator[tuple[Recording, Piece | None]]:
    """Yields the pieces of recordings in their order, and with None a recording that is complete.

    Args:
        sources: The recordings.
        options: How they are decoded.
        lengths: Lengths that decide how a recording is heard.
        listening: What is wanted of the recordings.
        min_samples: Samples of the shortest recording that the front end accepts.
        warn: Called with messages about suspect recordings, in the order of the recordings.
    """
    for source, blocks in _decoded(sources, options, lengths.whole, warn):
        recording = Recording(path_of(source))
        try:
            for piece in _pieces_of(recording, blocks, lengths, listening, min_samples):
                yield recording, piece
        except InputError as error:
            recording.error = error
        except Exception as error:  # noqa: BLE001 - whatever one recording does, the others are scored
            recording.error = unscored(recording.path, error)
        recording.complete = True
        yield recording, None


def unscored(path: Path, error: Exception) -> InputError:
    """The error of a recording that cannot be scored, in one line."""
    reason = str(error).partition("\n")[0]
    return InputError(f"{path}: cannot be scored: {type(error).__name__}: {reason}")


def _pieces_of(
    recording: Recording, decoded: Blocks, lengths: Limits, listening: Listening, min_samples: int
) -> Iterator[Piece]:
    """Yields the pieces of one recording, from its decoded blocks."""
    blocks = _noted(recording, decoded, listening)
    first = list[NDArray[np.float32]]()
    for block in blocks:
        first.append(block)
        if recording.n_samples > lengths.whole:
            break
    if recording.n_samples < min_samples:
        text = f"{recording.n_samples} samples at 16 kHz; the front end needs at least {min_samples}"
        raise InputError(f"{recording.path}: {text}")
    recording.in_segments = recording.n_samples > lengths.whole
    if recording.in_segments:
        for part in cut(itertools.chain(first, blocks), lengths.window, lengths.step):
            yield Piece(recording, part, is_whole=False, is_segment=True)
        return
    whole = np.concatenate(first)
    apart = listening.segments and len(whole) > lengths.window
    yield Piece(recording, Cut(0, whole), is_whole=True, is_segment=listening.segments and not apart)
    if apart:
        for part in cut([whole], lengths.window, lengths.step):
            yield Piece(recording, part, is_whole=False, is_segment=True)


def _noted(recording: Recording, blocks: Blocks, listening: Listening) -> Blocks:
    """Yields blocks, and notes what is wanted of them."""
    for block in blocks:
        recording.n_samples += len(block)
        if listening.envelope:
            recording.envelope.add(block)
        yield block


def _decoded(
    sources: Iterable[Source], options: AudioOptions, whole: float, warn: Warn
) -> Iterator[tuple[Source, Blocks]]:
    """Yields recordings with their blocks. Threads decode those that are scored whole, and blocks of the others."""

    def decoded(source: Source) -> tuple[list[str], NDArray[np.float32] | None]:
        messages: list[str] = []
        if audio.duration(source) * SAMPLE_RATE > whole:
            return messages, None
        return messages, audio.load(source, options, messages.append if warn else None)

    def blocks(source: Source, future: "Future[tuple[list[str], NDArray[np.float32] | None]]") -> Blocks:
        messages, waveform = future.result()
        for message in messages:
            if warn:
                warn(message)
        if waveform is not None:
            yield waveform
        else:
            yield from _one_ahead(audio.blocks(source, options, warn), pool)

    remaining = iter(sources)
    with ThreadPoolExecutor(N_DECODERS) as pool:
        ahead = [(source, pool.submit(decoded, source)) for source in itertools.islice(remaining, AHEAD)]
        try:
            while ahead:
                source, future = ahead.pop(0)
                yield source, blocks(source, future)
                ahead += [(source, pool.submit(decoded, source)) for source in itertools.islice(remaining, 1)]
        finally:
            for _, future in ahead:
                future.cancel()


def _one_ahead(blocks: Blocks, pool: ThreadPoolExecutor) -> Blocks:
    """Yields blocks, while a thread decodes the next one."""
    waiting = pool.submit(next, blocks, None)
    while (block := waiting.result()) is not None:
        waiting = pool.submit(next, blocks, None)
        yield block
