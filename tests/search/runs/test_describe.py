"""Trials as text for people."""

from rich.console import Console

from search.runs.describe import trial_table
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
