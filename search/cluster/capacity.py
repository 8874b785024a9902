"""The number of trials that a cluster can run at a time, now and after it has grown."""

import math
from collections.abc import Mapping
from pathlib import Path

import yaml

from search.methods.ray_internals import autoscaler_groups
from search.space.options import SearchOptions

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
"""Copy of the cluster's YAML that `ray up` leaves on the head; it says how far the cluster may grow."""


def trial_capacity(options: SearchOptions) -> int | None:
    """Trials that the connected Ray can run at a time, nodes that it may still add included; None = unknown."""
    import ray

    now = sum(trials_per_node(options, node["Resources"]) for node in ray.nodes() if node["Alive"])
    grown = capacity_after_growth(options)
    if grown is None:
        return now
    return None if math.isinf(grown) else max(now, int(grown))


def capacity_after_growth(options: SearchOptions) -> float | None:
    """Trials that the fully grown cluster can run at a time.

    Args:
        options: CPUs and GPUs of a trial.

    Returns:
        The number; infinity if the cluster states no limit or no resources; None if it cannot grow.
    """
    path = BOOTSTRAP.expanduser()
    if path.is_file():
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            types = config.get("available_node_types") or {}
            if config["provider"]["type"] == "local":
                return None  # A fixed list of hosts does not grow.
        except (OSError, yaml.YAMLError, AttributeError, KeyError):
            return math.inf
        if any(not node_type.get("resources") for node_type in types.values()):
            return math.inf
        return float(
            sum(
                trials_per_node(options, node_type["resources"]) * node_type.get("max_workers", 0)
                for node_type in types.values()
            )
        )
    groups = autoscaler_groups()
    if not groups:
        return None
    n_trials = 0.0
    for group in groups:
        max_nodes = math.inf if group.max_count < 0 else group.max_count or 0
        n_trials += trials_per_node(options, group.resources) * max_nodes
    return n_trials


def trials_per_node(options: SearchOptions, resources: Mapping[str, float]) -> int:
    """Trials that a node with the given Ray resources (`CPU`, `GPU`) can run at a time."""
    n_trials = resources.get("CPU", 0) / options.cpus
    if options.gpus:
        gpus = resources.get("GPU", 0)
        # A trial with a fraction of a GPU never uses parts of two GPUs.
        on_gpus = gpus * math.floor(1 / options.gpus + 1e-9) if options.gpus < 1 else gpus // options.gpus
        n_trials = min(n_trials, on_gpus)
    return int(n_trials)
