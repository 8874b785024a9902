"""`spooftune verify`: any flipped bit of a run is noticed; exit codes; places that cannot be verified."""

import random

import pytest
import torch

from core import checkpoint
from search.cli.main import main
from search.runs import eval_looks
from search.runs.run import Run
from search.runs.storage import Storage
from search.runs.trial_folder import write_json
from tests.flips import flip


@pytest.fixture
def run(tmp_path):
    made = Run.create(Storage(str(tmp_path)), prefix="test", name="first")
    made.update(state="finished", seed=3)
    made.change_space(_Space())
    for number in range(3):
        made.journal.record("start", number, values={"width": 8 << number})
        made.journal.record("end", number, status="finished", objective=0.5, metrics={"dev_eer": float("nan")})
    checkpoint.save(made.path / "tune-001/00000/checkpoint_000001/checkpoint.pt", {"weight": torch.arange(50.0)})
    eval_looks.record_look(made.path, command="spooftune report --eval", detectors=["0"], corpus="demo")
    return made


class _Space:
    def __init__(self):
        self.plain = {"search": {"trials": 3}}

    def resolved(self):
        return {"search": {"trials": 3, "seed": 3}}


def test_any_flipped_bit_of_a_run_is_noticed(run, tmp_path, capsys):
    files = sorted(path for path in run.path.rglob("*") if path.is_file())
    names = {"run.json", "space.yaml", "resolved.yaml", "trials.jsonl", "checkpoint.pt", "eval_looks.jsonl"}
    assert {file.name for file in files} == names
    assert main(["verify", "first", "--storage", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{run.path}: whole\n"
    draw = random.Random(0)
    for file in files * 5:
        content = flip(file, draw)
        assert main(["verify", str(run.path)]) == 1, file
        assert capsys.readouterr().out.startswith(str(file))
        file.write_bytes(content)
    assert main(["verify", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_a_changed_run_stays_whole(run):
    run.update(state="running")
    run.change_space(_Space())
    assert run.info() == {"state": "running", "seed": 3}
    assert main(["verify", str(run.path), str(run.path / "tune-001/00000/checkpoint_000001/checkpoint.pt")]) == 0


def test_files_of_earlier_versions_are_only_parsed(run):
    (run.path / "run.json").write_text('{"state": "finished"}\n')
    (run.path / "trials.jsonl").write_text('{"event": "start", "trial": 0, "time": "", "values": {}}\n')
    (run.path / "space.yaml").write_text("search: {trials: 3}\n")
    assert main(["verify", str(run.path)]) == 0


def test_a_place_that_cannot_be_verified_is_wrong_input(run, tmp_path, capsys):
    assert main(["verify", "second", "--storage", str(tmp_path)]) == 2
    assert "no run 'second'" in capsys.readouterr().err
    write_json(run.path / "run.json", {"state": "finished"})
    assert main(["verify", str(run.path)]) == 0
