"""Commands with `--cluster`: what the head of the cluster is asked, without a cluster."""

import contextlib

import pytest

from core.errors import InputError
from search.cli import remote
from search.cli.main import main
from search.cluster.jobs import Job


class FakeCluster:
    """Remembers what it was asked; every run lies in `/mnt`."""

    def __init__(self):
        self.asked, self.fetched = [], []

    def storage_of(self, run, given):
        return given or "/mnt"

    def submit(self, command, run, storage, arguments, space):
        self.asked.append([command, *arguments])
        return Job(f"{run}.{command}-1", run, storage, command, "PENDING", 0.0)

    def follow(self, job, say, *, until_started=False):
        return "RUNNING" if until_started else "SUCCEEDED"

    def ask(self, command, run, storage, arguments, say):
        self.asked.append([command, *arguments])
        return 0

    def fetch(self, folder, target):
        self.fetched.append((folder, target))


@pytest.fixture
def cluster(monkeypatch):
    fake = FakeCluster()
    fake.token = False

    def require_token():
        fake.token = True

    @contextlib.contextmanager
    def connect(place):
        assert place == "c.yaml"
        assert fake.token  # before Ray is imported
        yield fake

    monkeypatch.setattr(remote, "require_token", require_token)
    monkeypatch.setattr(remote, "connect", connect)
    return fake


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("status r", "status r --storage /mnt --limit 20"),
        ("status r --limit 5 --storage s3://b/p", "status r --storage s3://b/p --limit 5"),
        ("logs r --trial 0", "logs r --storage /mnt --trial 0"),
        ("stop r", "stop r --storage /mnt"),
        ("resume r", "resume r --storage /mnt --address auto"),
        (
            "resume r --trials 9 --hours 1.5 --gpu-hours 2 --retry-failed --force --allow-changed-space",
            "resume r --storage /mnt --address auto --trials 9 --hours 1.5 --gpu-hours 2.0 --retry-failed --force "
            "--allow-changed-space",
        ),
    ],
)
def test_the_head_is_asked_with_the_options_of_the_command(cluster, words, asked):
    assert main([*words.split(), "--cluster", "c.yaml"]) == 0
    assert cluster.asked == [asked.split()]


def test_a_bundle_is_exported_there_and_copied_here(cluster, tmp_path, capsys):
    target = tmp_path / "best"
    assert main(["export", "r", "--cluster", "c.yaml", "--trial", "7", "--eval", "--output", str(target)]) == 0
    [[command, run, *options]] = cluster.asked
    [(folder, copied_to)] = cluster.fetched
    assert folder.startswith("/mnt/runs/r/export-")
    assert copied_to == target
    assert [command, run] == ["export", "r"]
    assert options == ["--storage", "/mnt", "--output", folder, "--rank", "1", "--trial", "7", "--eval"]
    assert capsys.readouterr().out == f"copied to {target}\n"


def test_a_folder_that_exists_here_is_refused_before_the_cluster_is_asked(cluster, tmp_path, capsys):
    assert main(["export", "r", "--cluster", "c.yaml", "--output", str(tmp_path)]) == 2
    assert f"{tmp_path}: exists already" in capsys.readouterr().err
    assert not cluster.asked


def test_without_a_token_no_command_reaches_for_the_cluster(monkeypatch, capsys):
    def refuse():
        raise InputError("no token for the cluster")

    monkeypatch.setattr(remote, "require_token", refuse)
    for words in ("list", "status r", "logs r", "stop r", "launch s.yaml", "resume r", "export r", "tensorboard r"):
        assert main([*words.split(), "--cluster", "c.yaml"]) == 2
        assert capsys.readouterr().err == "spooftune: no token for the cluster\n"
