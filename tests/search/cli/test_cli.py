import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from search.cli.main import main
from search.runs.run import Run
from search.runs.storage import Storage
from search.space.reader import read_space

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def scores(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "scores.txt"
    lines = [f"b{k} - bonafide {rng.normal(1)}\n" for k in range(50)]
    lines += [f"s{k} A{7 + k % 2:02d} spoof {rng.normal(-1)}\n" for k in range(50)]
    path.write_text("".join(lines))
    return path


def test_check_shows_what_would_run_and_builds_nothing(space_file, tmp_path, capsys):
    assert main(["check", str(space_file)]) == 0
    shown = capsys.readouterr().out
    for words in (
        "space tiny: valid",
        "train: 12 bona fide, 12 spoofed",
        "loss.margin: uniform 0.5 to 3",
        "6 trials of up to 4 epochs",
        "up to 12 steps per trial",
        "lfcc of dev: 20 features per frame",
        "not built yet",
    ):
        assert words in shown
    assert not (tmp_path / "storage").exists()


def test_check_shows_the_priors_and_the_trial_that_comes_first(space_file, capsys):
    assert main(["check", str(space_file), "--set", "experiment.loss.margin.prior=1.25"]) == 0
    shown = capsys.readouterr().out
    assert "loss.margin: uniform 0.5 to 3, prior 1.25" in shown
    first = shown.split("first trial")[1].splitlines()[1]
    assert "loss.margin=1.25" in first
    assert main(["check", str(space_file), "--set", "search.baseline=false"]) == 0
    assert "first trial" not in capsys.readouterr().out


def test_changes_of_the_command_line(space_file, capsys):
    assert main(["check", str(space_file), "--set", "experiment.epochs=9", "--set", "search.trials=2"]) == 0
    assert "2 trials of up to 9 epochs" in capsys.readouterr().out


def test_a_space_for_a_larger_machine_can_be_checked_here(space_file, capsys):
    assert main(["check", str(space_file), "--set", "search.gpus=1"]) == 0
    assert "needs a larger machine or a cluster: search.gpus is 1" in capsys.readouterr().out


def test_mistakes_are_listed_without_a_traceback_or_a_ray(space_file):
    text = (
        space_file.read_text().replace("lfcc", "lfc").replace("epochs: 4", "epoch: 4").replace("trials: 6", "trials: x")
    )
    text = text.replace("uniform: [0.5, 3]", "uniform: [3, 0.5]").replace("asha", "ahsa")
    space_file.write_text(text)
    command = [sys.executable, "-X", "importtime", "-m", "search.cli.main", "launch", str(space_file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    messages = [line for line in done.stderr.splitlines() if line.startswith("spooftune: ")]
    assert done.returncode == 2
    assert len(messages) == 5
    assert "Traceback" not in done.stderr
    assert " ray._raylet" not in done.stderr  # Ray was not even imported


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("corpus.path=absent", "absent"),
        ("search.gpus=1", "search.gpus is 1; this machine has 0"),
        ("search.cpus=4096", "search.cpus is 4096; this process may use"),
        ("experiment.front_end.name=wav2vec", "checkpoint"),
        ("experiment.front_end.name=lfccc", "did you mean 'lfcc'"),
    ],
)
def test_what_could_not_run_is_refused_before_anything_starts(space_file, tmp_path, capsys, change, words):
    if "wav2vec" in change:
        space_file.write_text(space_file.read_text().replace(", deltas: false", ""))
    assert main(["launch", str(space_file), "--set", change]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "storage" / "runs").exists()


def test_evaluate_for_people_and_as_json(scores, capsys):
    assert main(["evaluate", str(scores), "--asv-rates", "la19-eval"]) == 0
    shown = capsys.readouterr().out
    assert "min t-DCF 2019" in shown
    assert main(["evaluate", str(scores), "--asv-rates", "la19-eval", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert 0 < result["eer"] < 0.35
    assert f"{100 * result['eer']:.9f} %" in shown
    assert set(result["eer_per_attack"]) == {"A07", "A08"}
    assert 0 < result["min_tdcf_2019"] < 1


def test_evaluate_imports_neither_torch_nor_ray(scores):
    code = (
        f"import sys; from search.cli.main import main; main(['evaluate', {str(scores)!r}]); "
        "print('torch' in sys.modules, 'ray' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "False False"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("u - bonafide 1\n", "no line with the key spoof"),
        ("u - bona 1\n", ":1"),
        ("", "scores.txt"),
        ("u 1.0\n", "no key"),
    ],
)
def test_a_score_file_that_cannot_be_evaluated(tmp_path, capsys, text, words):
    path = tmp_path / "scores.txt"
    path.write_text(text)
    assert main(["evaluate", str(path)]) == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def going_on(space_file):
    """A run that goes on, as its folder says, on another host; its storage."""
    storage = Storage(str(space_file.parent / "storage"))
    run = Run.create(storage, prefix="r", name="r")
    run.update(
        name="r", state="running", pid=1, host="elsewhere", created="2026-01-01", n_trials=6, objective="dev_eer"
    )
    run.change_space(read_space(space_file))
    return storage.place


def test_a_run_that_goes_on_elsewhere_is_not_resumed(going_on, capsys):
    assert main(["resume", "r", "--storage", going_on]) == 2
    assert "run r: is still running, in process 1 on host elsewhere" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "nan"])
