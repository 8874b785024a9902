"""A run's record: a line of JSON for every start, epoch and end of a trial, only ever appended to."""

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.runs.retry import patiently

STATUSES = ("running", "finished", "stopped", "failed", "interrupted")
"""`finished`: all epochs; `stopped`: ended early by the scheduler; `interrupted`: the search ended under it."""


@dataclass(frozen=True)
class TrialRecord:
    """What is known of one trial.

    Attributes:
        number: From 0, in the order of suggestion.
        values: Its configuration.
        status: One of STATUSES.
        epoch: Last epoch reported; 0 before the first.
        objective: Best value so far, lower is better; NaN while there is none.
        metrics: Metrics of the last epoch reported.
        seconds: Time since its start, up to its end or its last epoch.
        error: Why it failed, one line.
    """

    number: int
    values: dict[str, Any]
    status: str = "running"
    epoch: int = 0
    objective: float = math.nan
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""


_FIELDS = {each.name for each in dataclasses.fields(TrialRecord)}


class Journal:
    """The file of a run's record.

    Whoever asks for the trials again reads only what was written since: a search of days asks every second.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._trials: dict[int, TrialRecord] = {}
        self._known = 0  # bytes of the file that `_trials` holds

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_trials": {}, "_known": 0}

    def record(self, event: str, number: int, **what: Any) -> None:
        """Appends a line: `start`, `epoch`, `resume` or `end` of a trial."""
        line = json.dumps({"event": event, "trial": number, "time": now(), **finite(what)})

        def append() -> None:
            # What a full disk left of a line before is ended first: readers pass over it.
            broken = self.path.exists() and self.path.stat().st_size and not _ends_a_line(self.path)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(("\n" if broken else "") + line + "\n")

        patiently(append, str(self.path))

    def events(self) -> Iterator[dict[str, Any]]:
        """Every whole line: `event`, `trial`, `time` and what came with it."""
        yield from _parsed(self._written(0))

    def trials(self) -> list[TrialRecord]:
        """Every trial, by its number."""
        written = self._written(self._known)
        if written is None:  # the file is shorter than it was: another one, fetched from a storage
            self._trials, self._known = {}, 0
            written = self._written(0)
        for event in _parsed(written):
            number = int(event["trial"])
            if event["event"] == "start":
                self._trials[number] = TrialRecord(number, event["values"])
                continue
            changes = {key: value for key, value in event.items() if key in _FIELDS and value is not None}
            self._trials[number] = dataclasses.replace(self._trials[number], **changes)
        self._known += len(written or b"")
        return [self._trials[number] for number in sorted(self._trials)]

    def epochs(self) -> list[tuple[int, int, float]]:
        """Number, epoch and objective of every report of a trial, in order; infinity where it had none yet."""
        found = []
        for event in self.events():
            if event["event"] == "epoch":
                objective = event.get("objective")
                found.append((int(event["trial"]), int(event["epoch"]), math.inf if objective is None else objective))
        return found

    def _written(self, start: int) -> bytes | None:
        """The whole lines from a byte on, that of a writer at work left out; None where the file ends before it."""
        if not self.path.exists():
            return b"" if start == 0 else None
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < start:
                return None
            file.seek(start)
            lines = file.read()
        return lines[: lines.rfind(b"\n") + 1]


def _parsed(lines: bytes | None) -> Iterator[dict[str, Any]]:
    for line in (lines or b"").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue  # what a full disk or a killed process left of a line


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def finite(value: Any) -> Any:
    """Plain data in which numbers that JSON does not know (NaN, infinity) are None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value
