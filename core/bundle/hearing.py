"""Pieces of many recordings -> CM scores of the recordings. Windows of many recordings pass through in one minibatch.

A minibatch has pieces or windows of one length, so that no score depends on padding.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import table
from core.audio import SAMPLE_RATE, Source
from core.bundle.files import Bundle
from core.bundle.listening import Limits, Listening, limits
from core.bundle.pieces import Piece, Recording, Warn, pieces, unscored
from core.bundle.rules import RULES, Rule
from core.errors import InputError
from core.stores.inputs import n_layers_read
from core.stores.shards import MAX_SAMPLES

PORTION_SAMPLES = 120 * SAMPLE_RATE
"""Samples that are scored at a time, which bounds the memory. A longer recording that is scored whole is alone."""

WINDOWS = 64
"""Windows in a minibatch of the detector; of several layers fewer."""


@dataclass(frozen=True)
class Heard:
    """A recording with its CM score, or the reason why it has none.

    Attributes:
        path: The recording; of samples in memory their name.
        result: CM score, higher = more bona fide; or the error.
        duration_s: Duration that was decoded, s, after trimming; 0 if the recording cannot be read.
        in_segments: Whether the score is made of those of the segments; otherwise the recording was scored as the
            search scores utterances.
        is_short: Whether it is shorter than all utterances of train.
        is_covered: Whether the score depends on all samples. The windows of a search may leave gaps.
        begins_s: Begins of the segments, `(n_segments,)`, s from the first sample that was decoded.
        ends_s: Their ends, `(n_segments,)`.
        segment_scores: Their CM scores, `(n_segments,)`; empty if there are no segments.
        envelope: Extremes of the waveform, as of `core.audio.Envelope`; empty if they were not wanted.
    """

    path: Path
    result: float | InputError
    duration_s: float = 0.0
    in_segments: bool = False
    is_short: bool = False
    is_covered: bool = True
    begins_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    ends_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    segment_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    envelope: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 2), np.float32))


@torch.inference_mode()
def hear(
    bundle: Bundle,
    front_end: Any,
    sources: Iterable[Source],
    *,
    listening: Listening,
    device: torch.device,
    warn: Warn = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Heard]:
    """Yields every recording with its score or its error, in the given order, as soon as it is known.

    Features are rounded to float16 as in the feature store, so that a recording that is scored whole has the score of
    the search. An error of one recording, such as too little memory for it, does not end the others.

    Args:
        bundle: The bundle, whose detector is on `device`.
        front_end: Its front end, on `device`.
        sources: Audio files in any format that `core.audio.load` accepts, or samples in memory.
        listening: Which recordings are heard in segments, and how the segments' scores become one.
        device: Device that computes.
        warn: Called with messages about suspect recordings; see `core.audio.load`.
        progress: Called with the seconds of audio that were scored since the last call.
    """
    rule: Rule = table.build("rule", RULES, listening.rule)
    lengths = limits(bundle, front_end, listening)
    options, min_samples = bundle.experiment.audio, int(front_end.min_samples)
    portion: list[Piece] = []
    waiting: list[Recording] = []

    def score_portion() -> Iterator[Heard]:
        _score(bundle, front_end, portion, device)
        if progress:
            progress(sum(len(piece.cut.waveform) for piece in portion) / SAMPLE_RATE)
        portion.clear()
        while waiting and waiting[0].complete:
            yield _heard(waiting.pop(0), lengths, rule)

    n_samples = 0
    for recording, piece in pieces(
        sources, options, lengths=lengths, listening=listening, min_samples=min_samples, warn=warn
    ):
        if not waiting or waiting[-1] is not recording:
            waiting.append(recording)
        if piece is not None:
            portion.append(piece)
            n_samples += len(piece.cut.waveform)
        if n_samples >= PORTION_SAMPLES:
            yield from score_portion()
            n_samples = 0
    yield from score_portion()


def _heard(recording: Recording, lengths: Limits, rule: Rule) -> Heard:
    """What became of a recording whose pieces are scored."""
    segments = np.array(sorted(recording.segments), np.float64).reshape(-1, 3)
    result: float | InputError = recording.whole
    if recording.error is not None:
        return Heard(recording.path, recording.error)
    if recording.in_segments:
        result = rule(segments[:, 2])
    return Heard(
        recording.path,
        result,
        recording.n_samples / SAMPLE_RATE,
        recording.in_segments,
        recording.n_samples < lengths.shortest,
        recording.in_segments or recording.n_samples <= lengths.covered,
        segments[:, 0] / SAMPLE_RATE,
        segments[:, 1] / SAMPLE_RATE,
        segments[:, 2],
        recording.envelope.extremes(),
    )


def _score(bundle: Bundle, front_end: Any, portion: list[Piece], device: torch.device) -> None:
    """Adds the scores of pieces to their recordings. If they cannot be scored together, they are scored one by one."""
    try:
        scores = _scores(bundle, front_end, portion, device)
    except Exception as error:  # noqa: BLE001 - whatever one recording does, the others are scored
        for piece in portion if len(portion) > 1 else ():
            _score(bundle, front_end, [piece], device)
        if len(portion) == 1:
            portion[0].recording.error = unscored(portion[0].recording.path, error)
        return
    for piece, score in zip(portion, scores, strict=True):
        recording = piece.recording
        if not math.isfinite(score) and recording.error is None:
            text = f"{recording.path}: its CM score is {score}: the samples are too large, or damaged"
            recording.error = InputError(text)
        if piece.is_whole:
            recording.whole = score
        if piece.is_segment:
            recording.segments.append((piece.cut.begin, piece.cut.begin + len(piece.cut.waveform), score))


def _scores(bundle: Bundle, front_end: Any, portion: list[Piece], device: torch.device) -> list[float]:
    """CM scores of pieces. Pieces of one length share calls of the front end, and windows calls of the detector."""
    detector = bundle.detector
    n_windows = max(1, WINDOWS // n_layers_read(bundle.experiment.input.layer, bundle.layers))
    scores = [math.nan] * len(portion)
    ready: dict[tuple[int, ...], list[tuple[int, Tensor]]] = defaultdict(list)

    def score_ready(shape: tuple[int, ...]) -> None:
        indices, windows = zip(*ready.pop(shape), strict=True)
        values = detector.score_windows(torch.stack(windows)).double().tolist()
        for index, value in zip(indices, values, strict=True):
            scores[index] = value

    for indices in _of_one_length(portion):
        batch = torch.from_numpy(np.stack([portion[index].cut.waveform for index in indices])).to(device)
        for index, windows in zip(indices, detector.windows(front_end(batch)), strict=True):
            shape = tuple(windows.shape)
            ready[shape].append((index, windows))
            if len(ready[shape]) * shape[0] >= n_windows:
                score_ready(shape)
    for shape in list(ready):
        score_ready(shape)
    return scores


def _of_one_length(portion: list[Piece]) -> Iterator[list[int]]:
    """Yields indices of pieces of one length, as many as pass through a front end together."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, piece in enumerate(portion):
        by_length[len(piece.cut.waveform)].append(index)
    for length, indices in by_length.items():
        size = max(1, MAX_SAMPLES // length)
        for begin in range(0, len(indices), size):
            yield indices[begin : begin + size]
