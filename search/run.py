"""A run's folder: what was asked, what every trial did, where its checkpoints lie. Plain JSON, one writer."""

import json
import math
import os
import re
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from core.atomic import replacing
from core.errors import InputError
from search.journal import Journal, TrialRecord, finite
from search.patience import patiently
from search.storage import Storage

if TYPE_CHECKING:
    from search.space import Space

CHECKPOINT = "checkpoint.pt"
TRIALS = "trials.jsonl"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ALIVE = ("extracting", "running", "confirming")
"""States of a run whose search goes on."""


class Run:
    """The folder of one run below `<storage>/runs`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Journal(path / TRIALS)
        self.name = path.name
        self.place = f"runs/{path.name}"
        self.tensorboard = path / "tensorboard"
        self.bundle = path / "export"

    def confirmation(self) -> "Run":
        """The trainings with fresh seeds, a run within this one; its folder is there once they have begun."""
        inner = Run(self.path / "confirmation")
        inner.name, inner.place = f"{self.name} (confirmation)", f"{self.place}/confirmation"
        inner.tensorboard = self.tensorboard / "confirmation"
        return inner

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

    def info(self) -> dict[str, Any]:
        """What `update` wrote: state, times, versions, seed, stores."""
        try:
            info = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(f"{self.path / 'run.json'}: cannot be read: {error}") from error
        return dict(info)

    def update(self, **changes: Any) -> None:
        """Lays changes over run.json; the file is replaced whole."""
        known = self.info() if (self.path / "run.json").exists() else {}
        patiently(lambda: write_json(self.path / "run.json", {**known, **changes}), f"{self.path / 'run.json'}")

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

    def record(self, event: str, number: int, **what: Any) -> None:
        """Appends to the record: `start`, `epoch`, `resume` or `end` of a trial."""
        self.journal.record(event, number, **what)

    def trials(self) -> list[TrialRecord]:
        """Every trial, by its number."""
        return self.journal.trials()

    def epochs(self) -> list[tuple[int, int, float]]:
        """Number, epoch and objective of every report of a trial, in order; infinity where it had none yet."""
        return self.journal.epochs()

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

    def events(self) -> Iterator[dict[str, Any]]:
        """Every line of the record: `event`, `trial`, `time` and what came with it."""
        return self.journal.events()

    def legs(self) -> list[Path]:
        """Folders in which Ray Tune kept the trials, one for the launch and one for each resumption, in that order."""
        return sorted(path for path in self.path.glob("tune*") if path.is_dir())

    def next_leg(self) -> str:
        """Name of the folder of the next one, unlike that of any run: Tune would mix the trials of two into one.

        A name per run is not enough: on one cluster Tune keeps what searches of one name that begin in the same second
        have to write in one folder, whatever their storage.
        """
        return f"tune-{len(self.legs()) + 1:03d}-{secrets.token_hex(4)}"

    def checkpoint(self, number: int) -> Path | None:
        """The latest checkpoint of a trial, which holds its best detector too; None where there is none."""
        for leg in reversed(self.legs()):
            found = sorted((leg / f"{number:05d}").glob(f"checkpoint_*/{CHECKPOINT}"))
            if found:
                return found[-1]
        return None

    def free_folder(self, name: str) -> Path:
        """A folder of the run that is not there yet: `name`, or the first free one of `name-002`, `name-003`, ..."""
        path, number = self.path / name, 1
        while path.exists():
            number += 1
            path = self.path / f"{name}-{number:03d}"
        return path

    def ranked(self) -> list[TrialRecord]:
        """The trials that have a checkpoint and a finite objective, best first."""
        usable = [each for each in self.trials() if math.isfinite(each.objective) and self.checkpoint(each.number)]
        return sorted(usable, key=lambda each: (each.objective, each.metrics.get("best_dev_loss", 0.0), each.number))


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


def write_json(path: Path, value: Any) -> None:
    """Writes plain data; the file is there whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(finite(value), indent=2) + "\n", encoding="utf-8")
