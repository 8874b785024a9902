"""What a trial leaves in the storage when the storage is full, and which of its checkpoints it resumes from."""

import resource
import signal
from types import SimpleNamespace

import pytest
import torch
from ray import tune
from ray.train._internal import session
from ray.train._internal.storage import StorageContext

from core import checkpoint
from search.methods.ray_internals import whole_checkpoints
from search.runs import retry
from search.tuning import trial

STATE = {"epoch": 1, "best": None, "experiment": {"epochs": 4}, "weights": torch.zeros(100_000)}


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """Ray's storage of a trial, as the trial sees it."""
    context = StorageContext(str(tmp_path), experiment_dir_name="tune-001", trial_dir_name="00000")
    monkeypatch.setattr(session, "get_session", lambda: SimpleNamespace(storage=context))

    def report(metrics, checkpoint):
        context._update_checkpoint_index(metrics)
        context.persist_current_checkpoint(checkpoint)

    monkeypatch.setattr(tune, "report", report)
    return context


def saved(folder):
    return checkpoint.load(folder / "checkpoint.pt")["epoch"]


def test_a_full_storage_leaves_no_folders_and_the_report_is_repeated(storage, tmp_path, monkeypatch):
    trials = tmp_path / "tune-001" / "00000"
    trial._report({}, STATE)
    limits, pauses = resource.getrlimit(resource.RLIMIT_FSIZE), []
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def pause(seconds):
        pauses.append(sorted(path.name for path in trials.iterdir()))
        if len(pauses) == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(retry.time, "sleep", pause)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # a checkpoint has four times as many bytes
    try:
        trial._report({}, {**STATE, "epoch": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert pauses == [["checkpoint_000000"]] * 4
    assert [saved(path) for path in sorted(trials.iterdir())] == [1, 2]
    assert sorted(path.name for path in trials.iterdir()) == ["checkpoint_000000", "checkpoint_000001"]


def test_a_copy_that_fails_half_way_leaves_nothing(storage, tmp_path, monkeypatch):
    trials = tmp_path / "tune-001" / "00000"
    source = tmp_path / "made"
    checkpoint.save(source / "checkpoint.pt", STATE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for _ in range(3):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            with pytest.raises(OSError, match="large"), whole_checkpoints():
                tune.report({}, checkpoint=tune.Checkpoint.from_directory(source))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert list(trials.iterdir()) == []
    with whole_checkpoints():
        tune.report({}, checkpoint=tune.Checkpoint.from_directory(source))
    assert [path.name for path in trials.iterdir()] == ["checkpoint_000000"]


def test_a_trial_whose_process_died_resumes_from_its_latest_whole_checkpoint(storage, tmp_path, capsys):
    trials = tmp_path / "tune-001" / "00000"
    for epoch in (1, 2, 3):
        trial._report({}, {**STATE, "epoch": epoch})
    latest = tune.Checkpoint(str(trials / "checkpoint_000002"))
    assert trial._latest_state(latest)["epoch"] == 3
    with (trials / "checkpoint_000002" / "checkpoint.pt").open("r+b") as file:
        file.truncate(1000)
    assert trial._latest_state(latest)["epoch"] == 2
    assert "checkpoint_000002" in capsys.readouterr().err
    for path in trials.glob("*/checkpoint.pt"):
        path.unlink()
    assert trial._latest_state(latest) is None
