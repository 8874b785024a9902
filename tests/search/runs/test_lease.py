"""One process owns a run: of several that want it, one gets it, and the others are told who has it."""

import dataclasses
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import time

import pytest

from core.errors import Unavailable
from search.cli.main import main
from search.runs import lease as leases
from search.runs import lease_files
from search.runs.lease import LeaseLost, Owned, acquire, owning
from search.runs.lease_files import FolderFiles, ObjectFiles
from search.runs.owner import SILENCE, Owner, process_start
from search.runs.run import Run
from search.runs.storage import Storage

_FORK = multiprocessing.get_context("fork")


@pytest.fixture(params=["folder", "url"])
def storage(request, tmp_path, monkeypatch):
    """A folder, and a URL, which has no exclusive creation of files and a working copy elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "storage" / "runs" / "r").mkdir(parents=True)
    return Storage(str(tmp_path / "storage") if request.param == "folder" else f"file://{tmp_path}/storage")


@pytest.fixture
def files(storage):
    return ObjectFiles(storage, "runs/r/lease") if storage.remote else FolderFiles(storage.folder / "runs/r/lease")


def stranger(**changes):
    """An owner on another machine, alive a moment ago."""
    owner = Owner.this_process("0123", "spooftune launch")
    return dataclasses.replace(owner, **{"host": "elsewhere", **changes})


def silent(owner, seconds):
    then = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - seconds))
    return dataclasses.replace(owner, seen=then)


def compete(storage, results, begin):
    begin.wait()
    try:
        held = acquire(storage, "r", command="spooftune resume")
    except Owned as error:
        results.put(("refused", str(error)))
    else:
        results.put(("owns", str(os.getpid())))
        time.sleep(4)
        held.release()


@pytest.mark.parametrize("n", [2, 5])
def test_of_several_one_owns_the_run_and_the_others_are_told_which(storage, n):
    results, begin = _FORK.Queue(), _FORK.Barrier(n)
    processes = [_FORK.Process(target=compete, args=(storage, results, begin)) for _ in range(n)]
    for process in processes:
        process.start()
    told = [results.get(timeout=60) for _ in range(n)]
    for process in processes:
        process.join()
    (owner,) = [text for kind, text in told if kind == "owns"]
    refused = [text for kind, text in told if kind == "refused"]
    assert len(refused) == n - 1
    assert all(f"is owned by process {owner} on host {socket.gethostname()}" in text for text in refused)
    with owning(storage, "r", command="spooftune resume"):  # it was released
        pass


def test_a_killed_owner_of_this_machine_loses_the_run_at_once(storage, files):
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = stranger(host=socket.gethostname(), pid=ended.pid, pid_start=process_start(ended.pid))
    (storage.folder / "runs" / "r").mkdir(parents=True, exist_ok=True)
    assert files.create(1, owner.text(), owner.token)
    with pytest.raises(Owned, match=f"process {ended.pid} on host"):
        acquire(storage, "r", command="spooftune resume")
    ended.kill()  # it is not waited for: a zombie has ended, too
    deadline = time.monotonic() + 10
    while process_start(ended.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    with owning(storage, "r", command="spooftune resume") as held:
        held.check(look=True)
        assert not held.first
        newest = files.newest()
        assert newest.number == 2
        assert newest.owner.pid == os.getpid()
    assert files.newest().owner.released
    ended.communicate()


def test_an_owner_elsewhere_loses_the_run_after_the_stated_silence_unless_it_shows_itself(
    storage, files, monkeypatch, capsys
):
    owner = silent(stranger(), SILENCE / 2)
    assert files.create(1, owner.text(), owner.token)
    with pytest.raises(Owned, match=r"on host elsewhere .*resume 60 s after its last sign of life"):
        acquire(storage, "r", command="spooftune resume")
    files.write(1, silent(owner, SILENCE + 5).text())
    later = silent(owner, 1)
    monkeypatch.setattr(leases.time, "sleep", lambda seconds: files.write(1, later.text()))
    with pytest.raises(Owned, match="elsewhere"):
        acquire(storage, "r", command="spooftune resume")
    assert "waiting 25 s for a sign of life" in capsys.readouterr().err
    # A clock that is an hour ahead does not keep the run for an hour.
    files.write(1, silent(owner, -3600).text())
    monkeypatch.setattr(leases.time, "sleep", lambda seconds: None)
    with owning(storage, "r", command="spooftune resume"):
        assert files.newest().number == 2


def test_an_owner_that_was_taken_over_writes_nothing_more(storage, monkeypatch):
    monkeypatch.setattr(leases, "HEARTBEAT", 0.05)
    run = Run(storage.folder / "runs" / "r")
    run.path.mkdir(parents=True, exist_ok=True)
    with owning(storage, "r", command="spooftune launch") as held:
        run.hold(held)
        run.update(state="running", n_trials=1)
        run.journal.record("start", 0, values={})
        with owning(storage, "r", command="spooftune resume", force=True):
            time.sleep(0.3)  # of a URL, the lease is only read with the signs of life
            written = run.journal.path.read_bytes()
            for write in (
                lambda: run.update(state="finished"),
                lambda: run.journal.record("end", 0, status="finished"),
                lambda: run.confirmation().journal.record("start", 0, values={}),
                lambda: run.check_lease(look=True),
            ):
                with pytest.raises(LeaseLost, match="was taken over by process"):
                    write()
            assert run.journal.path.read_bytes() == written
            assert run.info()["state"] == "running"
            copy = pickle.loads(pickle.dumps(run))  # noqa: S301 - Tune copies its callbacks
            copy.journal.trials()


def test_a_push_of_a_process_that_was_taken_over_does_not_happen(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    far = tmp_path / "far"
    far.mkdir()
    storage = Storage(f"file://{far}")
    run = Run.create(storage, prefix="r", name="r")
    with owning(storage, "r", command="spooftune launch") as held:
        run.hold(held)
        run.update(state="running", n_trials=1)
        with pytest.raises(LeaseLost), storage.pushing("runs/r", before=run.check_lease):
            held._lost = "was taken over"
    assert not (far / "runs" / "r" / "run.json").exists()


def test_a_lease_that_cannot_be_read_or_written_is_one_sentence(storage, files, monkeypatch):
    def away(*arguments):
        raise OSError("the storage is away")

    monkeypatch.setattr(type(files), "newest", away)
    with pytest.raises(Unavailable, match="run r: its lease cannot be read or written: the storage is away"):
        acquire(storage, "r", command="spooftune resume")


def test_an_incomplete_file_and_a_claim_of_a_killed_process_are_no_owner(tmp_path, monkeypatch):
    storage = Storage(f"file://{tmp_path}")
    files = ObjectFiles(storage, "runs/r/lease")
    storage.write("runs/r/lease/000001.json", '{"token": "01')
    storage.write("runs/r/lease/000002-4567", silent(stranger(), SILENCE + 1).text())
    with owning(storage, "r", command="spooftune resume"):
        assert files.newest().number == 2
        assert storage.names("runs/r/lease") == ["000002.json"]


def test_a_claim_that_is_about_to_be_decided_is_waited_for(tmp_path, monkeypatch):
    storage = Storage(f"file://{tmp_path}")
    files, other = ObjectFiles(storage, "runs/r/lease"), stranger()
    storage.write("runs/r/lease/000001-4567", other.text())
    waits = []

    def decide(seconds):
        waits.append(storage.names("runs/r/lease"))
        storage.write("runs/r/lease/000001.json", other.text())

    monkeypatch.setattr(lease_files.time, "sleep", decide)
    with pytest.raises(Owned, match="elsewhere"):
        acquire(storage, "r", command="spooftune resume")
    assert waits == [["000001-4567"]]  # its own claim is withdrawn while it waits
    assert files.newest().owner == other


def test_resume_exits_with_2_and_names_the_owner_and_stop_and_status_know_it(tmp_path, capsys):
    storage = Storage(str(tmp_path))
    run = Run.create(storage, prefix="r", name="r")
    run.update(name="r", state="running", created="2026", n_trials=1, objective="dev_eer", host="elsewhere", pid=1)
    place = ["--storage", str(tmp_path)]
    assert main(["resume", "r", *place]) == 2  # no valid space, but the lease comes first
    files = FolderFiles(run.path / "lease")
    assert files.newest().owner.released
    number = files.newest().number
    with owning(storage, "r", command="spooftune launch"):
        capsys.readouterr()
        assert main(["resume", "r", *place]) == 2
        shown = capsys.readouterr().err
        assert f"run r: is owned by process {os.getpid()} on host {socket.gethostname()} (spooftune launch, " in shown
        assert run.alive()
        assert main(["list", *place]) == 0
        assert "running" in capsys.readouterr().out
        assert files.newest().number == number + 1
    assert not run.alive()
    assert main(["list", *place]) == 0
    assert "interrupted" in capsys.readouterr().out
    assert main(["stop", "r", *place]) == 2
    assert "its process has ended without a word, in the state running" in capsys.readouterr().err
    assert main(["resume", "absent", *place]) == 2
    assert "no run 'absent'" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "absent").exists()
    files.write(number + 1, stranger().text())
    assert run.alive()
    assert main(["stop", "r", *place]) == 2
    assert "runs on host elsewhere; stop it there" in capsys.readouterr().err
