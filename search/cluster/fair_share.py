"""How several searches share one cluster: each says that it is there, and takes its part of the places."""

import math
import time
from typing import Any

NAMESPACE = "spooftune"
ACTOR = "searches"
SILENT = 60.0
"""Seconds after which a search that says nothing counts as gone."""
OFTEN = 5.0
"""Seconds between two words of a search."""


class Searches:
    """Counts the searches that are there; lives on the cluster as long as it does."""

    def __init__(self) -> None:
        self.heard: dict[str, float] = {}

    def here(self, name: str) -> int:
        """A search says that it is there, and hears how many are."""
        now = time.monotonic()
        self.heard[name] = now
        self.heard = {each: when for each, when in self.heard.items() if now - when < SILENT}
        return len(self.heard)

    def gone(self, name: str) -> None:
        """A search says that it has ended."""
        self.heard.pop(name, None)


class Share:
    """The part of one search."""

    def __init__(self, name: str, places: int) -> None:
        """Joins the others.

        Args:
            name: Of the search, unlike that of any other.
            places: Trials that the cluster can run at a time.
        """
        import ray

        self._name, self._places = name, places
        remote: Any = ray.remote(Searches)
        self._searches = remote.options(
            name=ACTOR, namespace=NAMESPACE, lifetime="detached", get_if_exists=True, num_cpus=0, max_restarts=-1
        ).remote()
        self._asked = -math.inf
        self._part = places

    def part(self) -> int:
        """How many trials the search may have at a time, now: at least one."""
        import ray

        now = time.monotonic()
        if now - self._asked > OFTEN:
            self._asked = now
            try:
                n_searches = ray.get(self._searches.here.remote(self._name), timeout=OFTEN)
            except ray.exceptions.RayError:  # it starts again; until then the part is as it was
                return self._part
            self._part = max(1, math.ceil(self._places / n_searches))
        return self._part

    def leave(self) -> None:
        """Gives the part back to the others."""
        self._searches.gone.remote(self._name)
