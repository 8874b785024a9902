"""A search on a cluster that others started: two nodes, a token, nobody without it."""

import os
import secrets
import subprocess
import sys
import time

import pytest

from core.stores.extraction import extract
from search.prepare.plan import open_corpus
from search.runs.run import Run
from search.space.configurations import store_experiments
from search.space.reader import read_space
from tests.commands import Command, spooftune
from tests.search.conftest import SPACE
from tests.speech import make_corpus

HOSTS = """
import sys
from ray.cluster_utils import Cluster

started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
started.add_node(num_cpus=1)
print("at", started.address, flush=True)
sys.stdin.read()
started.shutdown()
"""


@pytest.fixture(scope="module")
def cluster():
    """Address and token. Ray reads its authentication mode when it is imported, so the cluster has its own process."""
    token = secrets.token_hex(32)
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        [sys.executable, "-c", HOSTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    address = next(line.split()[1] for line in process.stdout if line.startswith("at "))
    yield address, token
    process.communicate()


def launch(space_file, cluster, name, run=spooftune, **variables):
    address, token = cluster
    known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, **variables}
    return run("launch", space_file, "--name", name, "--address", address, **known)


def test_a_bad_recording_is_named_from_whichever_node_found_it(cluster, tmp_path):
    corpus = make_corpus(tmp_path / "LA", n_per_class=70, duration_s=0.3)
    bad = next((corpus / "ASVspoof2019_LA_train").rglob("*139.flac"))
    bad.write_bytes(b"fLaC")
    path = tmp_path / "wide.yaml"
    path.write_text(SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(tmp_path / "storage")))
    done = launch(path, cluster, "bad")
    assert done.returncode == 2
    assert bad.name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def long(cluster, tmp_path_factory):
    """A search of very many trials that goes on while the tests run: its space, run and command."""
    folder = tmp_path_factory.mktemp("long")
    corpus = make_corpus(folder / "LA", n_per_class=150, duration_s=0.3)
    text = SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(folder / "storage"))
    space = folder / "wide.yaml"
    space.write_text(text.replace("trials: 6", "trials: 1000").replace("epochs: 4", "epochs: 2"))
    command = launch(space, cluster, "long", run=Command)
    yield space, Run(folder / "storage" / "runs" / "long"), command
    command.kill()


def test_without_the_token_it_is_refused_with_one_line(cluster, long, space_file):
    done = launch(space_file, cluster, "off", RAY_AUTH_TOKEN=secrets.token_hex(32))
    assert done.returncode == 1
    assert "Ray cannot be reached there" in done.stderr
    assert "RAY_AUTH_MODE=token" in done.stderr
    assert "Traceback" not in done.stderr


def wait_for_a_trial(long):
    _, run, command = long
    while not run.path.exists() or not run.journal.trials():
        assert command.running, command.stdout + command.stderr
        time.sleep(0.5)


def test_nodes_extract_together_what_one_process_would(long, tmp_path):
    wait_for_a_trial(long)
    path, _, command = long
    assert "lfcc of train: 300 utterances extracted" in command.stdout
    space = read_space(path)
    (experiment,) = store_experiments(space)
    for partition in ("train", "dev"):
        utterances = open_corpus(space).partition(partition)
        alone = extract(utterances, experiment.front_end, experiment.audio, root=tmp_path / "alone")
        together = path.parent / "storage" / "stores" / alone.path.name
        files = sorted(each.name for each in alone.path.iterdir())
        assert files == ["000000.arrow", "000001.arrow", "000002.arrow", "manifest.json"]
        for name in files:
            assert (alone.path / name).read_bytes() == (together / name).read_bytes()


def test_a_search_finishes_while_a_longer_one_holds_the_nodes(cluster, long, space_file, tmp_path):
    wait_for_a_trial(long)
    _, held, command = long
    space_file.write_text(space_file.read_text().replace("trials: 6", "trials: 3"))
    done = launch(space_file, cluster, "short")
    assert done.returncode == 0, done.stdout + done.stderr
    assert command.running, command.stdout + command.stderr
    held.stop()
    assert command.wait() == 130
    assert held.info()["state"] == "interrupted"
    run = Run(tmp_path / "storage" / "runs" / "short")
    assert run.info()["state"] == "finished"
    assert [each.number for each in run.journal.trials()] == [0, 1, 2]
    assert all(run.checkpoint(number) for number in range(3))
    _, token = cluster
    assert token not in "".join(path.read_text(errors="replace") for path in run.path.rglob("*.json*"))
