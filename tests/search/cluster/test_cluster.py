"""Clusters as a client sees them: their jobs, their refusals, their files."""

import json
import time
from types import SimpleNamespace

import pytest

from search.cli.main import main
from search.cluster.jobs import JOB, STARTED, Cluster, Job, announce_start, check_for_cluster
from search.space.reader import read_space
from tests.search.conftest import SPACE


class Jobs:
    """A Jobs API whose one job has printed more at every look."""

    def __init__(self, *looks):
        self.looks = list(looks)

    def get_job_status(self, name):
        return SimpleNamespace(value=self.looks[0][0])

    def get_job_logs(self, name):
        return self.looks.pop(0)[1] if len(self.looks) > 1 else self.looks[0][1]


JOB_OF_A_RUN = Job("a.launch-1", "a", "/mnt", "launch", "PENDING", 0.0)
PRINTED = f"Running entrypoint for job a: env\nrun a in /mnt\n{STARTED}\n[1/2] trial 0\n"


def test_a_client_leaves_a_job_alone_once_its_run_has_started(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    jobs = Jobs(("PENDING", ""), ("RUNNING", PRINTED[:45]), ("RUNNING", PRINTED), ("SUCCEEDED", PRINTED))
    said = []
    assert Cluster(jobs, None).follow(JOB_OF_A_RUN, said.append, until_started=True) == "RUNNING"
    assert said == ["run a in /mnt", "[1/2] trial 0"]
    assert Cluster(jobs, None).log(JOB_OF_A_RUN) == "run a in /mnt\n[1/2] trial 0\n"


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "STOPPED"])
def test_a_job_that_ended_is_followed_to_its_end(state, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    said = []
    jobs = Jobs(("RUNNING", PRINTED), (state, PRINTED + "the last line"))
    assert Cluster(jobs, None).follow(JOB_OF_A_RUN, said.append) == state
    assert said == ["run a in /mnt", "[1/2] trial 0", "the last line"]
    early = Jobs((state, PRINTED))
    assert Cluster(early, None).follow(JOB_OF_A_RUN, said.append, until_started=True) == state


def test_a_process_that_is_no_job_prints_no_mark(monkeypatch, capsys):
    monkeypatch.delenv(JOB, raising=False)
    announce_start()
    assert capsys.readouterr().out == ""
    monkeypatch.setenv(JOB, "1")
    announce_start()
    assert capsys.readouterr().out == f"{STARTED}\n"


def test_what_hangs_on_where_a_process_runs_is_refused(tmp_path, capsys, monkeypatch):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.replace("CORPUS", "data/LA").replace("STORAGE", "storage"))
    monkeypatch.setenv("RAY_AUTH_TOKEN", 64 * "a")
    assert main(["launch", str(path), "--cluster", "http://127.0.0.1:1"]) == 2
    said = capsys.readouterr().err
    assert "corpus.path is 'data/LA': on a cluster it must be absolute" in said
    assert "search.storage (or --storage) is 'storage': on a cluster it must be an absolute path" in said
    absolute = SPACE.replace("CORPUS", "/data/LA").replace("STORAGE", "/mnt/storage")
    path.write_text(absolute)
    check_for_cluster(read_space(path), "/mnt/storage")
    assert main(["launch", str(path), "--cluster", "http://127.0.0.1:1"]) == 1
    assert "its Jobs API does not answer" in capsys.readouterr().err


def test_a_cluster_file_with_a_mistake_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", 64 * "a")
    path = tmp_path / "cluster.yaml"
    for text, said in (
        ("cluster_name: x\n", "not a cluster file"),
        ("a: [", "not valid YAML"),
        (
            json.dumps(
                {"cluster_name": "x", "provider": {"type": "local", "head_ip": "h", "worker_ips": []}, "auht": {}}
            ),
            "auht",
        ),
    ):
        path.write_text(text)
        assert main(["list", "--cluster", str(path)]) == 2
        assert said in capsys.readouterr().err
    assert main(["list", "--cluster", str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err
