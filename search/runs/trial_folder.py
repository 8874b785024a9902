"""A set of trials on disk: their journal, what is known of them as a whole, their checkpoints and learning curves."""

import json
import math
import secrets
from pathlib import Path
from typing import Any

from core.atomic import replacing
from core.errors import InputError
from search.runs.journal import Journal, TrialRecord, finite
from search.runs.retry import patiently

CHECKPOINT = "checkpoint.pt"
TRIALS = "trials.jsonl"


class TrialFolder:
    """The trials of a search, or those of its confirmation.

    Attributes:
        path: Of the folder; it may not be there yet.
        place: Where that is in its storage, such as `runs/first`.
        journal: What the trials did.
        tensorboard: Folder of their learning curves.
    """

    def __init__(self, path: Path, *, place: str, tensorboard: Path) -> None:
        self.path = path
        self.place = place
        self.journal = Journal(path / TRIALS)
        self.tensorboard = tensorboard

    def info(self) -> dict[str, Any]:
        """What `update` wrote: of a run its state, times, versions, seed and stores.

        Raises:
            InputError: run.json is missing or broken.
        """
        try:
            info = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(f"{self.path / 'run.json'}: cannot be read: {error}") from error
        return dict(info)

    def update(self, **changes: Any) -> None:
        """Lays changes over run.json; the file is replaced whole."""
        known = self.info() if (self.path / "run.json").exists() else {}
        patiently(lambda: write_json(self.path / "run.json", {**known, **changes}), f"{self.path / 'run.json'}")

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
            checkpoints = sorted((leg / f"{number:05d}").glob(f"checkpoint_*/{CHECKPOINT}"))
            if checkpoints:
                return checkpoints[-1]
        return None

    def ranked(self) -> list[TrialRecord]:
        """The trials that have a checkpoint and a finite objective, best first."""
        usable = [
            record
            for record in self.journal.trials()
            if math.isfinite(record.objective) and self.checkpoint(record.number)
        ]
        return sorted(
            usable, key=lambda record: (record.objective, record.metrics.get("best_dev_loss", 0.0), record.number)
        )


def write_json(path: Path, value: Any) -> None:
    """Writes plain data; the file is there whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(finite(value), indent=2) + "\n", encoding="utf-8")
