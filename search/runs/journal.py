"""The journal of a run: one line of JSON for every start, epoch and end of a trial. Lines are only appended."""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.integrity.seal import sealed_line, without_seal
from search.runs.retry import with_retries

STATUSES = ("running", "finished", "stopped", "failed", "interrupted")
"""Status of a trial.

`finished`: trained for all epochs. `stopped`: stopped early by the scheduler. `failed`: ended with an error.
`interrupted`: the search ended while the trial was running.
"""


@dataclass(frozen=True)
class TrialRecord:
    """The state of one trial, as its run has recorded it.

    Attributes:
        number: Number of the trial, from 0, in the order of suggestion.
        values: The configuration.
        status: One of STATUSES.
        epoch: Last reported epoch, from 1; 0 before the first report.
        epochs: Epochs of the whole training; 0 before the first report, and in records of earlier versions.
        objective: Best value so far, lower is better; NaN before the first value.
        metrics: Metrics of the last reported epoch.
        seconds: Seconds from the start of the trial to its end, or to its last report.
        error: Why the trial failed, on one line; empty unless it failed.
        time: When its last event was recorded, in UTC and ISO 8601.
    """

    number: int
    values: dict[str, Any]
    status: str = "running"
    epoch: int = 0
    objective: float = math.nan
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    epochs: int = 0
    time: str = ""


_FIELDS = {attribute.name for attribute in dataclasses.fields(TrialRecord)}


class Journal:
    """The journal of a run.

    A search reads its trials every second, so `trials` reads only the lines that were appended since its last call.

    Attributes:
        path: The file; it need not exist yet.
        before_write: Called before a line is written; it raises if this process may not write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before_write: Callable[[], None] = _allowed
        self._trials: dict[int, TrialRecord] = {}
        self._known = 0  # bytes of the file that `_trials` includes

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "before_write": _allowed, "_trials": {}, "_known": 0}

    def record(self, event: str, number: int, **fields: Any) -> None:
        """Appends a line with the current time.

        Args:
            event: `start`, `epoch`, `resume` or `end`.
            number: Number of the trial.
            fields: Other entries of the line, such as attributes of TrialRecord.

        Raises:
            StorageLost: The file could not be written for a long time.
            LeaseLost: Another process owns the run now.
        """
        line = sealed_line({"event": event, "trial": number, "time": now(), **finite(fields)})

        def append() -> None:
            self.before_write()
            # A full disk may have left an incomplete line. It is ended first, and readers skip it.
            incomplete = self.path.exists() and self.path.stat().st_size and not _ends_a_line(self.path)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(("\n" if incomplete else "") + line + "\n")

        with_retries(append, str(self.path))

    def events(self) -> Iterator[dict[str, Any]]:
        """All complete lines, in order, with the keys `event`, `trial`, `time` and the other entries of `record`."""
        yield from _parsed(self._written(0))

    def events_after(self, position: int) -> tuple[list[dict[str, Any]], int]:
        """Complete lines from the byte `position` on, as `events` yields them, and the position after the last one."""
        written = self._written(position)
        if written is None:  # a storage has replaced the file by a shorter one
            return self.events_after(0)
        return list(_parsed(written)), position + len(written)

    def trials(self) -> list[TrialRecord]:
        """The current state of all trials, sorted by number."""
        written = self._written(self._known)
        if written is None:  # a storage has replaced the file by a shorter one
            self._trials, self._known = {}, 0
            written = self._written(0)
        for event in _parsed(written):
            number = int(event["trial"])
            if event["event"] == "start":
                self._trials[number] = TrialRecord(number, event["values"], time=str(event.get("time", "")))
                continue
            changes = {key: value for key, value in event.items() if key in _FIELDS and value is not None}
            self._trials[number] = dataclasses.replace(self._trials[number], **changes)
        self._known += len(written or b"")
        return [self._trials[number] for number in sorted(self._trials)]

    def epochs(self) -> list[tuple[int, int, float]]:
        """Trial number, epoch and objective of all reports, in order; infinity for a report without an objective."""
        reports = []
        for event in self.events():
            if event["event"] == "epoch":
                objective = event.get("objective")
                reports.append((int(event["trial"]), int(event["epoch"]), math.inf if objective is None else objective))
        return reports

    def _written(self, start: int) -> bytes | None:
        """The complete lines from the byte `start` on; None if the file ends before it.

        A line that is just being written is left out.
        """
        if not self.path.exists():
            return b"" if start == 0 else None
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < start:
                return None
            file.seek(start)
            lines = file.read()
        return lines[: lines.rfind(b"\n") + 1]


def _allowed() -> None:
    """Allows every write."""


def _parsed(lines: bytes | None) -> Iterator[dict[str, Any]]:
    for line in (lines or b"").splitlines():
        try:
            event = json.loads(line)
            yield without_seal(event) if isinstance(event, dict) else event
        except ValueError:
            continue  # an incomplete line that a full disk or a killed process has left


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def now() -> str:
    """The current time in UTC, in ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def finite(value: Any) -> Any:
    """Plain data with None instead of NaN and infinity, which JSON does not have. Tuples become lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
