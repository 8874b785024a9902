"""A run's folder: what was asked, what every trial did, where its checkpoints lie. Plain JSON, one writer."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from core.errors import InputError
from search.runs.storage import Storage
from search.runs.trial_folder import TRIALS, TrialFolder

if TYPE_CHECKING:
    from search.space.space import Space

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ALIVE = ("extracting", "running", "confirming")
"""States of a run whose search goes on."""


class Run(TrialFolder):
    """The folder of one run below `<storage>/runs`, with the trials of its search.

    Attributes:
        name: Of the run.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, place=f"runs/{path.name}", tensorboard=path / "tensorboard")
        self.name = path.name

    def confirmation(self) -> TrialFolder:
        """The trainings with fresh seeds; their folder is there once they have begun."""
        name = "confirmation"
        return TrialFolder(self.path / name, place=f"{self.place}/{name}", tensorboard=self.tensorboard / name)

    @classmethod
    def create(cls, storage: Storage, *, prefix: str, name: str | None = None) -> "Run":
        """A new, empty folder: `name`, or the first free one of `prefix-001`, `prefix-002`, ...

        Raises:
            InputError: the name is taken, would leave the storage, or the storage cannot be written.
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
            f"{runs / str(name)}: a run of that name is there already; nothing of it was touched. Choose another --name"
        )

    @classmethod
    def open(cls, storage: Storage, name: str) -> "Run":
        """The run of that name.

        Raises:
            InputError: there is none; names the ones there are.
        """
        if NAME.fullmatch(name):
            storage.pull(f"runs/{name}")
        run = cls(storage.folder / "runs" / name)
        if not NAME.fullmatch(name) or not (run.path / "run.json").is_file():
            known = ", ".join(each.name for each in Run.all(storage)) or "none yet"
            raise InputError(f"no run {name!r} in {storage}; there are: {known} (another place is given by --storage)")
        return run

    @classmethod
    def all(cls, storage: Storage) -> "list[Run]":
        """Every run of a storage, oldest first."""
        storage.pull("runs", only=("run.json", TRIALS))
        found = [cls(each.parent) for each in (storage.folder / "runs").glob("*/run.json")]
        return sorted(found, key=lambda run: (str(run.info().get("created")), run.name))

    def change_space(self, space: "Space") -> None:
        """Writes what the run searches from now on; a space that it had before is kept under a name with a number."""
        for name, plain in (("space", dict(space.plain)), ("resolved", space.resolved())):
            path, number = self.path / f"{name}.yaml", 1
            while path.exists():
                path = self.path / f"{name}-until-{number:03d}.yaml"
                number += 1
            if path.name != f"{name}.yaml":
                (self.path / f"{name}.yaml").rename(path)
            (self.path / f"{name}.yaml").write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")

    def alive(self) -> bool:
        """Whether the process that runs the search is there; one on another host is believed to be."""
        info = self.info()
        if info["state"] not in ALIVE:
            return False
        if info.get("host", socket.gethostname()) != socket.gethostname():
            return True
        return process_start(int(info["pid"])) == info.get("pid_start") if Path("/proc/self").exists() else True

    def stop(self) -> None:
        """Asks the process of the search to stop as Ctrl-C does: trials keep their last epoch, the best is exported.

        Raises:
            InputError: the search does not run, or on another host.
        """
        info = self.info()
        if not self.alive():
            raise InputError(f"run {self.name}: does not run; it is {info['state']}")
        if info.get("host", socket.gethostname()) != socket.gethostname():
            raise InputError(f"run {self.name}: runs on host {info['host']}; stop it there (or stop its Ray job)")
        try:
            os.kill(int(info["pid"]), signal.SIGTERM)
        except (ProcessLookupError, PermissionError) as error:
            raise InputError(f"run {self.name}: process {info['pid']} cannot be stopped: {error}") from error

    def free_folder(self, name: str) -> Path:
        """A folder of the run that is not there yet: `name`, or the first free one of `name-002`, `name-003`, ..."""
        path, number = self.path / name, 1
        while path.exists():
            number += 1
            path = self.path / f"{name}-{number:03d}"
        return path


def check_name(name: str) -> None:
    """Raises InputError where a name cannot be a run's."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"--name {name!r}: a name is letters, digits, '.', '_' or '-', and begins with one of the first two"
        )


def this_process() -> dict[str, Any]:
    """What tells this process from every other, for run.json."""
    return {"pid": os.getpid(), "pid_start": process_start(os.getpid()), "host": socket.gethostname()}


def process_start(pid: int) -> str | None:
    """When a process of this machine began, in a form to compare: numbers are given again; None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return f"{boot} {stat.rsplit(')', 1)[1].split()[19]}"
