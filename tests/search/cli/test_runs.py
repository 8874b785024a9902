"""Commands about runs: events of a trial, events as they come, and JSON lines with nothing beside them."""

import json
import threading

import pytest

from search.cli import events
from search.cli.main import main
from search.runs.facts import SCHEMA
from search.runs.run import Run, this_process
from search.runs.storage import Storage


@pytest.fixture
def run(tmp_path):
    made = Run.create(Storage(str(tmp_path)), prefix="r", name="monday")
    started = {"name": made.name, "n_trials": 8, "objective": "dev_eer", "created": "2026-01-01T00:00:00"}
    made.update(state="finished", **started)
    for number in (0, 1, 2, 4):
        made.journal.record("start", number, values={"backbone.name": "lcnn", "loss.margin": 1.5})
    made.journal.record("epoch", 0, epoch=1, epochs=9, objective=0.25, seconds=4.0, metrics={"loss": 0.123456789})
    made.journal.record("end", 0, status="failed", error="TrainingDiverged: loss")
    return made


@pytest.fixture
def asked(run, tmp_path, capsys):
    def ask(*words):
        code = main([*words, "--storage", str(tmp_path)])
        return code, capsys.readouterr()

    return ask


@pytest.mark.parametrize("more", [[], ["--json"], ["--follow"]], ids=str)
def test_a_trial_that_does_not_exist_is_an_error_that_names_those_that_do(asked, more):
    code, shown = asked("logs", "monday", "--trial", "99", *more)
    assert code == 2
    assert shown.out == ""
    assert shown.err == "spooftune: run monday: no trial 99; there are: 0 to 2, 4\n"


def test_the_trainings_of_a_confirmation_have_events_too(asked, run):
    trainings = run.confirmation()
    trainings.path.mkdir()
    trainings.journal.record("start", 4001, values={})
    assert "confirmation trial 4001 start" in asked("logs", "monday", "--trial", "4001")[1].out
    assert "0 to 2, 4, confirmation 4001" in asked("logs", "monday", "--trial", "9")[1].err


def test_a_run_without_trials_says_so(asked, tmp_path):
    Run.create(Storage(str(tmp_path)), prefix="r", name="new").update(state="extracting", name="new")
    assert "run new: no trial 0; there are: none yet" in asked("logs", "new", "--trial", "0")[1].err


def test_digits_of_metrics(asked):
    assert "loss 0.1235" in asked("logs", "monday")[1].out
    assert "loss 0.123456789" in asked("logs", "monday", "-v")[1].out


def objects(shown):
    items = [json.loads(line) for line in shown.out.splitlines()]
    for item in items:
        assert list(item) == ["kind", *SCHEMA[item["kind"]]]
    return items


def test_status_and_list_as_json(asked):
    code, shown = asked("status", "monday", "--json")
    first, *trials = objects(shown)
    assert (code, first["kind"], first["state"], first["n_started"]) == (0, "run", "finished", 4)
    assert [trial["trial"] for trial in trials] == [0, 1, 2, 4]
    assert trials[0]["error"] == "TrainingDiverged: loss"
    assert trials[0]["epochs"] == 9
    (only,) = objects(asked("list", "--json")[1])
    assert only == first
    assert objects(asked("status", "--json")[1]) == [first]


def test_logs_as_json(asked):
    items = objects(asked("logs", "monday", "--json", "--trial", "0")[1])
    assert [item["event"] for item in items] == ["start", "epoch", "end"]
    assert items[1]["metrics"] == {"loss": 0.123456789}


def test_a_mistake_leaves_stdout_empty(asked):
    code, shown = asked("status", "tuesday", "--json")
    assert (code, shown.out) == (2, "")
    assert "no run 'tuesday'" in shown.err


def test_quiet_is_for_shells(asked):
    assert asked("status", "monday", "-q")[1].out == "finished\n"
    assert asked("list", "--quiet")[1].out == "monday\n"


def test_check_as_json_and_in_silence(space_file, capsys):
    assert main(["check", str(space_file), "--json", "--samples", "2"]) == 0
    items = objects(capsys.readouterr())
    assert [item["kind"] for item in items] == ["space", *["configuration"] * 3, "store", "store"]
    assert items[0]["n_utterances"]["train"] == {"bona_fide": 12, "spoof": 12}
    assert items[1]["first"]
    assert main(["check", str(space_file), "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["check", str(space_file), "--set", "search.trials=0", "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "trials" in shown.err


def test_quiet_and_verbose_exclude_each_other(space_file, capsys):
    assert main(["launch", str(space_file), "-q", "-v"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_follow_shows_events_until_the_run_ends(run, asked, monkeypatch):
    monkeypatch.setattr(events, "SECONDS_BETWEEN_LOOKS", 0.02)
    run.update(state="running", **this_process())

    def continue_search():
        run.journal.record("end", 1, status="stopped")
        run.update(state="finished")

    looked = threading.Event()
    wait = events.time.sleep

    def sleep(seconds):
        if not looked.is_set():
            looked.set()
            continue_search()
        wait(seconds)

    monkeypatch.setattr(events.time, "sleep", sleep)
    code, shown = asked("logs", "monday", "--follow")
    assert code == 0
    assert shown.out.splitlines()[-1].endswith("trial 1 end stopped")
    assert looked.is_set()
