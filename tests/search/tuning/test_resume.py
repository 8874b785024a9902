"""A search that was cut off goes on; one that ended is extended. Nothing runs twice, nothing is skipped."""

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from core import checkpoint, table
from search.cli.main import main
from search.methods.schedulers import SCHEDULERS
from search.prepare.plan import make_plan
from search.runs.eval_looks import looks, n_looks
from search.runs.lease import owning
from search.runs.run import Run, this_process
from search.runs.storage import Storage
from search.space.reader import read_space
from search.tuning.replay import record_missing_ends, replay
from search.tuning.searcher import OptunaSearcher
from tests import interruptions
from tests.commands import Command, spooftune
from tests.search.conftest import SPACE


def write(folder, corpus, **changes):
    text = SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(folder / "storage"))
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    (folder / "tiny.yaml").write_text(text)
    return folder / "tiny.yaml"


def events(run):
    return Counter((event["event"], event["trial"]) for event in run.journal.events())


def processes_with(variable):
    """Processes whose environment holds a variable of this value."""
    found = []
    for each in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended
            if variable.encode() in each.read_bytes().split(b"\0"):
                found.append(int(each.parent.name))
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory, corpus):
    """A search whose driver was killed without warning in the midst of its trials, and its records at that moment."""
    folder = tmp_path_factory.mktemp("killed")
    space = write(folder, corpus, epochs=("epochs: 4", "epochs: 12"), trials=("trials: 6", "trials: 5"))
    command = Command("launch", space, "--name", "k", own_group=True, OF_THE_KILLED=str(folder))
    run = Run(folder / "storage" / "runs" / "k")
    for _ in range(6000):
        if sum(epoch for _, epoch, _ in run.journal.epochs()) >= 6 and any(
            each.status == "running" for each in run.journal.trials()
        ):
            break
        time.sleep(0.05)
    os.killpg(command.pid, signal.SIGKILL)
    command.wait()
    # The processes of Ray end by themselves once their driver is gone; until then a trial may save one more epoch.
    while processes_with(f"OF_THE_KILLED={folder}"):
        time.sleep(0.05)
    # The driver may not have heard of a trial's last epoch: here it has not.
    going = {each.number for each in run.journal.trials() if each.status == "running" and each.epoch > 1}
    events = [json.loads(line) for line in run.journal.path.read_text().splitlines()]
    heard = [n for n, event in enumerate(events) if event["event"] == "epoch" and event["trial"] in going]
    if heard and checkpoint.load(run.checkpoint(events[heard[-1]]["trial"]))["epoch"] == events[heard[-1]]["epoch"]:
        del events[heard[-1]]
        run.journal.path.write_text("".join(json.dumps(event) + "\n" for event in events))
    before = Run(run.path).journal.trials()
    assert any(each.status == "running" and each.epoch for each in before)
    return folder, run, before


@pytest.fixture(scope="module")
def resumed(killed):
    folder, _run, _before = killed
    done = spooftune("resume", "k", "--storage", folder / "storage")
    assert done.returncode == 0, done.stderr + done.stdout
    return done


def test_what_had_ended_stands_and_what_ran_goes_on_from_its_checkpoint(killed, resumed):
    _, run, before = killed
    after = {each.number: each for each in run.journal.trials()}
    assert sorted(after) == list(range(5))
    assert {each.status for each in after.values()} <= {"finished", "stopped"}
    for each in before:
        assert after[each.number].values == each.values
        if each.status != "running":
            assert after[each.number] == each
    counted = events(run)
    assert all(counted["start", number] == 1 for number in range(5))
    assert all(counted["end", number] == 1 for number in range(5))
    running = [each.number for each in before if each.status == "running"]
    assert all(counted["resume", number] == (number in running) for number in range(5))
    for number in range(5):
        epochs = [epoch for one, epoch, _ in run.journal.epochs() if one == number]
        assert epochs == list(range(1, len(epochs) + 1))  # none is missing, none was trained again
    assert "trials kept" in resumed.stdout