@pytest.mark.parametrize("limit", ["hours", "gpu_hours"])
def test_a_limit_must_be_above_0_in_the_yaml_and_on_the_command_line(going_on, space_file, capsys, limit, value):
    flag = f"--{limit.replace('_', '-')}"
    assert main(["resume", "r", "--storage", going_on, f"{flag}={value}"]) == 2
    assert f"{flag} is {value}; it must be above 0" in capsys.readouterr().err
    assert main(["check", str(space_file), "--set", f"search.{limit}={value.replace('nan', '.nan')}"]) == 2
    assert f"search.{limit} is {value}; it must be above 0" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1"])
def test_the_trials_of_a_run_are_at_least_1(going_on, space_file, capsys, value):
    assert main(["resume", "r", "--storage", going_on, f"--trials={value}"]) == 2
    assert f"--trials is {value}; it must be at least 1" in capsys.readouterr().err
    assert main(["check", str(space_file), "--set", f"search.trials={value}"]) == 2
    assert f"search.trials is {value}; it must be at least 1" in capsys.readouterr().err


def test_unknown_runs_and_bundles(tmp_path, capsys):
    assert main(["status", "--storage", str(tmp_path)]) == 0
    assert main(["status", "nothing", "--storage", str(tmp_path)]) == 2
    assert main(["export", "nothing", "--storage", str(tmp_path)]) == 2
    assert main(["score", str(tmp_path), "a.wav"]) == 2
    assert capsys.readouterr().err.count("spooftune: ") == 3


def score_lines(seed, n=60, columns=4):
    draw = np.random.default_rng(seed)
    lines = []
    for number in range(n):
        key, attack = ("bonafide", "-") if number % 2 else ("spoof", "A01")
        score = draw.normal() + (number % 2)
        speaker = f"s{number % 6} " if columns == 6 else ""
        dash = "- " if columns == 6 else ""
        lines.append(f"{speaker}u{number} {dash}{attack} {key} {score}")
    return lines


def test_two_systems_are_compared_on_the_same_utterances(tmp_path, capsys):
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("\n".join(score_lines(0, columns=6)))
    other.write_text("\n".join(reversed(score_lines(1))))
    assert main(["evaluate", str(one), "--compare", str(other), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(other), "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert told["other_eer"] == alone["eer"]
    assert told["difference"]["eer"] == pytest.approx(told["eer"] - alone["eer"])
    for key in ("difference", "difference_speakers"):
        low, high = told[key]["interval"]
        assert low <= told[key]["eer"] <= high
        assert 0 < told[key]["p_value"] <= 1
    low, high = told["eer_interval_speakers"]
    assert low <= told["eer"] <= high
    assert "eer_interval_speakers" not in alone
    assert main(["evaluate", str(one), "--compare", str(other)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("95 % interval") == 4
    assert "over 6 speakers" in shown
    assert shown.count("paired over") == 2


def test_systems_that_scored_other_utterances_are_not_compared(tmp_path, capsys):
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("\n".join(score_lines(0)))
    other.write_text("\n".join(score_lines(1)[2:]))
    assert main(["evaluate", str(one), "--compare", str(other)]) == 2
    assert f"{other}: no score for u0, u1; both files need the same utterances" in capsys.readouterr().err
    other.write_text("\n".join(score_lines(1)).replace("u0 A01 spoof", "u0 - bonafide"))
    assert main(["evaluate", str(one), "--compare", str(other)]) == 2
    assert f"{other}: the key of u0 differs from the key in {one}" in capsys.readouterr().err


def test_a_corpus_that_moved_can_be_named_again(space_file, tmp_path, capsys):
    storage = tmp_path / "storage"
    run = Run.create(Storage(str(storage)), prefix="m", name="m")
    space_file.write_text(space_file.read_text().replace("path: ", "path: /moved"))
    run.update(state="finished", n_trials=1, objective="dev_eer")
    run.change_space(read_space(space_file))
    for command in ("report", "export", "resume"):
        assert main([command, "m", "--storage", str(storage)]) == 2
        assert "if the corpus has moved, name its new place with --set corpus.path=PATH" in capsys.readouterr().err
