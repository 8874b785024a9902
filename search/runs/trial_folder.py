"""The trials of a search or of its confirmation on disk: run.json, journal, checkpoints and learning curves."""

import functools
import json
import math
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.atomic import replacing
from core.checkpoint import damage, has_end
from core.errors import InputError
from core.integrity.seal import sealed_document, without_seal
from search.runs.journal import Journal, TrialRecord, finite
from search.runs.retry import with_retries

if TYPE_CHECKING:
    from search.runs.lease import Lease

CHECKPOINT = "checkpoint.pt"
TRIALS = "trials.jsonl"


class TrialFolder:
    """The folder of the trials of a search, or of those of its confirmation.

    Attributes:
        path: The folder; it need not exist yet.
        place: Path of the folder within its storage, such as `runs/first`.
        journal: Record of the trials: starts, epochs and ends.
        tensorboard: Folder of the learning curves.
    """

    def __init__(self, path: Path, *, place: str, tensorboard: Path) -> None:
        self.path = path
        self.place = place
        self.journal = Journal(path / TRIALS)
        self.tensorboard = tensorboard
        self._lease: Lease | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lease": None}  # Ray Tune copies its callbacks, which do not own the run.

    def hold(self, lease: "Lease | None") -> None:
        """Makes every write of the record check a lease first."""
        self._lease = lease
        self.journal.before_write = self.check_lease

    def check_lease(self, *, look: bool = False) -> None:
        """Checks that this process still owns the run, if it has a lease; argument as for `Lease.check`.

        Raises:
            LeaseLost: Another process has taken the run over.
        """
        if self._lease is not None:
            self._lease.check(look=look)

    def info(self) -> dict[str, Any]:
        """The content of run.json, which `update` writes: for a run its state, times, versions, seed and stores.

        Raises:
            InputError: The file run.json is missing or damaged.
        """
        try:
            info = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(f"{self.path / 'run.json'}: cannot be read: {error}") from error
        return without_seal(info)

    def update(self, **changes: Any) -> None:
        """Sets entries of run.json and keeps the others; the file is replaced atomically.

        Raises:
            StorageLost: The file could not be written for a long time.
            LeaseLost: Another process owns the run now.
        """
        self.check_lease()
        known = self.info() if (self.path / "run.json").exists() else {}
        with_retries(lambda: write_json(self.path / "run.json", {**known, **changes}), f"{self.path / 'run.json'}")

    def legs(self) -> list[Path]:
        """Folders of Ray Tune: one for the launch and one for every resumption, in this order."""
        return sorted(path for path in self.path.glob("tune*") if path.is_dir())

    def next_leg(self) -> str:
        """Name for the folder of Ray Tune at the next launch or resumption, which no other run uses.

        A random part makes the name unique. On a cluster, Ray Tune stages the files of all searches in folders by name,
        whatever their storage: it would mix the trials of two searches with the same name.
        """
        return f"tune-{len(self.legs()) + 1:03d}-{secrets.token_hex(4)}"

    def checkpoint(self, number: int) -> Path | None:
        """The latest whole checkpoint of a trial, which also contains its best detector; None if it has none.

        A process that was killed or a full disk may leave a checkpoint incomplete, and a disk may damage one. Such a
        checkpoint is named on stderr, and the one before it is returned.
        """
        damaged: list[str] = []
        for path in self._checkpoints(number):
            problem = _known_damage(path)
            if problem is None:
                for line in damaged:
                    _say(f"trial {number}: {line}; the checkpoint {path.parent} is used")
                return path
            if path.exists():
                damaged.append(f"{path}: {problem}")
        for line in damaged:
            _say(f"trial {number}: {line}; the trial has no whole checkpoint")
        return None

    def keeps_last_epoch(self, number: int) -> bool:
        """Whether the latest checkpoint of a trial is whole, so that no epoch has to be trained again."""
        return self._checkpoints(number)[:1] == [self.checkpoint(number)]

    def has_checkpoint(self, number: int) -> bool:
        """Whether a trial has a checkpoint that was written to its end. Unlike `checkpoint`, this reads only ends."""
        return any(has_end(path) for path in self._checkpoints(number))

    def _checkpoints(self, number: int) -> list[Path]:
        """Files of the checkpoints of a trial, the latest first; some may be damaged or missing."""
        return [
            folder / CHECKPOINT
            for leg in reversed(self.legs())
            for folder in sorted((leg / f"{number:05d}").glob("checkpoint_*"), reverse=True)
        ]

    def ranked(self) -> list[TrialRecord]:
        """The trials with a checkpoint and a finite objective, best first; equal objectives by the loss on dev.

        `checkpoint` may still return None for one of them: only the ends of the files are read here.
        """
        usable = [
            record
            for record in self.journal.trials()
            if math.isfinite(record.objective) and self.has_checkpoint(record.number)
        ]
        return sorted(
            usable, key=lambda record: (record.objective, record.metrics.get("best_dev_loss", 0.0), record.number)
        )

    def by_rank(self) -> list[TrialRecord]:
        """All trials: the ranked ones, best first, then the others by number."""
        ranked = self.ranked()
        numbers = {trial.number for trial in ranked}
        return [*ranked, *(trial for trial in self.journal.trials() if trial.number not in numbers)]


def _known_damage(path: Path) -> str | None:
    try:
        stat = path.stat()
    except OSError as error:
        return f"the checkpoint cannot be read: {error.strerror}"
    return _damage(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=10_000)
def _damage(path: Path, size: int, mtime_ns: int) -> str | None:
    """`damage`, which reads a file once unless its size or its time changes."""
    return damage(path)


@functools.lru_cache(maxsize=10_000)
def _say(line: str) -> None:
    """Prints a line on stderr, once per process."""
    print(f"spooftune: {line}", file=sys.stderr, flush=True)


def write_json(path: Path, value: Any) -> None:
    """Writes a mapping as JSON with a checksum, completely or not at all. NaN and infinity become null."""
    with replacing(path) as temporary:
        temporary.write_text(sealed_document(finite(value)), encoding="utf-8")
