"""The table of a running search, and its JSON lines, without a Ray that runs."""

import copy
import io
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from search.runs.journal import Journal
from search.runs.output import Output
from search.space.reader import read_space
from search.tuning.live_table import LiveTable


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "trials.jsonl")
    for number in range(3):
        made.record("start", number, values={"backbone.name": "lcnn", "loss.margin": 0.5 * number})
        made.record("epoch", number, epoch=2, epochs=4, objective=0.25, seconds=3.0, metrics={})
    made.record("end", 0, status="finished", epoch=4, seconds=6.0)
    return made


def table_of(journal, space_file, output, **options):
    options = {"run": "r", "part": "search", "output": output, "at_a_time": 2, **options}
    table = LiveTable(journal.path, read_space(space_file), 6, **options)
    table.watch.started -= 10
    return table


def trial(number):
    return SimpleNamespace(config={"number": number})


def test_it_is_redrawn_every_second_also_when_nothing_happens(journal, space_file):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, height=24)
    table = table_of(journal, space_file, Output(console))
    table.setup()
    before = screen.getvalue().count("r: 1 of 6 trials done")
    deadline = time.monotonic() + 10
    while screen.getvalue().count("r: 1 of 6 trials done") < before + 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    table.close()
    assert screen.getvalue().count("r: 1 of 6 trials done") >= before + 2
    assert "2 running, 1 finished" in screen.getvalue()


def test_a_row_is_a_line_with_epochs_and_pace_and_many_trials_leave_room(journal, space_file):
    for number in range(3, 60):
        journal.record("start", number, values={"backbone.name": "lcnn"})
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=80, height=24)
    table = table_of(journal, space_file, Output(console), part="confirmation")
    with console.capture() as captured:
        console.print(table.render())
    lines = captured.get().splitlines()
    assert len(lines) <= 24
    assert lines[0].startswith("r (confirmation): 1 of 6 trials done; 59 running")
    assert "left" in lines[1]
    assert "80 epochs/min" in lines[1]
    assert "2/4" in captured.get()
    assert lines[-1].startswith("and ")
    assert max(map(len, lines)) <= 80


def test_a_journal_that_cannot_be_read_leaves_the_last_table(journal, space_file, monkeypatch):
    table = table_of(journal, space_file, Output(Console(file=io.StringIO())))
    before = table.render()

    def lost():
        raise OSError("the storage is away")

    monkeypatch.setattr(table.journal, "trials", lost)
    assert table.render() is before


def test_events_are_objects_once_each_and_progress_follows(journal, space_file):
    items = []
    table = table_of(journal, space_file, Output(Console(file=io.StringIO()), emit=items.append))
    table.setup()
    journal.record("end", 1, status="stopped", error="")
    table.on_trial_complete(0, [], trial(1))
    table.on_trial_result(0, [], trial(2), {})
    assert [item["kind"] for item in items] == ["event", "progress"]
    assert (items[0]["trial"], items[0]["event"], items[0]["status"]) == (1, "end", "stopped")
    assert items[1]["n_done"] == 2
    assert items[1]["left"] > 0


@pytest.mark.parametrize(("verbose", "n_lines"), [(False, 1), (True, 2)])
def test_a_file_has_a_line_per_ended_trial_and_if_asked_per_epoch(journal, space_file, verbose, n_lines):
    file = io.StringIO()
    table = table_of(journal, space_file, Output(Console(file=file, width=200), verbose))
    table.setup()
    table.on_trial_result(0, [], trial(2), {})
    journal.record("end", 1, status="stopped", error="")
    table.on_trial_complete(0, [], trial(1))
    lines = file.getvalue().splitlines()
    assert len(lines) == n_lines
    assert lines[-1].startswith("[2/6] trial 1 stopped at epoch 2, dev_eer 25.00 %, 3 s, under a minute left")


def test_quiet_is_silent_and_tune_may_copy_it(journal, space_file, capsys):
    table = table_of(journal, space_file, Output(Console(quiet=True)))
    copied = copy.copy(table)  # as pickle does, without the output
    for shown in (table, copied):
        shown.setup()
        shown.on_trial_complete(0, [], trial(0))
        shown.close()
    assert capsys.readouterr().out == ""
