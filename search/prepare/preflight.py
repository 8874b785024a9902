"""What is checked on every node of a cluster before a search begins there."""

import contextlib
import hashlib
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

import core
import search
from core.bundle import versions
from core.errors import InputError
from search.cluster.capacity import places
from search.cluster.ray_session import start_ray
from search.prepare.plan import SEARCHED_PARTITIONS, Plan
from search.runs.storage import Storage

SAMPLED = 8
"""Recordings of a partition that every node opens."""

SECONDS = 120.0
"""How long a node may take to answer."""


def join_cluster(plan: Plan, address: str, console: Console) -> None:
    """Connects to a cluster and checks what a search needs of it.

    Args:
        plan: Of the search that is about to begin.
        address: Ray's, such as `auto` on a node of the cluster.
        console: Where a line about each node is shown.

    Raises:
        InputError: the cluster cannot be reached, or a node cannot do what a search needs of it.
    """
    start_ray(address)
    for line in preflight(plan):
        console.print(line, highlight=False)


def preflight(plan: Plan) -> list[str]:
    """Checks every node that is there: versions, storage, corpus, and that a trial fits somewhere.

    Args:
        plan: Of the search that is about to begin.

    Returns:
        A line about each node.

    Raises:
        InputError: everything that is wrong, with the node's address.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    options = plan.space.search
    problems: list[str] = []
    if places(options) == 0:
        size = f"a trial takes {options.cpus} CPUs and {options.gpus:g} GPUs"
        problems.append(f"search: {size}; no node of the cluster has that, nor can it grow to one")
    storage = plan.storage
    mark = f".preflight-{secrets.token_hex(8)}"
    ours = fingerprint()
    partitions = [plan.corpus.partition(each) for each in SEARCHED_PARTITIONS]
    files = [each.path for part in partitions for each in part[:: max(1, len(part) // SAMPLED)][:SAMPLED]]
    said = []
    try:
        try:
            storage.write(mark, mark)
        except OSError as error:
            raise InputError([*problems, f"storage {storage}: cannot be written: {error}"]) from error
        nodes = [each for each in ray.nodes() if each["Alive"]]
        remote = ray.remote(num_cpus=0, max_retries=0)(probe)
        answers = {
            each["NodeManagerAddress"]: remote.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(each["NodeID"], soft=False)
            ).remote(storage.place, mark, [str(path) for path in files])
            for each in nodes
        }
        for address, answer in answers.items():
            try:
                found = ray.get(answer, timeout=SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever kept the node from answering
                reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
                problems.append(f"node {address}: does not answer: {reason}")
                continue
            problems += [f"node {address}: {each}" for each in differences(ours, found["versions"])]
            problems += [f"node {address}: {each}" for each in found["problems"]]
            said.append(f"node {address} ({found['host']}): storage, corpus and versions are as here")
    finally:
        with contextlib.suppress(OSError, InputError):
            for name in storage.names("."):
                if name.startswith(mark):
                    storage.delete(name)
    if problems:
        raise InputError(problems)
    return said


def probe(place: str, mark: str, files: Sequence[str]) -> dict[str, Any]:
    """What one node finds: runs there.

    Args:
        place: Of the storage.
        mark: A file that the driver wrote into it; its name is its content.
        files: Recordings.
    """
    problems = []
    storage = Storage(place)
    try:
        if storage.read(mark) != mark:
            problems.append(f"storage {place}: is not the one of the head")
        storage.write(f"{mark}-{secrets.token_hex(4)}", "")
    except FileNotFoundError:
        problems.append(f"storage {place}: is not the one of the head; every node must share it")
    except OSError as error:
        problems.append(f"storage {place}: cannot be used: {error}")
    for path in files:
        try:
            with Path(path).open("rb") as file:
                file.read(1)
        except OSError as error:
            problems.append(f"corpus: {path} cannot be read: {error.strerror}")
            break
    return {"host": socket.gethostname(), "versions": fingerprint(), "problems": problems}


def fingerprint() -> dict[str, str]:
    """Versions of what results hang on, spooftune's own source among them."""
    digest = hashlib.sha256()
    for package in (core, search):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return {**{str(key): str(value) for key, value in versions().items()}, "source": digest.hexdigest()[:12]}


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """What of the versions of a node differs from the head's."""
    names = sorted({*ours, *theirs} - {"platform"})
    return [
        f"{name} is {theirs.get(name, 'missing')}; on the head it is {ours.get(name, 'missing')}"
        for name in names
        if ours.get(name) != theirs.get(name)
    ]
