"""A storage at a URL: runs, stores and checkpoints lie there, and any machine can go on with them."""

import shutil

import pytest

from core import bundle
from core.errors import InputError, Unavailable
from search.cli.main import main
from search.runs import storage as module
from search.runs.retry import StorageLost
from search.runs.run import Run
from search.runs.storage import Storage
from tests.commands import spooftune
from tests.search.conftest import SPACE


@pytest.fixture
def remote(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    (tmp_path / "bucket").mkdir()
    return Storage(f"file://{tmp_path}/bucket")


def test_what_is_pushed_can_be_pulled_elsewhere(remote, tmp_path, monkeypatch):
    folder = remote.folder / "runs" / "a"
    (folder / "tune" / "deep").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "tune" / "deep" / "x").write_text("x")
    remote.push("runs/a", skip=("tune",))
    bucket = tmp_path / "bucket" / "runs" / "a"
    assert (bucket / "run.json").read_text() == "{}"
    assert not (bucket / "tune").exists()
    assert remote.names("runs") == ["a"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    there = Storage(remote.place)
    there.pull("runs")
    assert (there.folder / "runs" / "a" / "run.json").read_text() == "{}"
    # What changes is copied again, what does not is left alone.
    (folder / "run.json").write_text("[1]")
    remote.push("runs/a")
    inode = (there.folder / "runs" / "a" / "run.json").stat().st_ino
    there.pull("runs/a")
    assert (there.folder / "runs" / "a" / "run.json").read_text() == "[1]"
    assert (there.folder / "runs" / "a" / "run.json").stat().st_ino != inode
    inode = (there.folder / "runs" / "a" / "run.json").stat().st_ino
    there.pull("runs/a")
    assert (there.folder / "runs" / "a" / "run.json").stat().st_ino == inode


def test_a_folder_is_used_as_it_is(tmp_path):
    plain = Storage(str(tmp_path))
    (tmp_path / "x").write_text("x")
    plain.push("x")
    plain.pull("x")
    assert plain.local_store("stores/s") == tmp_path / "stores" / "s"
    assert plain.names("none") == []


def test_a_node_copies_a_store_once(tmp_path):
    source = tmp_path / "shared" / "stores" / "s"
    source.mkdir(parents=True)
    for name in ("000000.arrow", "manifest.json"):
        (source / name).write_text(name)
    cached = Storage(str(tmp_path / "shared"), str(tmp_path / "disk"))
    copy = cached.local_store("stores/s")
    assert copy.is_relative_to(tmp_path / "disk")
    assert sorted(each.name for each in copy.iterdir()) == ["000000.arrow", "manifest.json"]
    shutil.rmtree(source)
    assert cached.local_store("stores/s") == copy


def test_passwords_and_unknown_schemes_are_refused(tmp_path):
    with pytest.raises(InputError, match="password"):
        Storage("s3://key:secret@bucket/x")
    with pytest.raises(InputError, match="cannot be opened"):
        Storage("nowhere://bucket")


def test_a_storage_that_is_away_for_long_is_lost(remote, monkeypatch, tmp_path):
    monkeypatch.setattr("search.runs.retry.RETRY_SECONDS", 1.0)
    (remote.folder / "runs").mkdir(parents=True)
    (remote.folder / "runs" / "x").write_text("x")
    shutil.rmtree(tmp_path / "bucket")
    (tmp_path / "bucket").write_text("no folder")
    assert issubclass(StorageLost, Unavailable)  # the command line exits with 1: nothing that the user wrote is wrong
    with pytest.raises(StorageLost, match="could not be written for 1 s"):
        remote.push("runs")
    (tmp_path / "bucket").unlink()
    with remote.pushing("runs"):
        pass
    assert (tmp_path / "bucket" / "runs" / "x").exists()


def test_a_search_lies_at_its_url_and_goes_on_from_another_machine(remote, corpus, tmp_path, monkeypatch, capsys):
    space = tmp_path / "space.yaml"
    text = SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", remote.place).replace("trials: 6", "trials: 2")
    space.write_text(text.replace("concurrency: 2", "concurrency: 1"))  # a trial's process takes as long as its trial

    def output(*arguments):
        done = spooftune(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert f"run far in {remote.place}/runs/far" in output("launch", space, "--name", "far")
    bucket = tmp_path / "bucket"
    for each in ("run.json", "trials.jsonl", "space.yaml", "export/config.json", "tensorboard/overview"):
        assert (bucket / "runs" / "far" / each).exists(), each
    assert list((bucket / "runs" / "far").glob("tune-001-*/00000"))
    assert list((bucket / "runs" / "far").glob("tensorboard/00000 *"))
    assert len(list((bucket / "stores").glob("lfcc-*/manifest.json"))) == 2  # eval is not opened
    # Another machine: it has nothing but the URL.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert module._working_copy(remote.place).is_relative_to(tmp_path / "there")
    assert main(["list", "--storage", remote.place]) == 0
    assert "far" in capsys.readouterr().out
    assert main(["status", "far", "--storage", remote.place]) == 0
    assert "2 of 2 trials started" in capsys.readouterr().out
    said = output("resume", "far", "--storage", remote.place, "--trials", 3)
    assert "2 trials kept, 0 resumed, 1 new" in said
    assert "features cached" in said
    assert main(["export", "far", "--storage", remote.place, "--rank", "3", "--output", str(tmp_path / "third")]) == 0
    there = Storage(remote.place)
    assert bundle.load(tmp_path / "third").provenance["trial"] == Run.open(there, "far").ranked()[2].number
    assert list((bucket / "runs" / "far").glob("tune-002-*/00002"))
