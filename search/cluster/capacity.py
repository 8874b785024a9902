"""How many trials a cluster can run at a time: now, and when it has grown."""

import math
from collections.abc import Mapping
from pathlib import Path

import yaml

from search.methods.ray_internals import autoscaler_groups
from search.space.options import SearchOptions

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves, on the head, what the cluster may grow to."""


def places(options: SearchOptions) -> int | None:
    """How many trials the connected Ray can run at a time, with the nodes that it may still add; None = unknown."""
    import ray

    now = sum(fitting(options, each["Resources"]) for each in ray.nodes() if each["Alive"])
    growth = growing(options)
    if growth is None:
        return now
    return None if math.isinf(growth) else max(now, int(growth))


def growing(options: SearchOptions) -> float | None:
    """How many trials the cluster can run when it has grown; infinity where it does not say, None if it cannot grow."""
    path = BOOTSTRAP.expanduser()
    if path.is_file():
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            types = config.get("available_node_types") or {}
            if config["provider"]["type"] == "local":
                return None  # the hosts of a list: what is there is there
        except (OSError, yaml.YAMLError, AttributeError, KeyError):
            return math.inf
        if any(not each.get("resources") for each in types.values()):
            return math.inf
        return float(sum(fitting(options, each["resources"]) * each.get("max_workers", 0) for each in types.values()))
    groups = autoscaler_groups()
    if not groups:
        return None
    n_trials = 0.0
    for group in groups:
        n_trials += fitting(options, group.resources) * (math.inf if group.max_count < 0 else group.max_count or 0)
    return n_trials


def fitting(options: SearchOptions, resources: Mapping[str, float]) -> int:
    """How many trials fit on a node at a time."""
    room = resources.get("CPU", 0) / options.cpus
    if options.gpus:
        gpus = resources.get("GPU", 0)
        # A fraction never straddles two GPUs.
        room = min(room, gpus * math.floor(1 / options.gpus + 1e-9) if options.gpus < 1 else gpus // options.gpus)
    return int(room)
