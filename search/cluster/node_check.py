"""The check of one node of a cluster. It runs on that node, and loads neither torch nor the space."""

import hashlib
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import core
import search
from core.versions import versions
from search.runs.storage import Storage


def check_node(place: str, mark: str, files: Sequence[str]) -> dict[str, Any]:
    """Checks the node on which it runs.

    Args:
        place: Path or URL of the storage.
        mark: Name and content of a file that the driver wrote into the storage.
        files: Paths of recordings.

    Returns:
        `host` (its name), `versions` (see `fingerprint`) and `problems` (a list of messages).
    """
    problems = []
    storage = Storage(place)
    try:
        if storage.read(mark) != mark:
            problems.append(f"storage {place}: is not the storage of the head")
        storage.write(f"{mark}-{secrets.token_hex(4)}", "")
    except FileNotFoundError:
        problems.append(f"storage {place}: is not the storage of the head; all nodes must share it")
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
    """Versions of the software that determines results, with a digest of spooftune's own source."""
    digest = hashlib.sha256()
    for package in (core, search):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return {**{str(key): str(value) for key, value in versions().items()}, "source": digest.hexdigest()[:12]}


def version_differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """A line for every version of a node that differs from the head's. The platform may differ."""
    names = sorted({*ours, *theirs} - {"platform"})
    return [
        f"{name} is {theirs.get(name, 'missing')}; on the head it is {ours.get(name, 'missing')}"
        for name in names
        if ours.get(name) != theirs.get(name)
    ]
