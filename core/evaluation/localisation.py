"""Error rates over time: how well scores of segments locate the spoofed parts of recordings.

Labels are lines `recording duration key begin-end-key begin-end-key ...` with times in s and `bonafide` or `spoof`, the
form in which the labels of PartialSpoof and LlamaPartialSpoof circulate as text (Luong 2025, arXiv 2507.03468). The
arrays of PartialSpoof itself are pickled dictionaries, which run code when they are loaded, and are not read.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.evaluation.metrics import eer
from core.evaluation.timeline import score_over_time

KEYS = {"bonafide": True, "spoof": False}


class Part(NamedTuple):
    """A labelled part of a recording."""

    begin_s: float
    end_s: float
    bona_fide: bool


def read_parts(path: Path) -> dict[str, list[Part]]:
    """Labelled parts of recordings, by the name of the recording.

    Raises:
        InputError: The file cannot be read, a line has another form, or a recording is listed twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the labels cannot be read: {error}") from error
    parts: dict[str, list[Part]] = {}
    problems = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        try:
            listed = [_part(word) for word in words[3:]]
            if not listed:
                raise ValueError("no parts")
        except ValueError as error:
            problems.append(
                f"{path}:{number}: {error}; a line is `recording duration key begin-end-key ...`, with times in s and "
                f"the keys {' and '.join(KEYS)}"
            )
            continue
        if words[0] in parts:
            problems.append(f"{path}:{number}: {words[0]} is listed twice")
        parts[words[0]] = listed
    if not parts and not problems:
        problems.append(f"{path}: has no labels")
    if problems:
        raise InputError(problems[:10])
    return parts


def _part(word: str) -> Part:
    begin, end, key = word.split("-")
    part = Part(float(begin), float(end), KEYS[key]) if key in KEYS else None
    if part is None or not 0 <= part.begin_s < part.end_s < math.inf:
        raise ValueError(f"{word!r} is not a part")
    return part


def unit_labels(parts: Sequence[Part], n_units: int, unit_s: float) -> NDArray[np.bool_]:
    """Whether units of a recording are bona fide, `(n_units,)`: a unit is spoofed if any of it is.

    Args:
        parts: Labelled parts of the recording. What no part covers is bona fide.
        n_units: Number of units.
        unit_s: Duration of a unit, s.
    """
    labels = np.ones(n_units, np.bool_)
    for part in parts:
        if not part.bona_fide:
            # Times in text are rounded: a part that ends with a unit does not belong to the next one.
            first, end = math.floor(part.begin_s / unit_s + 1e-6), math.ceil(part.end_s / unit_s - 1e-6)
            labels[first:end] = False
    return labels


def unit_scores(segments: Sequence[dict[str, Any]], n_units: int, unit_s: float) -> NDArray[np.float64]:
    """CM scores of units `(n_units,)`: the mean score of the segments that contain the middle of a unit."""
    begins, ends, scores = (
        np.array([segment[key] for segment in segments], np.float64) for key in ("begin_s", "end_s", "score")
    )
    edges, over_time = score_over_time(begins, ends, scores)
    middles = (np.arange(n_units) + 0.5) * unit_s
    return over_time[np.clip(np.searchsorted(edges, middles, side="right") - 1, 0, len(over_time) - 1)]


def evaluate_segments(folder: Path, labels: Path, *, unit_s: float, partial: bool = False) -> dict[str, Any]:
    """Error rates of the scores over time in a folder, over all units of all recordings.

    Args:
        folder: Folder that `spooftune score --segments` wrote.
        labels: File with labelled parts; see `read_parts`.
        unit_s: Duration of a unit, s: the resolution of labels and scores.
        partial: Whether recordings of `labels` may lack scores.

    Returns:
        `eer` with its `eer_threshold`; `miss` and `false_alarm` at `threshold`, that of the scores; `n_bona_fide` and
        `n_spoof` units, `n_recordings`, `unit_s`. Rates are fractions.

    Raises:
        InputError: A file cannot be read, the two do not list the same recordings, or there is only one class.
    """
    if not 0 < unit_s < math.inf:
        raise InputError(f"--unit is {unit_s}; it must be above 0 s")
    parts = read_parts(labels)
    scored = _read_scored(folder)
    names = {
        name: next((key for key in (name, Path(name).name, Path(name).stem) if key in parts), "") for name in scored
    }
    problems = [f"{labels}: no labels of {name}" for name, key in names.items() if not key]
    without = sorted(set(parts) - set(names.values()))
    if without and not partial:
        told = f"no scores of {len(without)} recordings of {labels}, such as {without[0]}"
        problems.append(f"{folder}: {told}; --partial accepts that")
    if problems:
        raise InputError(problems[:10])
    all_scores, all_labels = [], []
    for name, described in scored.items():
        n_units = max(1, round(described["duration_s"] / unit_s))
        all_scores.append(unit_scores(described["segments"], n_units, unit_s))
        all_labels.append(unit_labels(parts[names[name]], n_units, unit_s))
    scores, bona_fide = np.concatenate(all_scores), np.concatenate(all_labels)
    if bona_fide.all() or not bona_fide.any():
        raise InputError(f"{labels}: all units are {'bona fide' if bona_fide.all() else 'spoofed'}; both are needed")
    rate, threshold = eer(scores[bona_fide], scores[~bona_fide])
    thresholds = {float(described["threshold"]) for described in scored.values()}
    if len(thresholds) > 1:
        raise InputError(f"{folder}: its files have different thresholds; score all recordings with the same options")
    given = thresholds.pop()
    return {
        "eer": rate,
        "eer_threshold": threshold,
        "threshold": given,
        "miss": float(np.mean(scores[bona_fide] < given)),
        "false_alarm": float(np.mean(scores[~bona_fide] >= given)),
        "n_bona_fide": int(bona_fide.sum()),
        "n_spoof": int((~bona_fide).sum()),
        "n_recordings": len(scored),
        "unit_s": unit_s,
    }


def _read_scored(folder: Path) -> dict[str, dict[str, Any]]:
    """What `spooftune score --segments` wrote about recordings, by the path of the recording."""
    scored = {}
    for path in sorted(folder.glob("*.json")):
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
            if not described["segments"] or not described["duration_s"] > 0:
                raise ValueError("it has no segments")
            scored[str(described["recording"])] = described
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not scores over time of spooftune score --segments: {error}") from error
    if not scored:
        raise InputError(f"{folder}: has no scores over time; spooftune score --segments writes them")
    return scored