def test_a_trial_that_goes_on_ends_as_if_it_had_never_stopped(killed, resumed, tmp_path, corpus):
    from core.stores.store import FeatureStore
    from core.training.fit import fit
    from search.space.space import store_name

    folder, run, _before = killed
    continued = next(
        each for each in run.journal.trials() if each.status == "finished" and events(run)["resume", each.number]
    )
    space = read_space(folder / "tiny.yaml")
    experiment = space.experiment(continued.values)
    stores = {k: FeatureStore.open(Path(v)) for k, v in run.info()["stores"][store_name(experiment)].items()}
    whole = fit(experiment, stores["train"], stores["dev"], lambda metrics, state: None)
    saved = checkpoint.load(run.checkpoint(continued.number))
    assert all((saved["detector"][name] == value).all() for name, value in whole["detector"].items())


def test_a_finished_run_has_nothing_to_resume_but_can_be_extended(killed, resumed, capsys):
    folder, run, _ = killed
    storage = str(folder / "storage")
    assert main(["resume", "k", "--storage", storage]) == 2
    assert "all 5 trials have ended; --trials N extends it" in capsys.readouterr().err
    for limit in ("--hours", "--gpu-hours", "--trials"):
        for value in ("0", "-1"):
            assert main(["resume", "k", "--storage", storage, limit, value]) == 2
            assert f"{limit} is {value}; it must be" in capsys.readouterr().err
    assert main(["resume", "k", "--storage", storage, "--trials", "2"]) == 2
    assert "has already started 5 trials" in capsys.readouterr().err
    before = run.journal.trials()
    exported = {path: path.read_bytes() for path in (run.path / "export").rglob("*.txt")}
    done = spooftune("resume", "k", "--storage", storage, "--trials", "7")
    assert done.returncode == 0, done.stderr + done.stdout
    assert run.journal.trials()[:5] == before
    assert len(run.journal.trials()) == 7
    assert (run.path / "export-002").is_dir()
    assert exported == {path: path.read_bytes() for path in (run.path / "export").rglob("*.txt")}
    assert n_looks(run.path) == 0


def test_a_run_that_goes_on_is_left_alone(killed, resumed, capsys):
    folder, run, _ = killed
    storage = str(folder / "storage")
    with owning(Storage(storage), "k", command="spooftune resume"):
        assert main(["resume", "k", "--storage", storage]) == 2
        assert f"is owned by process {os.getpid()} on host" in capsys.readouterr().err
    assert main(["stop", "k", "--storage", storage]) == 2
    assert "is not running; its state is finished" in capsys.readouterr().err
    # A run of a version without leases.
    former = Run(shutil.copytree(run.path, folder / "storage" / "runs" / "former"))
    shutil.rmtree(former.path / "lease")
    for where in (this_process(), {"pid": 1, "host": "elsewhere"}):
        former.update(state="running", **where)
        assert main(["resume", "former", "--storage", storage]) == 2
        assert "is still running" in capsys.readouterr().err
        shutil.rmtree(former.path / "lease")
    assert main(["stop", "former", "--storage", storage]) == 2
    assert "runs on host elsewhere" in capsys.readouterr().err
    shutil.rmtree(former.path)


