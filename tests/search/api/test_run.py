"""The Python API: runs as tables, and searches that cannot start."""

import json

import pandas
import pytest
import ray

import spooftune
from search.cli.shared_arguments import read_plan
from tests.search.conftest import SPACE


@pytest.fixture
def storage(tmp_path):
    """A run of two trials, one of which failed, and a confirmation of the other."""
    run = tmp_path / "runs" / "first"
    events = [
        {"event": "start", "trial": 0, "values": {"loss.margin": 2.0, "backbone.name": "lcnn"}},
        {"event": "epoch", "trial": 0, "epoch": 3, "objective": 0.25, "seconds": 2.0},
        {"event": "end", "trial": 0, "status": "finished", "seconds": 3.0},
        {"event": "start", "trial": 1, "values": {"loss.margin": 1.0, "batch_size": 8}},
        {"event": "end", "trial": 1, "status": "failed", "seconds": 1.0, "error": "TrainingDiverged: loss"},
    ]
    write(run, {"state": "finished", "created": "2026-01-01T00:00:00.000+00:00"}, events)
    seeds = [
        line
        for number, objective in ((0, 0.2), (1, 0.4))
        for line in (
            {"event": "start", "trial": number, "values": {}},
            {"event": "epoch", "trial": number, "epoch": 3, "objective": objective},
            {"event": "end", "trial": number, "status": "finished"},
        )
    ]
    write(run / "confirmation", {"wanted": [0, 1]}, seeds)
    return tmp_path


def write(folder, info, events):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "trials.jsonl").write_text("".join(json.dumps({"time": "", **event}) + "\n" for event in events))


def test_trials_are_rows_of_a_table(storage):
    run = spooftune.Run("first", storage)
    assert (run.name, run.path, run.info["state"]) == ("first", storage / "runs" / "first", "finished")
    table = pandas.DataFrame(run.trials())
    assert table["trial"].tolist() == [0, 1]
    assert table["status"].tolist() == ["finished", "failed"]
    assert table["loss.margin"].tolist() == [2.0, 1.0]
    assert table["objective"][0] == 0.25
    assert table["confirmed_mean"][0] == pytest.approx(0.3)
    assert table[["objective", "confirmed_mean", "backbone.name"]].isna().to_numpy().tolist() == [
        [False] * 3,
        [True] * 3,
    ]
    assert table["error"].tolist() == ["", "TrainingDiverged: loss"]


def test_a_run_without_a_detector_says_so(storage):
    run = spooftune.Run("first", str(storage))
    assert run.best is None
    with pytest.raises(spooftune.InputError, match="has exported no detector"):
        run.bundle  # noqa: B018
    for name in ("export", "export-002", "export-003", "export-rank1"):
        (run.path / name).mkdir()
    assert run.bundle == run.path / "export-003"
    with pytest.raises(spooftune.InputError, match=r"no run 'second' in .*; there are: first"):
        spooftune.Run("second", storage)


def test_a_space_may_be_a_mapping(corpus, tmp_path):
    written = tmp_path / "tiny.yaml"
    written.write_text(SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(tmp_path / "storage")))
    of_file = read_plan(written, ["search.trials=3"], None)
    of_data = read_plan(dict(of_file.space.plain), [], None)
    assert of_data.space == of_file.space
    assert of_data.n_trials == 3


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"name": "a"}, "corpus"),
        ({"name": object()}, "space: cannot be written as YAML"),
        ("absent.yaml", "absent.yaml: no such file"),
    ],
)
def test_mistakes_are_errors_of_the_users_input(space, words):
    with pytest.raises(spooftune.InputError, match=words):
        spooftune.search(space)


def test_a_ray_of_the_caller_is_left_alone(space_file, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", lambda: pytest.fail("the caller's Ray was ended"))
    with pytest.raises(spooftune.InputError, match="connected to Ray already"):
        spooftune.search(space_file)
