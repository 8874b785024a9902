"""Scores of overlapping segments -> a score for every moment of a recording, and stretches of one decision."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Stretch(NamedTuple):
    """A part of a recording that is bona fide throughout, or spoofed throughout.

    Attributes:
        begin_s: Its begin, s.
        end_s: Its end, s.
        bona_fide: The decision.
    """

    begin_s: float
    end_s: float
    bona_fide: bool


def score_over_time(begins_s: Floats, ends_s: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """The mean score of the segments that contain a moment, for all moments of a recording.

    Args:
        begins_s: Begins of the segments, `(n_segments,)`, s. Together, the segments cover the recording without a gap.
        ends_s: Their ends, `(n_segments,)`, s.
        scores: Their CM scores, `(n_segments,)`.

    Returns:
        The edges of intervals, `(n + 1,)`, s, and the scores in them, `(n,)`.
    """
    edges = np.unique(np.concatenate([begins_s, ends_s]))
    total, count = np.zeros(len(edges)), np.zeros(len(edges))
    for moments, sign in ((begins_s, 1.0), (ends_s, -1.0)):
        index = np.searchsorted(edges, moments)
        np.add.at(total, index, sign * scores)
        np.add.at(count, index, sign)
    return edges, np.cumsum(total)[:-1] / np.cumsum(count)[:-1]


def stretches(edges: Floats, scores: Floats, threshold: float) -> list[Stretch]:
    """Stretches of one decision, in the order of time.

    Args:
        edges: Edges of intervals, `(n + 1,)`, s.
        scores: Scores in the intervals, `(n,)`.
        threshold: An interval with this score or a higher one is bona fide.
    """
    bona_fide = scores >= threshold
    changes = np.flatnonzero(np.diff(bona_fide)) + 1
    begins = [0, *changes.tolist()]
    ends = [*changes.tolist(), len(scores)]
    return [
        Stretch(float(edges[begin]), float(edges[end]), bool(bona_fide[begin]))
        for begin, end in zip(begins, ends, strict=True)
    ]
