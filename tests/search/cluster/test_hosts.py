"""Searches on a cluster of three hosts, started by `ray up` over ssh and steered from outside: `make test-hosts`."""

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from core import bundle
from search.runs.confirmed import confirmed_configurations, select_trial
from search.runs.run import Run
from tests.chaos import kill_trial, kill_worker, problems_of, write_space
from tests.commands import ROOT
from tests.hosts import BIN, hosts, reason_why_not

QUICKSTART = ROOT / "spaces" / "quickstart.yaml"
REASON = reason_why_not()
pytestmark = [pytest.mark.hosts, pytest.mark.skipif(REASON is not None, reason=f"no hosts in namespaces: {REASON}")]


@pytest.fixture(scope="module")
def made():
    """A head and two workers."""
    with hosts() as found:
        found.up()
        yield found


@pytest.fixture(scope="module")
def launched(made):
    """The quickstart space, in small, that was launched from outside and has ended."""
    write_space(made)
    changes = {
        "corpus.path": made.shared / "LA",
        "experiment.epochs": 6,  # one worker must not have done it all while the other loads its packages
        "search.trials": 4,
        "search.hours": 1,
        "search.confirm": "{name: retrain, top: 1, seeds: 2}",
    }
    options = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    storage = made.shared / "storage"
    where = ["--cluster", made.config, "--storage", storage, "--name", "first", "--wait"]
    done = made.spooftune("launch", QUICKSTART, *where, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(storage / "runs" / "first"), done.stdout


def test_trials_run_on_every_worker_and_every_node_was_checked(made, launched):
    run, printed = launched
    assert run.info()["state"] == "finished"
    assert {each.status for each in run.journal.trials()} <= {"finished", "stopped"}
    workers = {each.address for each in made.workers}
    assert {each["node"] for each in run.journal.events() if each["event"] == "epoch"} == workers
    for host in made.all:
        assert f"node {host.address} " in printed
    assert (run.path / "export" / "config.json").is_file()
    for path in made.shared.rglob("*"):
        assert not path.is_file() or made.token.encode() not in path.read_bytes()


def test_the_best_are_trained_again_on_the_workers(made, launched):
    run, _ = launched
    again = run.confirmation()
    assert {each.status for each in again.journal.trials()} == {"finished"}
    assert {each["node"] for each in again.journal.events() if each["event"] == "epoch"} == {
        each.address for each in made.workers
    }
    exported = bundle.load(run.path / "export").provenance
    assert exported["trial"] == confirmed_configurations(run)[0].record.number
    assert len(exported["confirmation"]["by_seed"]) == 2


def test_a_run_is_seen_from_outside(made, launched, tmp_path):
    run, _ = launched
    commands = [
        ["list"],
        ["status", "first"],
        ["logs", "first"],
        ["export", "first", "--rank", 2, "--output", tmp_path / "second"],
        ["status", "nobody"],
    ]
    with ThreadPoolExecutor(2) as pool:  # most of each is waiting
        answers = pool.map(lambda command: made.spooftune(*command, "--cluster", made.config), commands)
        listed, status, logs, done, unknown = answers
    assert "first.launch-1" in listed.stdout
    assert str(made.shared / "storage") in listed.stdout
    assert "run first: finished, 4 of 4 trials started" in status.stdout
    assert "[4/4] trial" in logs.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert bundle.load(tmp_path / "second").provenance["trial"] == select_trial(run, 2).record.number
    assert unknown.returncode == 2
    assert "it remembers: first" in unknown.stderr


def test_a_storage_that_the_nodes_do_not_share_is_refused_before_anything_runs(made, launched):
    private = "/tmp/ray/private"  # each host has its own /tmp/ray
    space = write_space(made)
    arguments = ["--cluster", made.config, "--name", "lost", "--storage", private, "--set", "search.cpus=2"]
    done = made.spooftune("launch", space, *arguments)
    assert done.returncode == 1
    for host in made.workers:
        assert f"node {host.address}: storage {private}: is not the storage of the head" in done.stdout
    assert "a trial needs 2 CPUs and 0 GPUs; no node of the cluster has that" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_without_the_token_nothing_answers(made):
    url = "http://127.0.0.1:8265/api/jobs/"
    code = "curl -s -o /dev/null -w %{http_code}"
    assert made.head.run(f"{code} {url}").stdout == "401"
    assert made.head.run(f"{code} -H 'Authorization: Bearer wrong' {url}").stdout == "403"
    assert made.head.run(f"{code} -H 'Authorization: Bearer {made.token}' {url}").stdout == "200"
    # From another host even the port is closed.
    worker = made.workers[0]
    refused = worker.run(f"{code} http://{made.head.address}:8265/api/version", check=False)
    assert refused.returncode == 7
    # Ray's own port asks for the token, too.
    join = f"import ray; ray.init(address='{made.head.address}:6379', logging_level=50)"
    strangers = ("RAY_AUTH_MODE=disabled", "RAY_AUTH_MODE=token RAY_AUTH_TOKEN=" + 64 * "a")
    commands = [f'{variables} timeout 60 {BIN}/python -c "{join}"' for variables in strangers]
    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(lambda command: worker.run(command, check=False), commands):
            assert done.returncode != 0
            assert "uthenticat" in done.stdout + done.stderr


def test_a_client_without_the_token_gets_one_line(made, tmp_path):
    clean = {**made.environment(), "HOME": str(tmp_path)}
    del clean["RAY_AUTH_TOKEN"]
    command = [sys.executable, "-m", "search.cli.main", "list", "--cluster", str(made.config)]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no token for the cluster" in done.stderr
    clean["RAY_AUTH_TOKEN"] = 64 * "a"
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "its Jobs API does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def wait_for_epochs(run, count):
    while len(run.journal.epochs()) < count:
        assert not run.path.exists() or run.info()["state"] != "finished"
        time.sleep(0.2)


def test_a_search_survives_a_worker_and_a_trial_and_is_stopped_and_resumed(made, launched):
    draw = random.Random(0)
    space = write_space(made, trials=4, epochs=20)
    asha = "{name: asha, grace_epochs: 8, reduction_factor: 2}"
    assert asha in space.read_text()
    space.write_text(space.read_text().replace(asha, "none"))  # so that it is long enough to be stopped
    done = made.spooftune("launch", space, "--cluster", made.config, "--name", "hurt")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "job hurt.launch-1 runs on the cluster" in done.stdout
    run = Run(made.shared / "storage" / "runs" / "hurt")
    for n_epochs, disturbance in ((4, kill_worker), (12, kill_trial)):
        wait_for_epochs(run, n_epochs)
        disturbance(made, run, draw)
    wait_for_epochs(run, 18)
    assert made.spooftune("stop", "hurt", "--cluster", made.config).returncode == 0
    for _ in range(1500):
        if run.info()["state"] == "interrupted":
            break
        time.sleep(0.2)
    assert run.info()["state"] == "interrupted"
    resumed = made.spooftune("resume", "hurt", "--cluster", made.config)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    for _ in range(600):
        if run.info()["state"] == "finished":
            break
        time.sleep(0.5)
    assert problems_of(run, 4, 3) == []
