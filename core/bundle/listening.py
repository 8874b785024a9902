"""How a recording is heard: whole, as the search scored utterances, or in segments whose scores become one.

A segment is scored as if it were a recording of its own. The front end sees the segment alone, so that its features
do not depend on what lies around it: a segment has the score of a file with the same samples.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import table
from core.audio import SAMPLE_RATE
from core.bundle.files import Bundle
from core.bundle.rules import RULES
from core.features.xvector import RECKONED
from core.table import Block

USUAL_SECONDS = 16.0
"""Longest utterance of training that is assumed of a bundle of an earlier version, which does not say, s."""


@dataclass(frozen=True)
class Listening:
    """Which recordings are heard in segments, and how the segments' scores become one.

    Attributes:
        rule: Row of RULES: segment scores -> the score of a recording.
        longer_than_s: Recordings of at most so many seconds are scored as the search scored utterances. None: the
            longest utterance that the search has measured, of train or dev.
        window_s: Duration of a segment, s. None: that of the windows on which the detector was trained.
        step: Distance from one segment to the next, as a fraction of a segment, in (0, 1].
        segments: Whether segment scores of all recordings are wanted, also of those that are scored whole.
        envelope: Whether the extremes of the waveform are wanted, for a picture.

    Raises:
        ValueError: An option is out of range.
    """

    rule: Block = Block("quantile")
    longer_than_s: float | None = None
    window_s: float | None = None
    step: float = 0.5
    segments: bool = False
    envelope: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.step <= 1:
            raise ValueError(f"the step between segments is {self.step} of a segment; it must be above 0 and at most 1")
        if self.longer_than_s is not None and not self.longer_than_s >= 0:
            raise ValueError(f"longer than {self.longer_than_s} s: it must not be negative")
        if self.window_s is not None and not self.window_s > 0:
            raise ValueError(f"a segment of {self.window_s} s: it must be above 0")
        table.build("rule", RULES, self.rule)


BY_DEFAULT = Listening()
"""How `spooftune score` hears recordings if the user asks for nothing else."""


@dataclass(frozen=True)
class Limits:
    """The lengths that decide how a recording is heard, in samples at 16 kHz.

    Attributes:
        window: Samples of a segment.
        step: Samples from one segment to the next.
        whole: A longer recording is heard in segments.
        covered: A longer recording has samples outside the windows that the search scored.
        shortest: A shorter recording is shorter than all utterances of training; 0 = unknown.
    """

    window: int
    step: int
    whole: float
    covered: float
    shortest: int


def limits(bundle: Bundle, front_end: Any, listening: Listening) -> Limits:
    """The lengths by which recordings are heard.

    Args:
        bundle: The bundle.
        front_end: Its front end, built.
        listening: What the user asks for.
    """
    options = bundle.experiment.input
    trained = (options.n_frames - 1) * front_end.hop_length + front_end.min_samples
    if front_end.hop_length == RECKONED:  # one frame per utterance, which more audio does not multiply
        trained = RECKONED
    window = trained if listening.window_s is None else round(listening.window_s * SAMPLE_RATE)
    window = max(window, int(front_end.min_samples))
    if listening.longer_than_s is not None:
        longest = listening.longer_than_s
    else:
        longest = max((known.longest for known in bundle.durations.values()), default=USUAL_SECONDS)
    whole_windows = options.score_windows == "whole" or bundle.experiment.mode == "gmm"
    return Limits(
        window,
        max(1, round(listening.step * window)),
        # No segment is longer than its recording. The last bit of a duration is rounded.
        max(longest * SAMPLE_RATE + 1, window),
        math.inf if whole_windows else int(options.score_windows) * trained,
        int(SAMPLE_RATE * bundle.durations["train"].shortest) if "train" in bundle.durations else 0,
    )


class Cut(NamedTuple):
    """A piece of a recording.

    Attributes:
        begin: Its first sample.
        waveform: Its samples at 16 kHz, `(time,)`.
    """

    begin: int
    waveform: NDArray[np.float32]


def cut(blocks: Iterable[NDArray[np.float32]], window: int, step: int) -> Iterator[Cut]:
    """Yields overlapping segments of a waveform. The last one ends with the waveform, so that all samples are heard.

    Args:
        blocks: Consecutive blocks `(time,)` of the waveform.
        window: Samples of a segment. A shorter waveform is one segment.
        step: Samples from one segment to the next, at most `window`.
    """
    held = np.empty(0, np.float32)
    begin = first = 0  # first sample of the next segment, and of what is held
    for block in blocks:
        held = np.concatenate([held, block])
        while begin + window <= first + len(held):
            yield Cut(begin, held[begin - first : begin - first + window])
            begin += step
        # The last segment may begin a window before the end.
        keep = max(0, len(held) - window)
        held, first = held[keep:].copy(), first + keep
    end = first + len(held)
    last = max(end - window, 0)
    if end and (begin == 0 or begin - step < last):
        yield Cut(last, held[last - first :])
