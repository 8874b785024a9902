"""EARLY_CHECKS: what the later stages of a search need of this machine, asked before anything slow is loaded.

A stage that cannot do its part would only say so after hours: export when all trials have ended, Ray when all features
are extracted. This module imports neither torch nor Ray, so that a mistake in a path is reported at once.
"""

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InputError
from search.runs.run import check_name
from search.space.yaml_file import KeyPath, YamlFile

Problem = tuple[KeyPath, str]
"""Key of the YAML file to which a problem belongs, and its text."""

MAX_SOCKET_PATH = 107
"""Bytes of the longest path of a Unix socket on Linux; a zero byte follows."""

RAY_SOCKET = "ray/session_2026-01-01_00-00-00_000000_{pid}/sockets/plasma_store"
"""Longest path of a socket below Ray's temporary folder, apart from the number of the process."""

PACKAGES = ("matplotlib", "optuna", "pyarrow", "ray", "safetensors", "scipy", "sklearn", "soundfile", "tensorboard")
"""Packages that later stages import."""

WEIGHTS = ("checkpoint", "weights")
"""Options of front ends that name a file with pretrained weights."""


@dataclass(frozen=True)
class Launch:
    """A search as the command line and the YAML file describe it, before the file is checked.

    Attributes:
        data: Content of the YAML file with the changes of the command line.
        storage: Folder or URL of runs and feature stores.
        name: Name of the new run; None: it is derived, or no run is created.
        embedded: Whether Ray is started on this machine.
    """

    data: Mapping[str, Any]
    storage: str
    name: str | None = None
    embedded: bool = False

    def section(self, key: str) -> Mapping[str, Any]:
        """A section of the file; empty if it is missing or malformed, which the reader of the space reports."""
        section = self.data.get(key)
        return section if isinstance(section, Mapping) else {}

    @property
    def folder(self) -> Path | None:
        """The storage, if it is a folder."""
        return None if "://" in self.storage else Path(self.storage)


def check_early(launch: Launch, yaml_file: YamlFile) -> None:
    """Asks every stage of EARLY_CHECKS.

    Args:
        launch: The search.
        yaml_file: Its YAML file, for the lines of problems.

    Raises:
        InputError: A stage could not do its part; all problems are listed.
    """
    problems = [problem for check in EARLY_CHECKS.values() for problem in check(launch)]
    if problems:
        raise InputError([yaml_file.problem(path, text) if path else text for path, text in problems])


def check_machine(storage: str) -> None:
    """Asks the stages of a run that is resumed on this machine. Its space was checked when it was launched.

    Raises:
        InputError: A stage could not do its part; all problems are listed.
    """
    launch = Launch({}, storage, embedded=True)
    problems = [text for check in EARLY_CHECKS.values() for _, text in check(launch)]
    if problems:
        raise InputError(problems)


def corpus_problems(launch: Launch) -> Iterator[Problem]:
    """The file or folder of the corpus is missing."""
    path = launch.section("corpus").get("path")
    if isinstance(path, str) and not Path(path).exists():
        yield ("corpus", "path"), f"corpus.path is {path}: no such file or folder (looked for {Path(path).absolute()})"


def weights_problems(launch: Launch) -> Iterator[Problem]:
    """Pretrained weights of a front end are missing."""
    for path in _weights(launch.section("experiment").get("front_end")):
        if not Path(path).is_file():
            text = f"{path}: no such file; it should have pretrained weights (looked for {Path(path).absolute()})"
            yield ("experiment", "front_end"), f"experiment.front_end: {text}"


def _weights(value: object) -> Iterator[str]:
    """Files that the options WEIGHTS name anywhere in a front end, its ranges and its choices."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item) if key in WEIGHTS else _weights(item)
    elif isinstance(value, list):
        for item in value:
            yield from _weights(item)


def _strings(value: object) -> Iterator[str]:
    """A string, or the strings of a range such as `{choice: [a, b]}` or `{value: a, when: ...}`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in (value.get("choice"), value.get("value")):
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def storage_problems(launch: Launch) -> Iterator[Problem]:
    """Feature stores, checkpoints, TensorBoard files, the bundle and its score files could not be written."""
    if launch.folder is not None:
        problem = unwritable(launch.folder)
        if problem:
            yield ("search", "storage"), f"search.storage is {launch.storage}: {problem}"


def run_problems(launch: Launch) -> Iterator[Problem]:
    """The run could not be created under its name."""
    if launch.name is None:
        return
    try:
        check_name(launch.name)
    except InputError as error:
        yield (), str(error)
        return
    path = launch.folder / "runs" / launch.name if launch.folder is not None else None
    if path is not None and path.exists():
        yield (), f"{path}: a run with this name exists, and nothing in it was changed; choose another --name"


def warm_start_problems(launch: Launch) -> Iterator[Problem]:
    """A run from which the sampler should learn is missing."""
    names = launch.section("search").get("warm_start")
    for name in names if isinstance(names, list) and launch.folder is not None else []:
        path = Path(launch.storage) / "runs" / str(name) / "run.json"
        if not path.is_file():
            yield ("search", "warm_start"), f"search.warm_start: no run {name!r} in {launch.storage}"


def node_cache_problems(launch: Launch) -> Iterator[Problem]:
    """Trials on this machine could not copy feature stores into their cache."""
    cache = launch.section("search").get("node_cache")
    if launch.embedded and isinstance(cache, str):
        problem = unwritable(Path(cache).expanduser())
        if problem:
            yield ("search", "node_cache"), f"search.node_cache is {cache}: {problem}"


def ray_problems(launch: Launch) -> Iterator[Problem]:
    """Ray could not create its session, its sockets or its log files on this machine."""
    if not launch.embedded:
        return
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), "")
    root = os.environ.get(name, "/tmp")
    n_bytes = len(os.fsencode(Path(root, RAY_SOCKET.format(pid=os.getpid()))))
    if n_bytes > MAX_SOCKET_PATH:
        reason = f"the paths of Ray's sockets would have {n_bytes} bytes; they may have {MAX_SOCKET_PATH}"
        yield (), f"{name} is {root}: {reason}; set RAY_TMPDIR to a shorter folder"
    problem = unwritable(Path(root) / "ray")
    if problem:
        yield (), f"{name or 'temporary files'}: Ray needs {root}/ray: {problem}; set RAY_TMPDIR to another folder"


def package_problems(launch: Launch) -> Iterator[Problem]:
    """A package is missing that training, export or report needs."""
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            yield (), f"the package {package} is missing; install the packages of requirements.txt"


EARLY_CHECKS: dict[str, Callable[[Launch], Iterator[Problem]]] = {
    "corpus": corpus_problems,
    "front end": weights_problems,
    "extraction, trials, export": storage_problems,
    "run": run_problems,
    "sampler": warm_start_problems,
    "node cache": node_cache_problems,
    "Ray": ray_problems,
    "report": package_problems,
}
"""Stage of a search -> what it would lack."""


def unwritable(folder: Path) -> str | None:
    """Why nothing could be written into a folder, which may be missing; None if it can be written."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        return f"{existing} is not a folder"
    try:
        with tempfile.TemporaryDirectory(dir=existing, prefix=".spooftune-"):
            return None
    except OSError as error:
        return f"{existing} cannot be written: {error.strerror or error}"
