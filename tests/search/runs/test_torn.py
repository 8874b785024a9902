"""Checkpoints that a kill, a full disk or a flipped bit has damaged: the newest whole one counts."""

import random
import shutil

import pytest
import torch

from core import checkpoint
from core.errors import InputError
from search.runs.confirmed import select_trial
from search.runs.run import Run
from search.runs.storage import Storage


@pytest.fixture
def run(tmp_path):
    """A run with two trials, each with the checkpoints of epochs 2 and 3."""
    run = Run.create(Storage(str(tmp_path)), prefix="torn", name="torn")
    run.update(name=run.name, state="finished", created="2026-01-01", n_trials=2, objective="dev_eer")
    for number, objective in enumerate((0.1, 0.2)):
        run.journal.record("start", number, values={})
        run.journal.record("epoch", number, epoch=3, objective=objective, metrics={}, seconds=1.0)
        run.journal.record("end", number, status="finished", seconds=2.0)
        for epoch in (2, 3):
            checkpoint.save(path_of(run, number, epoch), {"epoch": epoch, "weights": torch.randn(2000)})
    return run


def path_of(run, number, epoch):
    return run.path / "tune-001" / f"{number:05d}" / f"checkpoint_{epoch - 1:06d}" / "checkpoint.pt"


def cut(path, draw):
    """The copy was cut off."""
    with path.open("r+b") as file:
        file.truncate(draw.randrange(path.stat().st_size))


def flip(path, draw):
    """One bit has changed."""
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def hole(path, draw):
    """Blocks were not on the disk when the power failed: the size is right, the content is not."""
    content = bytearray(path.read_bytes())
    start = draw.randrange(0, len(content) - 64)
    content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    path.write_bytes(content)


def lose(path, draw):
    """The folder was made, and the disk was full."""
    path.unlink()


TEARS = [cut, flip, hole, lose]


@pytest.mark.parametrize("tear", TEARS)
def test_the_newest_whole_checkpoint_is_used_and_the_damaged_one_is_named(run, tear, capsys):
    draw = random.Random(0)
    for number in range(50):
        newest = path_of(run, 0, 3)
        whole = newest.read_bytes()
        tear(newest, draw)
        assert checkpoint.damage(newest) is not None, number
        with pytest.raises(InputError, match=r"checkpoint"):
            checkpoint.load(newest)
        # Another object and another name: what one process has judged before is not judged again.
        moved = Run(shutil.copytree(run.path, run.path.parent / f"torn-{number}"))
        selected = select_trial(moved, 1)
        assert (selected.record.number, checkpoint.load(selected.checkpoint)["epoch"]) == (0, 2)
        assert not moved.keeps_last_epoch(0)
        assert moved.keeps_last_epoch(1)
        shown = capsys.readouterr().err
        assert ("trial 0: " in shown and "checkpoint_000001 is used" in shown) or tear is lose
        newest.write_bytes(whole)
    assert Run(run.path).keeps_last_epoch(0)


def test_a_trial_without_a_whole_checkpoint_has_no_rank_and_hides_no_other(run, capsys):
    for epoch in (2, 3):
        flip(path_of(run, 0, epoch), random.Random(epoch))
    assert select_trial(run, 1).record.number == 1
    assert "the trial has no whole checkpoint" in capsys.readouterr().err
    with pytest.raises(InputError, match="no trial of rank 2; 1 trials have a detector"):
        select_trial(run, 2)
    with pytest.raises(InputError, match="trial 0 has no whole checkpoint"):
        select_trial(run, 1, number=0)


def test_checkpoints_of_earlier_versions_are_judged_by_the_checksums_of_their_parts(run):
    path = path_of(run, 0, 3)
    torch.save({"format": checkpoint.FORMAT, "epoch": 3, "weights": torch.randn(2000)}, path)
    assert checkpoint.damage(path) is None
    assert checkpoint.load(path)["epoch"] == 3
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "checksum of" in str(checkpoint.damage(path))
    path.write_bytes(content[: len(content) // 2])
    assert "its end is missing" in str(checkpoint.damage(path))
