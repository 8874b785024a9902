"""DistillMOS against a plain calculation from the tensors of its file, and against the package if it is installed."""

import dataclasses
import importlib.util

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, layer_norm, leaky_relu

from core.catalogue import packages
from core.errors import InputError
from core.features.pretrained.distillmos import distillmos
from core.features.weights import placed
from core.table import Block
from tests.core.features.pretrained.models import saved_distillmos

BODY = "transformer_pool_attn."


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return saved_distillmos(tmp_path_factory.mktemp("distillmos"))


def noise(batch: int, time: int) -> torch.Tensor:
    return 0.1 * torch.randn(batch, time, generator=torch.Generator().manual_seed(4))


def spectrum(waveform: np.ndarray) -> np.ndarray:
    """Compressed spectrum `(2, n_bins, n_hops)`, one window after the other in float64."""
    padded = np.pad(waveform, 80, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(320) / 320)
    columns = [np.fft.rfft(padded[begin : begin + 320] * window) for begin in range(0, len(padded) - 319, 160)]
    values = np.array(columns).T
    values = np.abs(values) ** 0.3 * np.exp(1j * np.angle(values))
    return np.stack([values.real, values.imag])


def batch_norm(x: torch.Tensor, tensors: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    weight, bias, mean, variance = (
        tensors[f"{BODY}{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def encoder_layer(x: torch.Tensor, tensors: dict[str, torch.Tensor], index: int) -> torch.Tensor:
    """One transformer layer on `(n_frames, n_features)`, one head after the other; the norms follow their parts."""
    begin = f"{BODY}transformer.transformer_encoder.layers.{index}."

    def linear(x: torch.Tensor, weight: str, bias: str) -> torch.Tensor:
        return x @ tensors[begin + weight].T + tensors[begin + bias]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return layer_norm(x, x.shape[-1:], tensors[f"{begin}{name}.weight"], tensors[f"{begin}{name}.bias"])

    queries, keys, values = linear(x, "self_attn.in_proj_weight", "self_attn.in_proj_bias").chunk(3, dim=1)
    size = x.shape[1] // 8
    heads = [
        torch.softmax(q @ k.T / size**0.5, dim=1) @ v
        for q, k, v in zip(queries.split(size, 1), keys.split(size, 1), values.split(size, 1), strict=True)
    ]
    x = norm(x + linear(torch.cat(heads, dim=1), "self_attn.out_proj.weight", "self_attn.out_proj.bias"), "norm1")
    hidden = linear(x, "linear1.weight", "linear1.bias").relu()
    return norm(x + linear(hidden, "linear2.weight", "linear2.bias"), "norm2")


def plain_states(path, waveform: torch.Tensor) -> list[torch.Tensor]:
    """Hidden states `(n_frames, n_features)` of one waveform as it is."""
    tensors = {
        name: tensor.double()
        for name, tensor in torch.load(path, weights_only=True)["model"].items()
        if tensor.is_floating_point()
    }
    x = torch.from_numpy(spectrum((waveform / waveform.abs().max()).double().numpy()))[None]
    for index in range(6):
        weight, bias = tensors[f"cnn.cnn.{2 * index}.weight"], tensors[f"cnn.cnn.{2 * index}.bias"]
        strides = (2 if index else 1, 2 if index == 5 else 1)
        x = leaky_relu(conv2d(x, weight, bias, stride=strides, padding=(0, 1)), 0.1)
    x = batch_norm(batch_norm(x[0].flatten(0, 1).T, tensors, "norm_input"), tensors, "transformer.norm")
    x = x @ tensors[f"{BODY}transformer.linear_proj.weight"].T + tensors[f"{BODY}transformer.linear_proj.bias"]
    states = [x + tensors[f"{BODY}transformer.position_encoding.pe"][0, : len(x)]]
    for index in range(3):
        states.append(encoder_layer(states[-1], tensors, index))
    return states


@pytest.mark.parametrize("time", [40 * 320, 7000, 27 * 320])  # 40 frames, 21 and a bit, and close to the end
def test_every_layer_is_that_of_a_plain_calculation(path, time):
    waveform = noise(1, time)
    states = plain_states(path, torch.nn.functional.pad(waveform[0], (0, 40 * 320 - time)))
    features = distillmos(weights=str(path), layers="all")(waveform)
    assert features.shape == (1, 4 * 16, time // 320)
    expected = torch.cat(states, dim=1)[: time // 320].T[None]
    assert all(state.std() > 0.1 for state in states)
    torch.testing.assert_close(features.double(), expected, rtol=1e-4, atol=1e-5)


def test_without_padding_silence_is_not_heard(path):
    waveform = noise(1, 7000)
    features = distillmos(weights=str(path), layers=[3, 1], pad=False)(waveform)
    states = plain_states(path, waveform[0, : 21 * 320])
    expected = torch.cat([states[3], states[1]], dim=1).T[None]
    torch.testing.assert_close(features.double(), expected, rtol=1e-4, atol=1e-5)


def test_longer_audio_is_cut_into_segments(path):
    waveform = noise(2, 95 * 320 + 7)
    front_end = distillmos(weights=str(path), layers=[0, 3])
    features = front_end(waveform)
    assert features.shape == (2, 32, 95)
    torch.testing.assert_close(features[:, :, :40], front_end(waveform[:, : 40 * 320]))
    last = front_end(waveform[:, 55 * 320 : 95 * 320])
    torch.testing.assert_close(features[:, :, 80:], last[:, :, 25:])


def test_layers_above_the_highest_are_not_computed(path):
    front_end = distillmos(weights=str(path), layer=1)
    assert (front_end.layers, len(front_end.network.layers)) == ((1,), 1)
    assert len(distillmos(weights=str(path), layer=0).network.layers) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cnn.cnn.2.weight": None}, r"not DistillMOS: convolutions\.1\.weight of \(64, 4, 3, 3\) is missing"),
        ({"more.weight": torch.ones(2)}, r"not DistillMOS: more\.weight is not known"),
        ({f"{BODY}transformer.linear_proj.bias": torch.ones(3)}, r"projection\.bias is of \(3,\), not \(16,\)"),
        ({f"{BODY}transformer.linear_proj.bias": "text"}, r"projection\.bias is str, not a tensor"),
    ],
)
def test_other_files_are_refused(path, tmp_path, change, message):
    tensors = {**torch.load(path, weights_only=True)["model"], **change}
    torch.save({"model": {name: tensor for name, tensor in tensors.items() if tensor is not None}}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=message):
        distillmos(weights=str(tmp_path / "x.pt"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 4}, "no layer 4; there are 0 to 3"),
        ({"layer": 1, "layers": [1]}, "`layer` or `layers` can be given, not both"),
        ({"weights": "no/such.pt"}, r"no/such\.pt: cannot be read"),
    ],
)
def test_wrong_options_are_refused(path, options, message):
    with pytest.raises(InputError, match=message):
        distillmos(**{"weights": str(path), **options})


def test_weights_come_from_the_package_without_importing_it(path, tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "DISTILLMOS", dataclasses.replace(packages.DISTILLMOS, name="no_such_package"))
    with pytest.raises(InputError, match=r"run pip install --no-deps .*, or give `weights` a file"):
        distillmos()
    package = tmp_path / "some_package"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / packages.DISTILLMOS.file).write_bytes(path.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(packages, "DISTILLMOS", dataclasses.replace(packages.DISTILLMOS, name="some_package"))
    assert list(distillmos().weights) == ["distill_mos_v7.pt"]
    assert list(distillmos().weights.values()) == list(distillmos(weights=str(path)).weights.values())


def test_a_bundles_weights_can_be_placed_elsewhere(path):
    assert placed(Block("distillmos", {"layer": 1}), path).options == {"layer": 1, "weights": str(path)}
    with pytest.raises(InputError, match="lfcc needs no pretrained weights"):
        placed(Block("lfcc"), path)


@pytest.mark.skipif(importlib.util.find_spec("distillmos") is None, reason="the package distillmos is not installed")
def test_every_layer_is_the_packages():
    from distillmos import ConvTransformerSQAModel

    model = ConvTransformerSQAModel().eval()
    encoder = model.transformer_pool_attn.transformer.transformer_encoder
    states: list[torch.Tensor] = []
    encoder.layers[0].register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    for layer in encoder.layers:
        layer.register_forward_hook(lambda _, inputs, output: states.append(output))
    waveform = noise(1, 50000)
    with torch.no_grad():
        model(waveform)
    expected = torch.cat(states, dim=2)[:, : 50000 // 320].transpose(1, 2)
    torch.testing.assert_close(distillmos(layers="all")(waveform), expected, rtol=1e-4, atol=2e-5)
