"""The process that owns a run: its identity, and whether it still exists."""

import dataclasses
import json
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.runs.journal import now

HEARTBEAT = 10.0
"""Seconds between two signs of life of an owner."""

SILENCE = 60.0
"""Seconds without a sign of life after which a process of another host may take a run over."""


@dataclass(frozen=True)
class Owner:
    """A process that owns a run, or has owned it.

    Attributes:
        token: Random; no other owner has it.
        command: Its command, such as `spooftune resume`.
        host: Name of its host.
        pid: Number of the process on that host.
        pid_start: `process_start` of the process.
        namespace: The namespace in which `pid` counts: containers of one host may have their own.
        since: When it became the owner, in UTC.
        seen: When it has last shown a sign of life, in UTC.
        released: Whether it has given the run up.
    """

    token: str
    command: str
    host: str
    pid: int
    pid_start: str | None
    namespace: str
    since: str
    seen: str
    released: bool = False

    @classmethod
    def this_process(cls, token: str, command: str) -> "Owner":
        """This process as an owner from now on."""
        at, pid = now(), os.getpid()
        return cls(token, command, socket.gethostname(), pid, process_start(pid), _here(), since=at, seen=at)

    @classmethod
    def parse(cls, text: str) -> "Owner | None":
        """The owner that `text` describes; None if the text is incomplete or something else."""
        try:
            plain = json.loads(text)
            owner = cls(**{name: plain[name] for name in _TYPES})
            owner.silence()
        except (ValueError, TypeError, KeyError):
            return None
        valid = all(isinstance(getattr(owner, name), type_) for name, type_ in _TYPES.items())
        return owner if valid else None

    def text(self) -> str:
        """The owner as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def gone(self) -> bool | None:
        """Whether the process has ended; None if that cannot be told from here, because it ran elsewhere."""
        if self.released:
            return True
        if self.host != socket.gethostname() or self.namespace != _here() or not Path("/proc/self").exists():
            return None
        return process_start(self.pid) != self.pid_start

    def silence(self) -> float:
        """Seconds since its last sign of life, by the clock of this host; negative if the clocks differ."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.seen)).total_seconds()

    def exists(self) -> bool:
        """Whether the process probably exists: it runs on this machine, or has shown a sign of life lately."""
        gone = self.gone()
        return self.silence() < SILENCE if gone is None else not gone

    def __str__(self) -> str:
        """Such as `process 4711 on host node3 (spooftune resume, since 2026-01-01 10:00:00 UTC)`."""
        since = f"since {self.since[:19].replace('T', ' ')} UTC"
        return f"process {self.pid} on host {self.host} ({self.command}, {since})"


_TYPES: dict[str, Any] = {
    "token": str,
    "command": str,
    "host": str,
    "pid": int,
    "pid_start": str | None,
    "namespace": str,
    "since": str,
    "seen": str,
    "released": bool,
}


def process_start(pid: int) -> str | None:
    """Identifies a process of this machine beyond its number, which the system may use again.

    Returns:
        The boot of the machine and the start of the process, to be compared only; None if the process has ended.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] in "ZX" else f"{boot} {fields[19]}"  # Z, X: ended, and its parent has not asked yet


def _here() -> str:
    """The namespace in which this machine counts the processes that this one sees."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
