"""x-vectors against explicit loops over frames, and what becomes of files that hold no such network."""

import hashlib
import math

import numpy as np
import pytest
import safetensors.torch
import torch

from core import table
from core.errors import InputError
from core.features import FRONT_ENDS
from core.features.spectral import mfcc
from core.features.xvector import load, random_network, xvector

SMALL = {"channels": (8, 7, 6, 5, 9), "kernels": (5, 3, 3, 1, 1), "embedding_dim": 4}


def saved_network(folder, **sizes):
    """A file with a small random network."""
    path = folder / "xvector.safetensors"
    safetensors.torch.save_file(random_network(seed=0, **{**SMALL, **sizes}).state_dict(), path)
    return path


@pytest.fixture
def path(tmp_path):
    return saved_network(tmp_path)


@pytest.fixture
def tensors():
    return random_network(seed=0, **SMALL).state_dict()


def noise(batch, time, seed=0):
    return 0.1 * torch.randn(batch, time, generator=torch.Generator().manual_seed(seed))


def by_loops(tensors, features):
    """The embedding of MFCCs (n_mfcc, n_frames), frame by frame in float64."""
    values = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    frames = features
    for index, offsets in enumerate([range(-2, 3), (-2, 0, 2), (-3, 0, 3), (0,), (0,)]):  # table 1 of the paper
        prefix = f"tdnn.{index}."
        weight, bias = values[prefix + "convolution.weight"], values[prefix + "convolution.bias"]
        out = []
        for t in range(-offsets[0], frames.shape[1] - offsets[-1]):
            total = bias.copy()
            for tap, offset in enumerate(offsets):
                total += weight[:, :, tap] @ frames[:, t + offset]
            total = np.maximum(total, 0)
            scale = values[prefix + "norm.weight"] / np.sqrt(values[prefix + "norm.running_var"] + 1e-5)
            out.append((total - values[prefix + "norm.running_mean"]) * scale + values[prefix + "norm.bias"])
        frames = np.array(out).T
    pooled = np.concatenate([frames.mean(axis=1), np.sqrt(np.maximum(frames.var(axis=1), 1e-10))])
    return values["embedding.weight"] @ pooled + values["embedding.bias"]


def test_embedding_against_loops(path, tensors):
    waveform = noise(1, 6000)
    cepstra = mfcc(n_mfcc=30, n_mels=30, win_length=400, f_min=20.0, f_max=7600.0, deltas=False)(waveform)[0].double()
    expected = by_loops(tensors, (cepstra - cepstra.mean(dim=1, keepdim=True)).numpy())
    found = xvector(weights=str(path))(waveform)
    assert found.shape == (1, 4, 1)
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-4, atol=1e-4)


def test_one_frame_however_long(path):
    front_end = xvector(weights=str(path))
    assert front_end.min_samples == 400 + 14 * 160  # 7 frames of context on either side
    for time in (front_end.min_samples, 5000, 200_000):
        assert front_end(noise(2, time)).shape == (2, 4, 1)


def test_the_published_sizes_and_their_number_of_parameters():
    network = random_network(seed=0)
    layers = [(30, 512, 5), (512, 512, 3), (512, 512, 3), (512, 512, 1), (512, 1500, 1)]
    expected = sum(below * n * kernel + 3 * n for below, n, kernel in layers) + 3000 * 512 + 512
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    assert network.embedding.out_features == 512


def test_sizes_are_read_off_the_weights(tmp_path):
    sizes = {"n_mfcc": 24, "channels": (3, 4, 5, 6, 7), "kernels": (3, 1, 5, 1, 1), "embedding_dim": 11}
    front_end = xvector(weights=str(saved_network(tmp_path, **sizes)), n_mfcc=24)
    assert front_end.n_features == 11
    assert front_end.min_samples == 400 + (2 + 0 + 12) * 160
    assert front_end(noise(1, 4000)).shape == (1, 11, 1)


def test_loudness_does_not_matter(path):
    front_end = xvector(weights=str(path))
    torch.testing.assert_close(front_end(0.1 * noise(1, 6000)), front_end(noise(1, 6000)), rtol=1e-3, atol=1e-3)


