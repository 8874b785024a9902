"""Files of weights are told apart by their content."""

import struct

import pytest
import torch
from safetensors.torch import save

from core.features.weights import is_safetensors


@pytest.mark.parametrize("n_values", range(1, 99, 7))
def test_safetensors_are_recognised_whatever_the_length_of_their_header(tmp_path, n_values):
    content = save({"a" * n_values: torch.ones(2)})
    (tmp_path / "file").write_bytes(content)
    assert is_safetensors(tmp_path / "file"), struct.unpack("<Q", content[:8])


@pytest.mark.parametrize("new", [True, False])
def test_files_of_torch_are_none(tmp_path, new):
    torch.save({"a": torch.ones(2)}, tmp_path / "file", _use_new_zipfile_serialization=new)
    assert not is_safetensors(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"")
    assert not is_safetensors(tmp_path / "file")
