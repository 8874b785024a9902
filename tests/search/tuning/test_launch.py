"""The real thing: the command line, an embedded Ray, TensorBoard's reader, the exported bundle."""

import json

import numpy as np
import pytest
import soundfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from search.cli.main import main
from search.runs.eval_looks import looks
from search.runs.run import Run
from search.runs.storage import Storage
from search.tuning.tensorboard import run_name
from tests.commands import spooftune


@pytest.fixture(scope="module")
def searched(tmp_path_factory, corpus):
    """A finished search of six trials, of which original-mode ones crash on purpose of their learning rate."""
    from tests.search.conftest import SPACE

    folder = tmp_path_factory.mktemp("launch")
    text = SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(folder / "storage"))
    text = text.replace("lr: 2e-3", "lr: {choice: [2e-3, 1e30]}").replace("trials: 6", "trials: 8")
    (folder / "tiny.yaml").write_text(text)
    done = spooftune("launch", folder / "tiny.yaml", "--name", "first", "--eval")
    assert done.returncode == 0, done.stderr + done.stdout
    return folder, done


def test_the_search_ends_with_a_bundle_and_says_what_to_do_next(searched):
    folder, done = searched
    run = Run.open(Storage(str(folder / "storage")), "first")
    assert "tensorboard --logdir" in done.stdout
    assert "Traceback" not in done.stderr
    assert {each.name for each in (run.path / "export").iterdir()} == {
        "README.md",
        "config.json",
        "eval_looks.jsonl",
        "scores",
        "weights.safetensors",
    }
    info = run.info()
    assert info["state"] == "finished"
    (look,) = looks(run.path)
    assert (look.command, look.detectors, look.partition) == ("spooftune launch --eval", ("export",), "eval")
    assert "look 1 at eval" in done.stdout
    assert looks(run.path / "export") == [look]
    config = json.loads((run.path / "export" / "config.json").read_text())
    assert look.eer == {"export": config["metrics"]["eval"]["eer"]}
    assert "| eval (look 1) |" in (run.path / "export" / "README.md").read_text()
    assert set(info["versions"]) >= {"ray", "optuna", "torch"}
    for partition in ("dev", "eval"):
        assert main(["evaluate", str(run.path / "export" / "scores" / f"{partition}.txt")]) == 0


def test_trials_stop_early_finish_and_fail_without_ending_the_search(searched):
    folder, _ = searched
    records = Run.open(Storage(str(folder / "storage")), "first").journal.trials()
    assert [each.number for each in records] == list(range(8))
    status = {each.status for each in records}
    assert "failed" in status
    assert "finished" in status
    for each in records:
        assert (each.status == "failed") == (each.values["lr_schedule.lr"] == 1e30)
        assert each.error.startswith("TrainingDiverged") == (each.status == "failed")
        assert (each.epoch == 4) == (each.status == "finished")


def test_tensorboard_has_every_trial(searched):
    folder, _ = searched
    run = Run.open(Storage(str(folder / "storage")), "first")
    for each in run.journal.trials():
        accumulator = EventAccumulator(str(run.tensorboard / run_name(each.number, each.values)))
        accumulator.Reload()
        assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} <= set(accumulator.summary_metadata)
        assert len(accumulator.Scalars("dev/eer") if each.epoch else []) == each.epoch
    overview = EventAccumulator(str(run.tensorboard / "overview")).Reload()
    pages = {f"{title}/text_summary" for title in ("space", "corpus", "versions", "best so far")}
    assert {*pages, "custom_scalars__config__"} <= set(overview.Tags()["tensors"])
    columns = EventAccumulator(str(run.tensorboard / "events.out.tfevents.columns"))
    assert "_hparams_/experiment" in columns.Reload().summary_metadata


def test_the_best_is_exported_and_can_score(searched, tmp_path, capsys):
    folder, _ = searched
    run = Run.open(Storage(str(folder / "storage")), "first")
    config = json.loads((run.path / "export" / "config.json").read_text())
    best = min((each for each in run.journal.trials() if each.status != "failed"), key=lambda each: each.objective)
    assert config["provenance"]["seed"] == config["experiment"]["seed"] == 0  # that of the search
    assert config["metrics"]["dev"]["eer"] == pytest.approx(best.objective, abs=1e-9)
    assert config["calibration"]["slope"] > 0
    durations = config["durations_s"]
    assert set(durations) == {"train", "dev"}
    assert all(
        0 < lasting["shortest"] <= lasting["median"] <= lasting["longest"] < 10 for lasting in durations.values()
    )
    assert config["metrics"]["eval"]["calibrated"]
    assert config["metrics"]["dev"]["min_cllr"] <= config["metrics"]["dev"]["cllr"]
    good, bad = tmp_path / "good.wav", tmp_path / "bad.flac"
    soundfile.write(good, 0.1 * np.random.default_rng(0).normal(size=(44100, 2)), 44100)
    bad.write_bytes(b"words")
    capsys.readouterr()
    assert main(["score", str(run.path / "export"), str(good), str(bad), "--output", str(tmp_path / "out.tsv")]) == 1
    shown = capsys.readouterr()
    assert "bad.flac" in shown.err
    path, score, decision = shown.out.strip().split("\t")
    assert (path, decision) == (str(good), "bonafide" if float(score) >= config["threshold"] else "spoof")
    assert (tmp_path / "out.tsv").read_text() == shown.out
    assert (
        main(["export", "first", "--rank", "2", "--storage", str(folder / "storage"), "--output", str(tmp_path / "b")])
        == 0
    )
    assert json.loads((tmp_path / "b" / "config.json").read_text())["provenance"]["rank"] == 2
    assert main(["export", "first", "--rank", "99", "--storage", str(folder / "storage")]) == 2


def test_status_lists_runs_and_trials(searched, capsys):
    folder, _ = searched
    assert main(["status", "--storage", str(folder / "storage")]) == 0
    assert "8/8" in capsys.readouterr().out
    assert main(["status", "first", "--storage", str(folder / "storage")]) == 0
    assert "TrainingDiverged" in capsys.readouterr().out


def test_what_was_extracted_is_not_again_and_a_name_is_not_reused(searched, capsys):
    folder, _ = searched
    before = {path: path.stat().st_mtime_ns for path in (folder / "storage" / "stores").rglob("*.arrow")}
    assert main(["launch", str(folder / "tiny.yaml"), "--name", "first"]) == 2
    assert "a run with this name exists" in capsys.readouterr().err
    assert main(["extract", str(folder / "tiny.yaml")]) == 0
    assert capsys.readouterr().out.count("features cached") == 2
    after = {path: path.stat().st_mtime_ns for path in (folder / "storage" / "stores").rglob("*.arrow")}
    assert after == before
