"""Fair shares of a cluster: every search that is alive may run an equal number of trials at a time."""

import math
import time
from typing import Any

NAMESPACE = "spooftune"
ACTOR = "search_registry"
"""Name of the registry's actor on the cluster."""
TIMEOUT_SECONDS = 60.0
"""A search without a heartbeat for so long counts as gone."""
HEARTBEAT_SECONDS = 5.0
"""Time between two heartbeats of a search."""


class SearchRegistry:
    """Counts the searches that are alive. It is an actor and lives as long as the cluster."""

    def __init__(self) -> None:
        self.last_heartbeat: dict[str, float] = {}

    def heartbeat(self, name: str) -> int:
        """Notes that a search is alive; returns the number of searches that are alive."""
        now = time.monotonic()
        self.last_heartbeat[name] = now
        self.last_heartbeat = {
            search: seen for search, seen in self.last_heartbeat.items() if now - seen < TIMEOUT_SECONDS
        }
        return len(self.last_heartbeat)

    def remove(self, name: str) -> None:
        """Notes that a search has ended."""
        self.last_heartbeat.pop(name, None)


class FairShare:
    """The trials that one search may run at a time while others use the same cluster."""

    def __init__(self, name: str, capacity: int) -> None:
        """Registers the search.

        Args:
            name: Name of the search; no other search on the cluster has it.
            capacity: Trials that the cluster can run at a time.
        """
        import ray

        self._name, self._capacity = name, capacity
        remote: Any = ray.remote(SearchRegistry)
        self._registry = remote.options(
            name=ACTOR, namespace=NAMESPACE, lifetime="detached", get_if_exists=True, num_cpus=0, max_restarts=-1
        ).remote()
        self._asked = -math.inf
        self._n_trials = capacity

    def n_trials(self) -> int:
        """Trials that the search may run at a time now, at least 1. The call is also the search's heartbeat."""
        import ray

        now = time.monotonic()
        if now - self._asked > HEARTBEAT_SECONDS:
            self._asked = now
            try:
                n_searches = ray.get(self._registry.heartbeat.remote(self._name), timeout=HEARTBEAT_SECONDS)
            except ray.exceptions.RayError:  # The registry restarts; the share stays as it was until then.
                return self._n_trials
            self._n_trials = max(1, math.ceil(self._capacity / n_searches))
        return self._n_trials

    def leave(self) -> None:
        """Removes the search from the registry, so that the other searches get its share."""
        self._registry.remove.remote(self._name)
