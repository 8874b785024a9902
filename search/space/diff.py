"""A search that goes on with another space: what differs, and what of the old trials still counts."""

from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import InputError
from search.space.space import Space

FREE = ("trials", "hours", "gpu_hours", "patience", "deaths", "concurrency", "cpus", "gpus", "storage", "node_cache")
"""Settings of `search` that change nothing about what a trial is worth."""

SEARCHABLE = (
    "experiment.",
    "search.sampler",
    "search.scheduler",
    "search.seed",
    "search.baseline",
    "search.cost",
    "search.warm_start",
    "name",
)
"""Beginnings of settings that may change under way; others make the old values mean something else."""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Settings of two YAMLs that differ, by key: what stood there and what stands there now."""
    before, after = dict(_flat(old)), dict(_flat(new))
    free = {f"search.{name}" for name in FREE}

    def is_free(key: str) -> bool:
        return key in free or key.startswith("search.confirm.")

    return {
        key: f"{before.get(key, 'not there')} -> {after.get(key, 'not there')}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key) and not is_free(key)
    }


def check_change(run: str, old: Space, new: Space, *, allowed: bool) -> list[str]:
    """A line for each difference of two spaces.

    Args:
        run: Whose space it is.
        old: As it was launched.
        new: With which it is to go on.
        allowed: Whether the user wants the change.

    Raises:
        InputError: they differ and that was not allowed, or in what makes old and new values incomparable.
    """
    found = differences(old.resolved(), new.resolved())
    lines = [f"{key}: {what}" for key, what in found.items()]
    never = [key for key in found if not key.startswith(SEARCHABLE)]
    if never:
        why = f"{', '.join(never)} decide what a value means; launch a new run"
        raise InputError([*lines, f"run {run} cannot go on with that: {why}"])
    if lines and not allowed:
        raise InputError([*lines, f"run {run} has another space: --allow-changed-space goes on with this one"])
    return lines


def _flat(plain: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(plain, Mapping):
        for key, value in plain.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, plain
