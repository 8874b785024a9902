"""The trials of a search or of its confirmation on disk: run.json, journal, checkpoints and learning curves."""

import json
import math
import secrets
from pathlib import Path
from typing import Any

from core.atomic import replacing
from core.errors import InputError
from search.runs.journal import Journal, TrialRecord, finite
from search.runs.retry import with_retries

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

    def info(self) -> dict[str, Any]:
        """The content of run.json, which `update` writes: for a run its state, times, versions, seed and stores.

        Raises:
            InputError: The file run.json is missing or damaged.
        """
        try:
            info = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(f"{self.path / 'run.json'}: cannot be read: {error}") from error
        return dict(info)

    def update(self, **changes: Any) -> None:
        """Sets entries of run.json and keeps the others; the file is replaced atomically.

        Raises:
            StorageLost: The file could not be written for a long time.
        """
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
        """The latest checkpoint of a trial, which also contains its best detector; None if there is none."""
        for leg in reversed(self.legs()):
            checkpoints = sorted((leg / f"{number:05d}").glob(f"checkpoint_*/{CHECKPOINT}"))
            if checkpoints:
                return checkpoints[-1]
        return None

    def ranked(self) -> list[TrialRecord]:
        """The trials with a checkpoint and a finite objective, best first; equal objectives by the loss on dev."""
        usable = [
            record
            for record in self.journal.trials()
            if math.isfinite(record.objective) and self.checkpoint(record.number)
        ]
        return sorted(
            usable, key=lambda record: (record.objective, record.metrics.get("best_dev_loss", 0.0), record.number)
        )


def write_json(path: Path, value: Any) -> None:
    """Writes plain data as JSON atomically: the file is never incomplete. NaN and infinity become null."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(finite(value), indent=2) + "\n", encoding="utf-8")
