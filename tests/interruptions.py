"""Interrupts a search at random moments, resumes it each time, and compares it with one that was left alone.

    .venv/bin/python -m tests.interruptions --times 10

pytest does the same with fewer interruptions; this prints what the two searches did.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from search.runs.run import Run
from tests.commands import Command
from tests.search.conftest import SPACE
from tests.speech import make_corpus

EPOCHS = 16


def write_space(folder: Path, n_trials: int) -> Path:
    """A space that is searched one trial at a time, with rungs at 2, 4 and 8 epochs."""
    text = SPACE.replace("CORPUS", str(make_corpus(folder / "LA", n_per_class=32))).replace(
        "STORAGE", str(folder / "s")
    )
    for old, new in (
        ("epochs: 4", f"epochs: {EPOCHS}"),
        ("trials: 6", f"trials: {n_trials}"),
        ("concurrency: 2", "concurrency: 1"),
        ("grace_epochs: 1", "grace_epochs: 2"),
        ("lr: 2e-3", "lr: {log_uniform: [1e-5, 1e-3]}"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "space.yaml").write_text(text)
    return folder / "space.yaml"


def decisions(run: Run) -> list[dict[str, Any]]:
    """What a search tried and how each trial ended, to the last bit."""
    return [
        {"values": each.values, "status": each.status, "epoch": each.epoch, "objective": each.objective}
        for each in run.journal.trials()
    ]


def interrupted(folder: Path, space: Path, n_trials: int, times: int, draw: random.Random) -> Run:
    """A search that is cut off so many times, by turns killed and stopped, and ends at last."""
    run = Run(folder / "s" / "runs" / "cut")
    command = Command("launch", space, "--name", "cut", own_group=True)
    for number in range(times):
        before = len(run.journal.epochs())
        target = before + draw.randint(1, max(2, n_trials * 8 // (times + 1)))
        while len(run.journal.epochs()) < target and command.running:
            time.sleep(0.02)
        if not command.running:
            print(f"ended before interruption {number}", flush=True)
            break
        kind = draw.choice([signal.SIGKILL, signal.SIGTERM])
        os.killpg(command.pid, kind) if kind == signal.SIGKILL else os.kill(command.pid, kind)
        command.wait()
        print(f"interruption {number + 1}: {kind.name} after {len(run.journal.epochs())} epochs", flush=True)
        command = Command("resume", "cut", "--storage", folder / "s", own_group=True)
    command.wait()
    return run


def compare(folder: Path, n_trials: int, times: int, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Decisions of a search that was left alone, and of one that was interrupted."""
    space = write_space(folder, n_trials)
    alone = Command("launch", space, "--name", "whole")
    cut = interrupted(folder, space, n_trials, times, random.Random(seed))
    alone.wait()
    return decisions(Run(folder / "s" / "runs" / "whole")), decisions(cut)


def main() -> int:
    """Prints both; returns 1 where they differ."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = compare(Path(folder), options.trials, options.times, options.seed)
    for number, (one, other) in enumerate(zip(whole, cut, strict=True)):
        what = f"{one['status']} at epoch {one['epoch']}, {one['objective']:.4f}"
        print(f"trial {number}: {what}", "the same" if one == other else f"BUT {other}")
    return 0 if whole == cut else 1


if __name__ == "__main__":
    sys.exit(main())
