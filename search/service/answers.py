"""A recording -> its score as plain data, within the limits of a request."""

import threading
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from core import audio
from core.bundle import Scorer
from core.bundle.unlike import notes_on, texts_of
from core.errors import InputError
from search.report.segments import WORDS, describe_segments
from search.service.limits import Limits

Decision = Literal["bonafide", "spoof"]


class Segment(BaseModel):
    """A segment of a recording."""

    begin_s: float = Field(description="Begin, s.")
    end_s: float = Field(description="End, s.")
    score: float = Field(description="CM score: higher means more bona fide.")
    decision: Decision


class Stretch(BaseModel):
    """A part of a recording with one decision throughout."""

    begin_s: float = Field(description="Begin, s.")
    end_s: float = Field(description="End, s.")
    decision: Decision


class Answer(BaseModel):
    """The score of a recording."""

    recording: str = Field(description="Name of the recording.")
    duration_s: float = Field(description="Duration that was scored, s.")
    score: float = Field(description="CM score: higher means more bona fide.")
    llr: float | None = Field(description="Log-likelihood ratio, natural logarithm; null without a calibration.")
    decision: Decision = Field(description="bonafide if the score reaches the threshold.")
    threshold: float = Field(description="CM score from which on speech counts as bona fide.")
    in_segments: bool = Field(description="Whether the score is made of the scores of segments.")
    warnings: list[str] = Field(description="What is suspect about the recording, or unlike those of the training.")
    segments: list[Segment] | None = Field(default=None, description="Scores over time, if they were asked for.")
    stretches: list[Stretch] | None = Field(default=None, description="Parts of one decision, if asked for.")


class TooSlow(Exception):
    """Scoring has taken longer than a request may."""


class Answers:
    """A bundle that answers requests. Several threads may ask at a time.

    Attributes:
        scorer: The bundle on its device.
        threshold: CM score from which on speech counts as bona fide.
    """

    def __init__(self, scorer: Scorer, *, threshold: float, limits: Limits) -> None:
        self.scorer = scorer
        self.threshold = threshold
        self._limits = limits
        self._texts = texts_of(scorer.bundle, scorer.listening)

    def of(self, path: Path, *, name: str, segments: bool, given_up: threading.Event) -> dict[str, Any]:
        """The answer about a recording; see `Answer`.

        Args:
            path: File of the recording.
            name: Name that the client has for it.
            segments: Whether scores over time are wanted.
            given_up: Set once nobody waits for the answer.

        Raises:
            InputError: The recording cannot be used; the message has its name.
            TooSlow: Scoring took too long, or nobody waits any more.
        """
        try:
            return self._of(path, name, segments=segments, given_up=given_up)
        except InputError as error:
            raise InputError(_named(problem, path, name) for problem in error.problems) from error

    def _of(self, path: Path, name: str, *, segments: bool, given_up: threading.Event) -> dict[str, Any]:
        longest = self._limits.max_seconds
        seconds = audio.duration(path)
        if seconds > longest:
            raise InputError(f"{path}: lasts {seconds:,.1f} s; at most {longest:g} s are accepted")
        if audio.n_values(path) > self._limits.max_values:
            raise InputError(f"{path}: has too many channels or samples for a recording of {longest:g} s")
        deadline = time.monotonic() + self._limits.timeout_s

        def check(seconds: float) -> None:
            if given_up.is_set() or time.monotonic() > deadline:
                raise TooSlow

        messages: list[str] = []
        (heard,) = self.scorer.hear([path], segments=segments, warn=messages.append, progress=check)
        if isinstance(heard.result, InputError):
            raise heard.result
        bundle = self.scorer.bundle
        calibration = bundle.calibration
        notes = [*messages, *notes_on(heard, self._texts)]
        answer: dict[str, Any] = {
            "recording": name,
            "duration_s": heard.duration_s,
            "score": heard.result,
            "llr": None if calibration is None else float(calibration.llr(heard.result)),
            "decision": WORDS[heard.result >= self.threshold],
            "threshold": self.threshold,
            "in_segments": heard.in_segments,
            "warnings": [_named(note, path, name) for note in notes],
        }
        if segments:
            described = describe_segments(
                heard, threshold=self.threshold, calibration=None, rule=self.scorer.listening.rule.plain()
            )
            answer |= {key: described[key] for key in ("segments", "stretches")}
        return answer


def _named(text: str, path: Path, name: str) -> str:
    """A message about a file of ours with the name that the client has for it."""
    return text.replace(str(path), name)
