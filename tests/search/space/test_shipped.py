"""Spaces that are named without a path."""

import os
import tomllib
from pathlib import Path

import pytest

import search
from core.errors import InputError
from search.cli import local
from search.cli.main import main
from search.cli.shared_arguments import space_names
from search.space.reader import read_space
from search.space.shipped import SPACES, shipped_spaces, space_file
from tests.documents import ROOT


def test_names_are_those_of_the_files():
    files = {path.relative_to(ROOT / "spaces").with_suffix("").as_posix() for path in (ROOT / "spaces").rglob("*.yaml")}
    assert set(shipped_spaces()) == files
    assert {"quickstart", "paper/table2"} <= files


def test_the_wheel_has_every_space():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["search"]
    package = Path(search.__file__).parent
    packed = {path.resolve() for pattern in patterns for path in package.glob(pattern)}
    assert {(SPACES / f"{name}.yaml").resolve() for name in shipped_spaces()} <= packed


def test_a_name_is_a_space_unless_a_file_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_space(Path("quickstart")).name == "quickstart"
    assert read_space(Path("paper/table2"), ["search.trials=3"]).search.trials == 3
    for other in ("../spaces/quickstart", str(SPACES / "quickstart"), "quickstart.yaml"):
        assert space_file(Path(other)) == Path(other)
    text = (SPACES / "quickstart.yaml").read_text()
    Path("quickstart").write_text(text.replace("name: quickstart", "name: own", 1))
    assert read_space(Path("quickstart")).name == "own"
    with pytest.raises(
        InputError, match=r"^quikstart: no such file, and no space of this name; there are .*quickstart"
    ):
        read_space(Path("quikstart"))
    with pytest.raises(InputError, match=r"^absent\.yaml: no such file$"):
        read_space(Path("absent.yaml"))
    assert {"quickstart", "quickstart-pretrained"} <= set(space_names("quick"))


def test_the_corpus_of_the_quickstart_is_made_if_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = []
    monkeypatch.setattr("core.demo.build_demo_corpus", lambda folder, **_: made.append(folder))
    for space, changes in (("quickstart", ["corpus.path=/data/LA"]), ("lfcc", []), ("quickstart.yaml", [])):
        local.make_quickstart_corpus(Path(space), changes)
    local.make_quickstart_corpus({"name": "quickstart"}, [])
    assert made == []
    local.make_quickstart_corpus(Path("quickstart"), ["search.trials=2"])
    assert made == [Path("data/demo")]
    Path("data/demo").mkdir(parents=True)
    local.make_quickstart_corpus(Path("quickstart"), [])
    assert len(made) == 1


def test_what_keeps_the_corpus_from_being_made_is_one_line(tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        raise InputError("corpus demo: the engine pyworld is missing")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("core.demo.build_demo_corpus", fail)
    assert main(["launch", "quickstart"]) == 2
    assert capsys.readouterr().err.splitlines()[1:] == ["spooftune: corpus demo: the engine pyworld is missing"]
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - hidden files count
