"""Trials as text for people."""

import pytest
from rich.console import Console

from search.runs.describe import brief_values, trial_table
from search.runs.journal import TrialRecord


def shown(**metrics):
    console = Console(width=300)
    with console.capture() as captured:
        console.print(trial_table([TrialRecord(3, {"loss.margin": 2.0}, "finished", 12, 0.4, metrics)], "dev_eer"))
    return captured.get()


def test_a_trial_whose_loss_stayed_at_chance_is_marked():
    assert "loss at chance after 192 steps" in shown(loss_to_chance=0.99, step=192)
    assert "chance" not in shown(loss_to_chance=0.6, step=192)
    assert "chance" not in shown(loss=0.1, step=192)  # another mode has no such ratio


LONG = {
    "backbone.name": "senet18",
    "loss.margin": 2.0,
    "lr_schedule.lr": 0.0003,
    "optimizer.weight_decay": 0.01,
    "input.normalize": True,
    "mode": "siamese",
}


@pytest.mark.parametrize("columns", [80, 200])
def test_a_trial_takes_one_line_whatever_the_width(columns):
    records = [
        TrialRecord(12, LONG, "interrupted", 100, 0.25, {}, 3700.0, epochs=200),
        TrialRecord(13, LONG, "failed", 3, error="OutOfMemoryError: tried to allocate 20 MiB " * 5),
    ]
    console = Console(width=columns)
    with console.capture() as captured:
        console.print(trial_table(records, "dev_worst_attack_eer", one_line=True))
    head, first, second, *rest = captured.get().splitlines()
    assert rest == []
    assert max(map(len, (head, first, second))) <= columns
    assert "100/200" in first
    assert "37.0" in first
    assert "1:01:40" in first
    assert "OutOfMemory" in second
    assert "senet18" in first
    if columns == 200:
        assert "senet18 m=2 lr=0.0003 wd=0.01 normalize=True siamese" in first


def test_brief_values_keep_what_tells_configurations_apart():
    assert brief_values({"backbone.layers": 2, "input.layers": 3}) == "backbone.layers=2 input.layers=3"
    assert brief_values({"front_end.path": "/data/xlsr.pt", "augment.name": "none"}) == "path=xlsr.pt name=none"
    assert brief_values({}) == ""
