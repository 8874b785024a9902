"""Recordings that a caller has: paths, arrays, and pairs (array, sample rate)."""

import os
from collections.abc import Iterable
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError

if TYPE_CHECKING:
    from core.audio import Source


def sources_of(recordings: Iterable[Any], sample_rate: int | None) -> "list[Source]":
    """The recordings, in their order.

    Args:
        recordings: Paths; arrays, for which see `core.audio.samples_of`; or pairs (array, sample rate).
        sample_rate: Samples per second of the arrays that are not in pairs.

    Raises:
        InputError: An array has no sample rate, or is no waveform; or there is a sample rate and no array that it could
            be of.
    """
    if isinstance(recordings, str | os.PathLike):
        raise InputError(f"{recordings}: is one recording; a batch is a list of them")
    from core.audio import samples_of

    sources: list[Source] = []
    problems: list[str] = []
    n_arrays = n_alone = 0
    for number, recording in enumerate(recordings):
        if isinstance(recording, str | os.PathLike):
            sources.append(Path(recording))
            continue
        n_arrays += 1
        array, rate = recording, sample_rate
        if _is_pair(recording):
            array, rate = recording
        else:
            n_alone += 1
        try:
            sources.append(samples_of(array, rate, name=f"array {number}"))
        except InputError as error:
            problems += error.problems
    if sample_rate is not None and sources and not n_alone:
        text = "no array needs it: a file has its own" if not n_arrays else "every array has its own"
        problems.append(f"sample_rate is {sample_rate}, and {text}")
    if problems:
        raise InputError(problems)
    return sources


def _is_pair(recording: Any) -> bool:
    """Whether a recording is an array with its sample rate, and not a tuple of two samples."""
    return (
        isinstance(recording, tuple)
        and len(recording) == 2
        and isinstance(recording[1], Integral)
        and hasattr(recording[0], "__len__")
    )