def test_stop_which_is_sigterm_exports_the_best_so_far_and_resume_finishes(tmp_path, corpus):
    corpus = Path(shutil.copytree(corpus, tmp_path / "LA"))
    heard = {path: path.read_bytes() for path in (corpus / "ASVspoof2019_LA_eval").rglob("*.flac")}
    for path in heard:
        path.write_bytes(b"nobody may open eval")
    space = write(tmp_path, corpus, epochs=("epochs: 4", "epochs: 20"), trials=("trials: 6", "trials: 2"))
    text = space.read_text().replace("{name: asha, grace_epochs: 1, reduction_factor: 2}", "none")
    space.write_text(text)
    command = Command("launch", space, "--name", "s", "--eval", own_group=True, OF_THE_STOPPED=str(tmp_path))
    run = Run(tmp_path / "storage" / "runs" / "s")
    for _ in range(6000):
        if len(run.journal.epochs()) >= 3:
            break
        time.sleep(0.05)
    assert main(["stop", "s", "--storage", str(tmp_path / "storage")]) == 0
    os.killpg(command.pid, signal.SIGTERM)  # as `timeout` and a terminal do
    for each in processes_with(f"OF_THE_STOPPED={tmp_path}"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGTERM)  # as systemd and SLURM do
    assert command.wait() == 130, command.stdout + command.stderr
    assert processes_with(f"OF_THE_STOPPED={tmp_path}") == []  # Ray's, too, have ended
    assert re.search(r"spooftune resume s --storage \S+ continues", command.stderr)
    assert "eval was not scored" in command.stderr
    assert run.info()["state"] == "interrupted"
    assert {each.status for each in run.journal.trials()} == {"interrupted"}
    assert (run.path / "export" / "weights.safetensors").exists()  # the best so far
    done = spooftune("resume", "s", "--storage", tmp_path / "storage")
    assert done.returncode == 0, done.stderr + done.stdout
    assert [(each.status, each.epoch) for each in run.journal.trials()] == [("finished", 20)] * 2
    for number in range(2):
        epochs = [epoch for one, epoch, _ in run.journal.epochs() if one == number]
        assert len(epochs) == len(set(epochs)) >= 19
    assert not list((tmp_path / "storage" / "stores").glob("*eval*"))
    assert n_looks(run.path) == 0
    for path, audio in heard.items():
        path.write_bytes(audio)
    assert main(["export", "s", "--storage", str(tmp_path / "storage"), "--eval"]) == 0
    (look,) = looks(run.path)
    assert (look.number, look.command, look.detectors) == (1, "spooftune export --eval", ("export-rank1",))


def test_the_searcher_suggests_what_it_would_have_suggested(killed, tmp_path, corpus):
    space = read_space(write(tmp_path, corpus))

    def told(searcher, n, first=0):
        found = []
        for k in range(first, first + n):
            config = searcher.suggest(f"{searcher!r}{k}")
            found.append(config)
            searcher.on_trial_complete(f"{searcher!r}{k}", {"objective": config["values"]["loss.margin"] / 10})
        return found

    whole = told(OptunaSearcher(space), 8)
    records = [record(each) for each in whole]
    assert told(OptunaSearcher(space, history=records[:5]), 3) == whole[5:]
    resumed = []
    searcher = OptunaSearcher(
        space, history=records[:5], unfinished=records[5:6], on_resumed=lambda number, name: resumed.append(number)
    )
    assert told(searcher, 3) == whole[5:]
    assert resumed == [5]


def record(config):
    from search.runs.journal import TrialRecord

    objective = config["values"]["loss.margin"] / 10
    return TrialRecord(config["number"], config["values"], "finished", 4, objective)


def test_a_trial_that_had_ended_when_the_search_was_cut_off_is_not_run_again(killed, resumed, tmp_path):
    _, run, _ = killed
    shutil.copytree(run.path, tmp_path / "runs" / "copy")
    copy = Run(tmp_path / "runs" / "copy")
    whole = copy.journal.trials()
    ends = {each.number for each in whole}
    events = [each for each in copy.journal.events() if each["event"] != "end"]
    copy.journal.path.write_text("".join(json.dumps(each) + "\n" for each in events))
    assert {each.status for each in copy.journal.trials()} == {"running"}
    plan = make_plan(read_space(copy.path / "space.yaml"), Storage(str(tmp_path)))
    options = plan.space.search
    scheduler = table.build("search.scheduler", SCHEDULERS, options.scheduler, "objective", 12)
    stopped = replay(scheduler, copy.journal.events()).stopped
    assert record_missing_ends(plan.space, copy, copy.journal.trials(), stopped) == ends
    assert [(each.status, each.epoch) for each in copy.journal.trials()] == [
        (each.status, each.epoch) for each in whole
    ]


def test_a_search_that_is_interrupted_decides_as_one_that_is_not(tmp_path):
    whole, cut = interruptions.compare(tmp_path, 5, times=1, seed=0)
    assert len(whole) == 5
    assert {each["status"] for each in whole} == {"finished", "stopped"}
    assert whole == cut
