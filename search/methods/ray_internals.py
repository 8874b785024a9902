"""All that spooftune uses of Ray's private parts: the one file to look at again when Ray's version changes.

Importing this module imports no Ray.
"""

import contextlib
import copy
import io
from types import SimpleNamespace
from typing import Any


def rungs_end(scheduler: Any, name: str, epoch: int, objective: float) -> bool:
    """Gives an ASHAScheduler the report of a trial that Tune does not know; returns whether that ends the trial.

    Args:
        scheduler: An ASHAScheduler of one bracket.
        name: By which the rungs are to know the trial.
        epoch: Of the report.
        objective: Of the report, lower is better.
    """
    if epoch >= scheduler._max_t:  # at its last epoch a trial ends without asking the rungs
        return True
    (bracket,) = scheduler._brackets
    decision = bracket.on_result(SimpleNamespace(trial_id=name), epoch, scheduler._metric_op * objective)
    return bool(decision == scheduler.STOP)


def rename_in_rungs(scheduler: Any, name: str, trial_id: str) -> None:
    """Gives what the rungs of an ASHAScheduler hold of a trial to another name."""
    (bracket,) = scheduler._brackets
    for _, recorded in bracket._rungs:
        if name in recorded:
            recorded[trial_id] = recorded.pop(name)


def median_reports(rule: Any) -> dict[Any, list[dict[str, Any]]]:
    """What a MedianStoppingRule has heard, by trial; the rule's own dict."""
    reports: dict[Any, list[dict[str, Any]]] = rule._results
    return reports


def forget_stopped(rule: Any, trial: Any) -> None:
    """Lets a MedianStoppingRule forget that it stopped a trial."""
    rule._stopped_trials.discard(trial)


def autoscaler_groups() -> list[Any] | None:
    """Groups of nodes that the autoscaler of the connected cluster may start; None or empty where it starts none.

    A group has `resources` of a node and `max_count` of nodes (negative: no limit).
    """
    import ray

    config = ray._private.state.state.get_cluster_config()
    groups: list[Any] | None = getattr(config, "node_group_configs", None)
    return groups


def check_cluster_config(config: dict[str, Any]) -> None:
    """Checks a cluster's YAML against Ray's own schema.

    Raises:
        Exception: of whatever kind Ray finds fitting, when it refuses the configuration.
    """
    from ray.autoscaler._private.util import prepare_config, validate_config

    with contextlib.redirect_stdout(io.StringIO()):  # it remarks on every file mount
        validate_config(prepare_config(copy.deepcopy(config)))
