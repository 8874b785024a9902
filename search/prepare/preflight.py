"""Checks of every node of a cluster before a search starts: storage, corpus, versions."""

import contextlib
import secrets

from rich.console import Console

from core.errors import InputError
from search.cluster.capacity import trial_capacity
from search.cluster.node_check import check_node, fingerprint, version_differences
from search.cluster.ray_session import start_ray
from search.prepare.plan import SEARCHED_PARTITIONS, Plan

N_RECORDINGS = 8
"""Recordings per partition that every node opens."""

TIMEOUT_SECONDS = 120.0
"""Time that a node may take to answer."""


def join_cluster(plan: Plan, address: str, console: Console) -> None:
    """Connects to a cluster and checks its nodes.

    Args:
        plan: Plan of the search.
        address: Ray's address, such as `auto` on a node of the cluster.
        console: Console for a line about every node.

    Raises:
        InputError: A node lacks something that the search needs; all problems are listed.
        Unavailable: The cluster cannot be reached.
    """
    start_ray(address)
    for line in preflight(plan):
        console.print(line, highlight=False)


def preflight(plan: Plan) -> list[str]:
    """Checks versions, storage and corpus on every node, and that a node has the resources of a trial.

    Args:
        plan: Plan of the search.

    Returns:
        A line about every node.

    Raises:
        InputError: A check failed; all problems are listed, with the addresses of the nodes.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    options = plan.space.search
    problems: list[str] = []
    if trial_capacity(options) == 0:
        size = f"a trial needs {options.cpus} CPUs and {options.gpus:g} GPUs"
        problems.append(f"search: {size}; no node of the cluster has that, and none can be added")
    storage = plan.storage
    mark = f".preflight-{secrets.token_hex(8)}"
    ours = fingerprint()
    files = []
    for name in SEARCHED_PARTITIONS:
        utterances = plan.corpus.partition(name)
        step = max(1, len(utterances) // N_RECORDINGS)
        files += [str(utterance.path) for utterance in utterances[::step][:N_RECORDINGS]]
    lines = []
    try:
        try:
            storage.write(mark, mark)
        except OSError as error:
            raise InputError([*problems, f"storage {storage}: cannot be written: {error}"]) from error
        nodes = [node for node in ray.nodes() if node["Alive"]]
        remote = ray.remote(num_cpus=0, max_retries=0)(check_node)
        answers = {
            node["NodeManagerAddress"]: remote.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(storage.place, mark, files)
            for node in nodes
        }
        for address, answer in answers.items():
            try:
                report = ray.get(answer, timeout=TIMEOUT_SECONDS)
            except Exception as error:  # noqa: BLE001 - every failure of a node is a problem to list
                reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
                problems.append(f"node {address}: does not answer: {reason}")
                continue
            on_node = version_differences(ours, report["versions"]) + report["problems"]
            problems += [f"node {address}: {problem}" for problem in on_node]
            lines.append(f"node {address} ({report['host']}): same storage, corpus and versions as the head")
    finally:
        with contextlib.suppress(OSError, InputError):
            for name in storage.names("."):
                if name.startswith(mark):
                    storage.delete(name)
    if problems:
        raise InputError(problems)
    return lines
