"""Differences between two spaces: may a run be resumed with another space?"""

from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import InputError
from search.space.places import is_place
from search.space.space import Space

FREE_SETTINGS = (
    "trials",
    "hours",
    "gpu_hours",
    "patience",
    "deaths",
    "concurrency",
    "cpus",
    "gpus",
    "storage",
    "node_cache",
)
"""Settings of `search` that may always change: they do not change the meaning of an objective value."""

CHANGEABLE_PREFIXES = (
    "experiment.",
    "search.sampler",
    "search.scheduler",
    "search.seed",
    "search.baseline",
    "search.cost",
    "search.lag",
    "search.warm_start",
    "name",
)
"""Prefixes of settings that may change with the user's consent.

All other settings, such as the corpus or the objective, would make old and new objective values incomparable.
"""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Settings that differ between two spaces, except those that may always change.

    Args:
        old: The old space as plain data.
        new: The new space as plain data.

    Returns:
        Dotted key -> `old value -> new value`; a missing value is written as `missing`.
    """
    before, after = dict(_flat(old)), dict(_flat(new))
    free = {f"search.{name}" for name in FREE_SETTINGS}

    def is_free(key: str) -> bool:
        # The content of corpus and weights is compared with that of the launch, wherever they are.
        return key in free or is_place(key) or key.startswith("search.confirm.")

    return {
        key: f"{before.get(key, 'missing')} -> {after.get(key, 'missing')}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key) and not is_free(key)
    }


def check_change(run: str, old: Space, new: Space, *, allowed: bool) -> list[str]:
    """The differences between the space of a run and the space for resuming it.

    Args:
        run: Name of the run, for messages.
        old: Space of the run.
        new: Space for resuming it.
        allowed: Whether the user consents to the changes.

    Returns:
        One line for every setting that differs: its key, the old value and the new value.

    Raises:
        InputError: The spaces differ without the user's consent, or old and new objective values are not comparable.
    """
    changes = differences(old.resolved(), new.resolved())
    lines = [f"{key}: {change}" for key, change in changes.items()]
    incomparable = [key for key in changes if not key.startswith(CHANGEABLE_PREFIXES)]
    if incomparable:
        why = f"old and new values are not comparable after a change of {', '.join(incomparable)}; launch a new run"
        raise InputError([*lines, f"run {run} cannot be resumed with this space: {why}"])
    if lines and not allowed:
        hint = "to resume with the new space, add --allow-changed-space"
        raise InputError([*lines, f"run {run} has a different space; {hint}"])
    return lines


def _flat(plain: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(plain, Mapping):
        for key, value in plain.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, plain
