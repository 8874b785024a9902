"""Later stages of a search say before it starts that they could not do their part."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.errors import InputError
from search.cli.main import main
from search.cli.shared_arguments import pushing_run
from search.prepare import early
from search.space.reader import read_space

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("command", ["check", "launch"])
@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        ("corpus.path=absent", 2, "corpus.path is absent: no such file or folder"),
        ("search.storage=FILE", 17, "search.storage is FILE: FILE is not a folder"),
        ("search.storage=FILE/below/it", 17, "FILE is not a folder"),
        ("search.storage=/proc/none", 17, "/proc cannot be written"),
        ("search.warm_start=[nobody]", 12, "search.warm_start: no run 'nobody'"),
        ("experiment.front_end.weights=absent.pt", 4, "absent.pt: no such file; it should have pretrained weights"),
        ("experiment.front_end.weights={choice: [absent.pt]}", 4, "absent.pt: no such file"),
        ("experiment.front_end={choice: [lfcc, {name: wav2vec, checkpoint: absent.pt}]}", 4, "absent.pt: no such file"),
    ],
)
def test_what_is_missing_is_named_with_its_line(space_file, tmp_path, capsys, command, change, line, words):
    file = tmp_path / "file"
    file.touch()
    assert main([command, str(space_file), "--set", change.replace("FILE", str(file))]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert words.replace("FILE", str(file)) in message
    assert message.startswith(f"spooftune: {space_file}:{line}: ")
    assert not (tmp_path / "storage").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "taken"], "a run with this name exists"),
        (["--name", "../outside"], "a name has at most 100 letters"),
        (["--set", "search.node_cache=/proc/none"], "search.node_cache is /proc/none: /proc cannot be written"),
    ],
)
def test_what_only_a_launch_needs(space_file, tmp_path, capsys, arguments, words):
    (tmp_path / "storage" / "runs" / "taken").mkdir(parents=True)
    assert main(["launch", str(space_file), *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_temporary_folder_whose_path_is_too_long_for_sockets(space_file, tmp_path, capsys, monkeypatch, variable):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / ("x" * 80)))
    assert main(["launch", str(space_file)]) == 2
    message = capsys.readouterr().err
    assert f"{variable} is {tmp_path}" in message
    assert "set RAY_TMPDIR to a shorter folder" in message


def test_a_resumption_asks_about_this_machine(tmp_path, monkeypatch):
    early.check_machine(str(tmp_path / "storage"))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("x" * 80)))
    with pytest.raises(InputError, match="set RAY_TMPDIR to a shorter folder"):
        early.check_machine(str(tmp_path / "storage"))


def test_a_run_that_cannot_be_written_is_said_before_the_work():
    run = SimpleNamespace(name="r", path=Path("/proc/none"))
    with pytest.raises(InputError, match="run r: /proc cannot be written"):
        pushing_run(run, None)


def test_a_missing_package(space_file, capsys, monkeypatch):
    monkeypatch.setattr(early, "PACKAGES", ("ray", "a_package_of_nobody"))
    assert main(["check", str(space_file)]) == 2
    assert "the package a_package_of_nobody is missing" in capsys.readouterr().err


def test_a_disk_that_is_too_small(space_file, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    assert main(["check", str(space_file)]) == 2
    message = capsys.readouterr().err
    assert "feature stores need about" in message
    assert "0.00 GB are free there" in message


def test_a_path_is_refused_before_torch_is_loaded(space_file):
    arguments = ["launch", str(space_file), "--set", "corpus.path=absent"]
    code = f"import sys; from search.cli.main import main; c = main({arguments}); print(c, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_outputs_are_checked_before_the_work(tmp_path, capsys):
    (tmp_path / "file").touch()
    for command in (
        ["score", "no-bundle", "a.wav", "--output", str(tmp_path / "file")],
        ["export", "no-run", "--output", str(tmp_path)],
        ["report", "no-run", "--output", str(tmp_path)],
    ):
        assert main(command) == 2
        told = capsys.readouterr().err
        assert "exists already and was not changed; " in told
        assert "choose another --output" in told
    assert main(["export", "no-run", "--output", "/proc/none/bundle"]) == 2
    assert "--output /proc/none/bundle: /proc cannot be written" in capsys.readouterr().err


def test_every_space_of_the_product_passes_but_for_its_files():
    for path in sorted((ROOT / "spaces").glob("*.yaml")):
        space = read_space(path)
        launch = early.Launch(space.plain, space.search.storage)
        problems = [text for check in early.EARLY_CHECKS.values() for _, text in check(launch)]
        assert all("no such file" in text for text in problems), problems
