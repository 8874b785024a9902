"""The folder of a run: its space, its state, the record of its trials and their checkpoints. One process writes it."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from core.errors import InputError
from core.integrity.seal import sealed_yaml
from search.runs.lease_files import FolderFiles
from search.runs.owner import Owner, process_start
from search.runs.storage import Storage
from search.runs.trial_folder import TRIALS, TrialFolder

if TYPE_CHECKING:
    from search.space.space import Space

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LEASE = "lease"
"""Folder of the lease in the folder of a run."""

ALIVE = ("extracting", "running", "confirming")
"""States of a run whose process should exist."""


class Run(TrialFolder):
    """The folder of one run below `<storage>/runs`, with the trials of its search.

    Attributes:
        name: Name of the run and of its folder.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, place=f"runs/{path.name}", tensorboard=path / "tensorboard")
        self.name = path.name

    def confirmation(self) -> TrialFolder:
        """The folder of the trainings with fresh seeds; it exists once the confirmation has started."""
        name = "confirmation"
        folder = TrialFolder(self.path / name, place=f"{self.place}/{name}", tensorboard=self.tensorboard / name)
        folder.hold(self._lease)
        return folder

    @classmethod
    def create(cls, storage: Storage, *, prefix: str, name: str | None = None) -> "Run":
        """Creates the folder of a new run.

        Args:
            storage: The storage.
            prefix: Prefix of the name if `name` is None: the first free one of `prefix-001`, `prefix-002`, ...
            name: Name of the run.

        Raises:
            InputError: A run with this name exists, the name is not valid, or the storage cannot be written.
        """
        if name is not None:
            check_name(name)
        runs = storage.folder / "runs"
        taken = set(storage.names("runs"))
        candidates: Iterator[str] = iter([name]) if name else (f"{prefix}-{k:03d}" for k in range(1, 100_000))
        try:
            runs.mkdir(parents=True, exist_ok=True)
            for candidate in candidates:
                if candidate in taken:
                    continue
                try:
                    (runs / candidate).mkdir()
                except FileExistsError:
                    continue
                return cls(runs / candidate)
        except OSError as error:
            raise InputError(f"{runs}: cannot be written: {error}") from error
        raise InputError(
            f"{runs / str(name)}: a run with this name exists, and nothing in it was changed; choose another --name"
        )

    @classmethod
    def exists(cls, storage: Storage, name: str) -> bool:
        """Whether a storage has a run with this name.

        Raises:
            Unavailable: The storage cannot be read.
        """
        if not NAME.fullmatch(name):
            return False
        if storage.remote:
            return "run.json" in storage.names(f"runs/{name}")
        return (storage.folder / "runs" / name / "run.json").is_file()

    @classmethod
    def open(cls, storage: Storage, name: str) -> "Run":
        """The run with this name.

        Raises:
            InputError: The storage has no such run, or cannot be read. The message lists the runs that it has.
        """
        if NAME.fullmatch(name):
            storage.pull(f"runs/{name}")
        run = cls(storage.folder / "runs" / name)
        if not NAME.fullmatch(name) or not (run.path / "run.json").is_file():
            known = ", ".join(run.name for run in Run.all(storage)) or "none yet"
            raise InputError(f"no run {name!r} in {storage}; there are: {known} (--storage selects another storage)")
        return run

    @classmethod
    def all(cls, storage: Storage) -> "list[Run]":
        """All runs of a storage, oldest first. Of a URL, only the states and records of the runs are read."""
        storage.pull("runs", only=("run.json", TRIALS))
        runs = [cls(path.parent) for path in (storage.folder / "runs").glob("*/run.json")]
        for run in runs:
            if run.info()["state"] in ALIVE:
                storage.pull(f"{run.place}/{LEASE}")
        return sorted(runs, key=lambda run: (str(run.info().get("created")), run.name))

    def change_space(self, space: "Space") -> None:
        """Writes space.yaml and resolved.yaml; earlier ones are kept as `space-until-001.yaml` and so on."""
        for name, plain in (("space", dict(space.plain)), ("resolved", space.resolved())):
            path, number = self.path / f"{name}.yaml", 1
            while path.exists():
                path = self.path / f"{name}-until-{number:03d}.yaml"
                number += 1
            if path.name != f"{name}.yaml":
                (self.path / f"{name}.yaml").rename(path)
            (self.path / f"{name}.yaml").write_text(
                sealed_yaml(yaml.safe_dump(plain, sort_keys=False)), encoding="utf-8"
            )

    def owner(self) -> Owner | None:
        """The process that owns the run, or was the last to own it; None before the first launch with a lease."""
        newest = FolderFiles(self.path / LEASE).newest()
        return None if newest is None else newest.owner

    def state(self) -> str:
        """The state of the run: that in run.json, or `interrupted` if its process ended without writing a state."""
        state = str(self.info()["state"])
        return state if state not in ALIVE or self.alive() else "interrupted"

    def alive(self) -> bool:
        """Whether the process of the search exists. A process of another host must have shown a sign of life lately."""
        if self.info()["state"] not in ALIVE:
            return False
        owner = self.owner()
        return self.alive_without_lease() if owner is None else owner.exists()

    def alive_without_lease(self) -> bool:
        """Whether the process in run.json exists, which may be of a version without leases.

        A process on another host is assumed to exist.
        """
        info = self.info()
        if info["state"] not in ALIVE:
            return False
        if info.get("host", socket.gethostname()) != socket.gethostname():
            return True
        return process_start(int(info["pid"])) == info.get("pid_start") if Path("/proc/self").exists() else True

    def refuse_former_owner(self) -> None:
        """Refuses a run without a lease that a process of an earlier version may still run.

        Raises:
            InputError: The process seems to exist.
        """
        if self.alive_without_lease():
            info = self.info()
            where = f"in process {info['pid']} on host {info.get('host', 'unknown')}"
            hint = "stop it first; if that process no longer exists, pass --force"
            raise InputError(f"run {self.name}: is still running, {where}; {hint}")

    def stop(self) -> None:
        """Asks the process of the search to stop, as Ctrl-C does.

        Trials keep their last epoch, and the best detector is exported.

        Raises:
            InputError: The search is not running, runs on another host, or its process cannot be stopped.
        """
        info, owner = self.info(), self.owner()
        if not self.alive():
            state = info["state"]
            if state in ALIVE:
                reason = f"its process has ended without a word, in the state {state}; spooftune resume continues it"
            else:
                reason = f"its state is {state}"
            raise InputError(f"run {self.name}: is not running; {reason}")
        host, pid = (owner.host, owner.pid) if owner else (info.get("host", socket.gethostname()), int(info["pid"]))
        if owner.gone() is None if owner else host != socket.gethostname():
            raise InputError(f"run {self.name}: runs on host {host}; stop it there (or stop its Ray job)")
        try:
            os.kill(pid, signal.SIGTERM)
        except (ProcessLookupError, PermissionError) as error:
            raise InputError(f"run {self.name}: process {pid} cannot be stopped: {error}") from error

    def free_folder(self, name: str) -> Path:
        """A path in the run's folder that does not exist yet: `name`, or the first free one of `name-002`, ..."""
        path, number = self.path / name, 1
        while path.exists():
            number += 1
            path = self.path / f"{name}-{number:03d}"
        return path


def check_name(name: str) -> None:
    """Checks the name of a run, as given by `--name`.

    Raises:
        InputError: The name has characters that are not allowed, or more than 100 characters.
    """
    if not NAME.fullmatch(name):
        valid = "a name has at most 100 letters, digits, '.', '_' or '-', and begins with a letter or digit"
        raise InputError(f"--name {name!r}: {valid}")


def this_process() -> dict[str, Any]:
    """The identity of this process, for run.json: process number, start and host."""
    return {"pid": os.getpid(), "pid_start": process_start(os.getpid()), "host": socket.gethostname()}
