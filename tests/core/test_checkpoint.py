import os
import pickle

import pytest
import torch

from core import checkpoint
from core.errors import InputError


def test_a_state_comes_back_as_it_was(tmp_path):
    state = {"epoch": 3, "name": "x", "best": None, "nested": {"rank": [0.5, 1], "tensor": torch.arange(4.0)}}
    checkpoint.save(tmp_path / "deep" / "c.pt", state)
    loaded = checkpoint.load(tmp_path / "deep" / "c.pt")
    assert torch.equal(loaded["nested"].pop("tensor"), state["nested"].pop("tensor"))
    assert loaded == {"format": checkpoint.FORMAT, **state}
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["c.pt"]  # no temporary file stays


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "c.pt", {"epoch": 1})

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="could not be written"):
        checkpoint.save(tmp_path / "c.pt", {"epoch": 2})
    assert checkpoint.load(tmp_path / "c.pt")["epoch"] == 1
    assert len(list(tmp_path.iterdir())) == 1


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("make", ["pickle", "torch", "text", "empty", "absent", "format"])
def test_what_is_no_checkpoint_is_refused_and_runs_nothing(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.pt"
    if make == "pickle":
        path.write_bytes(pickle.dumps(Malicious()))
    elif make == "torch":
        torch.save({"format": checkpoint.FORMAT, "x": Malicious()}, path)
    elif make == "format":
        torch.save({"format": 99}, path)
    elif make != "absent":
        path.write_bytes(b"words" if make == "text" else b"")
    with pytest.raises(InputError, match=r"c\.pt"):
        checkpoint.load(path)
    assert not (tmp_path / "ran").exists()
