"""Looks at eval: a record of every act that scored the eval partition of a corpus, in the folder of a run or bundle.

Whoever looks at eval and then changes something has chosen by eval. The number of the look says how often that could
have happened. A look is recorded before the first score is computed, so that none is lost.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.integrity.seal import sealed_line
from search.runs.journal import finite, now

LOOKS = "eval_looks.jsonl"


@dataclass(frozen=True)
class Look:
    """One act that scored eval, for one detector or for several.

    Attributes:
        number: Number of the look in this folder, from 1.
        at: When, in UTC.
        command: Command that asked for it, such as `spooftune export --eval`.
        detectors: Detectors that were scored: bundles, trials or seeds.
        corpus: Name of the corpus.
        partition: Name of the partition.
        eer: EER in [0, 1] by detector; empty if the act did not end.
    """

    number: int
    at: str
    command: str
    detectors: tuple[str, ...]
    corpus: str
    partition: str
    eer: Mapping[str, float] = field(default_factory=dict)


def looks(folder: Path) -> list[Look]:
    """The recorded looks of a run or a bundle, in their order.

    Raises:
        InputError: The record cannot be read.
    """
    by_number: dict[int, Look] = {}
    for line in _lines(folder):
        number = int(line["look"])
        if "eer" in line and number in by_number:
            by_number[number] = dataclasses.replace(by_number[number], eer=line["eer"])
        elif "at" in line:
            detectors = tuple(line["detectors"])
            by_number[number] = Look(number, line["at"], line["command"], detectors, line["corpus"], line["partition"])
    return [by_number[number] for number in sorted(by_number)]


def n_looks(folder: Path) -> int:
    """Number of looks at eval, with those that an earlier version only counted in run.json."""
    recorded = looks(folder)
    return recorded[-1].number if recorded else _counted(folder)


def record_look(folder: Path, *, command: str, detectors: Sequence[str], corpus: str, partition: str = "eval") -> int:
    """Records a look that is about to happen, and returns its number.

    Args:
        folder: Folder of the run or of the bundle; it exists.
        command: Command that asked for it.
        detectors: Detectors that are about to be scored.
        corpus: Name of the corpus.
        partition: Name of the partition.

    Raises:
        InputError: The record cannot be written; eval must not be scored then.
    """
    number = n_looks(folder) + 1
    of = {"detectors": list(detectors), "corpus": corpus, "partition": partition}
    _append(folder, {"look": number, "at": now(), "command": command, **of})
    return number


def record_result(folder: Path, number: int, eer: Mapping[str, float]) -> None:
    """Adds the EERs in [0, 1], by detector, to a recorded look.

    Raises:
        InputError: The record cannot be written.
    """
    _append(folder, {"look": number, "eer": dict(eer)})


class EvalAct:
    """An act that may score eval for several detectors: the look is recorded when the first one is about to be scored.

    Attributes:
        number: Number of the look; None: eval has not been scored.
    """

    def __init__(self, folder: Path, *, command: str, detectors: Sequence[str], corpus: str) -> None:
        """An act that has not scored yet; arguments as for `record_look`."""
        self.number: int | None = None
        self._folder, self._arguments = folder, {"command": command, "corpus": corpus}
        self._detectors = detectors

    def begin(self) -> None:
        """Records the look, unless this act has done so.

        Raises:
            InputError: The record cannot be written; eval must not be scored then.
        """
        if self.number is None:
            self.number = record_look(self._folder, detectors=self._detectors, **self._arguments)

    def end(self, eer: Mapping[str, float]) -> None:
        """Adds the EERs in [0, 1], by detector, to the record, if eval was scored."""
        if self.number is not None:
            record_result(self._folder, self.number, eer)


def _counted(folder: Path) -> int:
    try:
        return int(json.loads((folder / "run.json").read_text(encoding="utf-8")).get("eval_looks", 0))
    except (OSError, ValueError):
        return 0


def _lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / LOOKS
    try:
        texts = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except OSError as error:
        raise InputError(f"{path}: the record of looks at eval cannot be read: {error}") from error
    lines = []
    for text in texts:
        try:
            lines.append(json.loads(text))
        except ValueError:  # a line whose writing was interrupted
            continue
    return lines


def _append(folder: Path, line: Mapping[str, Any]) -> None:
    path = folder / LOOKS
    try:
        with path.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line whose writing was interrupted
                    file.write(b"\n")
            file.write(sealed_line(finite(line)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: the record of looks at eval cannot be written: {error}") from error