def test_torchs_file_gives_what_safetensors_gives_and_half_precision_is_read(path, tensors, tmp_path):
    of_torch, half = tmp_path / "xvector.pt", tmp_path / "half.pt"
    torch.save(tensors, of_torch)
    torch.save({name: tensor.half() for name, tensor in tensors.items()}, half)
    waveform = noise(1, 5000)
    expected = xvector(weights=str(path))(waveform)
    torch.testing.assert_close(xvector(weights=str(of_torch))(waveform), expected)
    found = xvector(weights=str(half))(waveform)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


def test_counts_of_batches_are_optional(tensors, tmp_path):
    path = tmp_path / "bare.pt"
    torch.save({name: tensor for name, tensor in tensors.items() if "num_batches" not in name}, path)
    assert load(path, n_mfcc=30).embedding.out_features == 4


def test_weights_are_identified_by_their_digest(path):
    assert xvector(weights=str(path)).weights == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def test_a_random_network_depends_on_its_seed_alone():
    torch.manual_seed(1)
    first = random_network(seed=3, **SMALL).state_dict()
    before = torch.get_rng_state()
    again, other = random_network(seed=3, **SMALL).state_dict(), random_network(seed=4, **SMALL).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_a_constant_signal_has_a_finite_embedding(path):
    assert torch.isfinite(xvector(weights=str(path))(torch.zeros(1, 4000))).all()


class Evil:
    def __reduce__(self):
        return math.prod, ([],)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("embedding.bias"), r"embedding.bias of \(4,\) is missing; it must have tdnn"),
        (lambda t: t.update({"output.weight": torch.zeros(2)}), "output.weight is not known"),
        (lambda t: t.update({"tdnn.2.norm.bias": torch.zeros(3)}), r"tdnn.2.norm.bias is of \(3,\), not \(6,\)"),
        (
            lambda t: t.update({"tdnn.1.convolution.weight": torch.zeros(7, 9, 3)}),
            r"is of \(7, 9, 3\), not \(7, 8, 3\)",
        ),
        (lambda t: t.update({"tdnn.1.convolution.weight": torch.zeros(7)}), r"is of \(7,\), not \(512, 8, 3\)"),
        (lambda t: t.update({"tdnn.0.convolution.weight": torch.zeros(0, 30, 5)}), r"is of \(0, 30, 5\), not"),
        (lambda t: t.update({"embedding.weight": torch.zeros(4, 9)}), r"is of \(4, 9\), not \(4, 18\)"),
        (lambda t: t.update({"embedding.bias": torch.zeros(4, dtype=torch.int64)}), "no plain floating-point numbers"),
        (lambda t: t.update({"embedding.bias": 3}), "embedding.bias is int, not a tensor"),
        (lambda t: t.clear(), r"is missing; .* and 29 more; it must have"),
        (
            lambda t: t.update({"embedding.bias": Evil()}),
            r"state dict that torch saved, or damaged \(UnpicklingError\)",
        ),
    ],
)
def test_what_is_no_network_is_refused(tensors, tmp_path, change, message):
    path = tmp_path / "wrong.pt"
    change(tensors)
    torch.save(dict(tensors), path)
    with pytest.raises(InputError, match=message) as caught:
        xvector(weights=str(path))
    assert len(caught.value.problems) == 1
    assert str(path) in caught.value.problems[0]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\x80\x02.", b"PK\x03\x04", b"\x08\0\0\0\0\0\0\0{        "])
def test_what_is_no_such_file_is_refused(tmp_path, content):
    path = tmp_path / "wrong"
    path.write_bytes(content)
    with pytest.raises(InputError, match="neither safetensors nor"):
        xvector(weights=str(path))


def test_a_list_is_refused(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(InputError, match="holds list, not a mapping"):
        xvector(weights=str(tmp_path / "list.pt"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "xvector needs 'weights'"),
        ({"weights": "nowhere.safetensors"}, "nowhere.safetensors: cannot be read: No such file"),
        ({"weights": "."}, "cannot be read: Is a directory"),
        ({"weights": "x", "n_mfcc": 31}, "n_mfcc is 31; it must be from 1 to n_mels, 30"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        table.build("front_end", FRONT_ENDS, table.Block("xvector", options))


def test_mfccs_that_the_network_does_not_take_are_refused(path):
    with pytest.raises(
        InputError, match=r"of 24 MFCCs: tdnn.0.convolution.weight is of \(8, 30, 5\), not \(8, 24, 5\)"
    ):
        xvector(weights=str(path), n_mfcc=24)
