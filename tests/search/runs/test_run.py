import json
import math
import pickle

import pytest

from core.checkpoint import save
from core.errors import InputError
from search.runs.journal import finite
from search.runs.run import Run
from search.runs.storage import Storage


@pytest.fixture
def run(tmp_path):
    run = Run.create(Storage(str(tmp_path)), prefix="quick")
    run.update(name=run.name, state="running", created="2026-01-01", n_trials=3, objective="dev_eer")
    return run


def end(run, number, *, objective, status="finished", checkpoint=True, **what):
    run.journal.record("start", number, values={"margin": number})
    run.journal.record("epoch", number, epoch=2, objective=objective, metrics={"best_dev_loss": 0.5}, seconds=1.0)
    run.journal.record("end", number, status=status, seconds=2.0, **what)
    if checkpoint:
        for epoch in (1, 2):
            path = run.path / "tune" / f"{number:05d}" / f"checkpoint_{epoch:06d}" / "checkpoint.pt"
            save(path, {"epoch": epoch})


def test_names_are_numbered_and_never_reused(tmp_path):
    assert Run.create(Storage(str(tmp_path)), prefix="quick").name == "quick-001"
    assert Run.create(Storage(str(tmp_path)), prefix="quick").name == "quick-002"
    assert Run.create(Storage(str(tmp_path)), prefix="quick", name="mine").name == "mine"
    with pytest.raises(InputError, match="a run with this name exists"):
        Run.create(Storage(str(tmp_path)), prefix="quick", name="mine")


@pytest.mark.parametrize("name", ["../up", "/abs", ".hidden", "a/b", "", "a" * 101])
def test_names_stay_in_the_storage(tmp_path, name):
    if name:
        with pytest.raises(InputError, match="a name has at most 100 letters"):
            Run.create(Storage(str(tmp_path)), prefix="quick", name=name)
    with pytest.raises(InputError, match="no run"):
        Run.open(Storage(str(tmp_path)), name)


def test_a_missing_run_names_those_there_are(tmp_path, run):
    with pytest.raises(InputError, match="quick-001"):
        Run.open(Storage(str(tmp_path)), "quick-007")
    assert Run.open(Storage(str(tmp_path)), "quick-001").info()["state"] == "running"


def test_trials_are_folded_from_their_events(run):
    end(run, 0, objective=0.25)
    end(run, 1, objective=math.nan, status="failed", error="RuntimeError: broken", checkpoint=False)
    run.journal.record("start", 2, values={"margin": 2})
    first, second, third = run.journal.trials()
    assert (first.status, first.epoch, first.objective, first.seconds) == ("finished", 2, 0.25, 2.0)
    assert (second.status, second.error, math.isnan(second.objective)) == ("failed", "RuntimeError: broken", True)
    assert (third.status, third.epoch) == ("running", 0)


def test_a_line_that_was_cut_off_is_passed_over(run):
    end(run, 0, objective=0.25)
    with (run.path / "trials.jsonl").open("a") as file:
        file.write('{"event": "epo')
    assert [each.number for each in run.journal.trials()] == [0]


def test_ranking_takes_the_best_that_can_be_exported(run):
    end(run, 0, objective=0.25)
    end(run, 1, objective=0.10)
    end(run, 2, objective=0.05, checkpoint=False)
    end(run, 3, objective=math.inf)
    assert [each.number for each in run.ranked()] == [1, 0]
    assert run.checkpoint(1).parent.name == "checkpoint_000002"
    assert run.checkpoint(2) is None


def test_json_has_no_nan(run):
    run.update(value=math.nan, nested={"inf": [math.inf, 1.0]})
    text = (run.path / "run.json").read_text()
    assert json.loads(text)["nested"] == {"inf": [None, 1.0]}
    assert "NaN" not in text
    assert finite((1, math.nan)) == [1, None]


def test_trials_that_are_asked_for_again_are_read_from_where_reading_ended(run):
    other = Run(run.path)  # the process of `status`, say
    end(run, 0, objective=0.25)
    assert other.journal.trials() == run.journal.trials() == Run(run.path).journal.trials()
    run.journal.record("start", 1, values={"margin": 1})
    with (run.path / "trials.jsonl").open("a") as file:
        file.write('{"event": "epoch", "trial": 1, "time": "", "epoch": 1')  # a line that is being written
    assert [each.epoch for each in other.journal.trials()] == [2, 0]
    with (run.path / "trials.jsonl").open("a") as file:
        file.write("}\n")
    assert [each.epoch for each in other.journal.trials()] == [2, 1]
    assert other.journal.trials() == Run(run.path).journal.trials()
    # A shorter file is another one.
    (run.path / "trials.jsonl").write_text('{"event": "start", "trial": 7, "time": "", "values": {}}\n')
    assert [each.number for each in other.journal.trials()] == [7]
    copy = pickle.loads(pickle.dumps(other))  # noqa: S301 - Tune keeps its callbacks so
    assert copy.journal.trials() == other.journal.trials()
