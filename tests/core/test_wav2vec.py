"""The wav2vec network against a plain NumPy one, and the reading of its checkpoints, malicious ones included."""

import argparse
import dataclasses
import json
import os
import struct
import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.errors import InputError
from core.features.wav2vec import load, parse_layers, random_wav2vec, save, wav2vec
from core.features.wav2vec_network import Wav2Vec, Wav2VecConfig, wav2vec_large, wav2vec_tiny

# Encoder with a residual, context with a projected one: every branch of the network.
BRANCHED = Wav2VecConfig(
    encoder=((8, 10, 5), (8, 4, 2), (12, 4, 2)),
    context=((12, 2, 1), (16, 3, 1), (16, 4, 1)),
    activation="gelu",
    log_compression=False,
    skip_encoder=True,
    residual_scale=0.7,
    context_zero_padding=True,
    context_bias=False,
    affine_norm=False,
    prediction_steps=3,
)
CONFIGS = {"tiny": wav2vec_tiny(), "with head": wav2vec_tiny(prediction_steps=12), "branched": BRANCHED}


def noise(batch: int = 1, time: int = 4000) -> torch.Tensor:
    return 0.1 * torch.randn(batch, time, generator=torch.Generator().manual_seed(3))


def unlike_new(config: Wav2VecConfig, seed: int = 0) -> Wav2Vec:
    """A network whose norms and biases are random too, so that forgetting one of them would show."""
    model = random_wav2vec(config, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.mark.parametrize(("steps", "count"), [(0, 29_390_848), (12, 32_537_088)])
def test_large_has_the_published_number_of_parameters(steps, count):
    with torch.device("meta"):
        model = Wav2Vec(wav2vec_large(prediction_steps=steps))
    assert sum(parameter.numel() for parameter in model.encoder.parameters()) == 5_779_456
    assert sum(parameter.numel() for parameter in model.context.parameters()) == 23_611_392
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_large_gives_98_frames_of_512_for_a_second():
    front_end = wav2vec(random_init=True)
    assert sum(parameter.numel() for parameter in front_end.parameters()) == 29_390_848
    assert (front_end.n_features, front_end.hop_length, front_end.min_samples) == (512, 160, 465)
    features = front_end(noise(1, 16_000))
    assert features.shape == (1, 512, 98)
    assert torch.isfinite(features).all()
    assert features.std() > 0.01


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, stride: int) -> np.ndarray:
    kernel = weight.shape[2]
    starts = range(0, x.shape[1] - kernel + 1, stride)
    y = np.stack([np.tensordot(weight, x[:, s : s + kernel], axes=2) for s in starts], axis=1)
    return y if bias is None else y + bias[:, None]


def normed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * weight[:, None] + bias[:, None]


def test_network_against_numpy():
    model = unlike_new(wav2vec_tiny())
    tensors = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    waveform = noise(1, 2000)

    x = waveform.double().numpy()
    for i, (_, _, stride) in enumerate(model.config.encoder):
        x = convolved(x, tensors[f"encoder.{i}.convolution.weight"], None, stride)
        x = np.maximum(normed(x, tensors[f"encoder.{i}.norm.weight"], tensors[f"encoder.{i}.norm.bias"]), 0)
    encoded = np.log(np.abs(x) + 1)
    x = encoded
    for i, (_, kernel, _) in enumerate(model.config.context):
        past = np.hstack([np.repeat(x[:, :1], kernel - 1, axis=1), x])
        weight, bias = (tensors[f"context.{i}.convolution.{what}"] for what in ("weight", "bias"))
        y = normed(
            convolved(past, weight, bias, 1), tensors[f"context.{i}.norm.weight"], tensors[f"context.{i}.norm.bias"]
        )
        x = (np.maximum(y, 0) + x) * 0.5**0.5

    with torch.no_grad():
        np.testing.assert_allclose(model.encode(waveform)[0].numpy(), encoded, atol=1e-4)
        np.testing.assert_allclose(model(waveform)[0].numpy(), x, atol=1e-4)


def test_context_convolutions_are_causal():
    # Before the norm, whose statistics look ahead by nature.
    model = unlike_new(wav2vec_tiny()).double()
    encoded = torch.randn(1, 16, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    convolution = model.context[0].convolution
    output = convolution(torch.nn.functional.pad(encoded, (1, 0), mode="replicate"))
    (gradient,) = torch.autograd.grad(output[..., 20].sum(), encoded)
    assert set(gradient.abs().sum(dim=(0, 1)).nonzero().flatten().tolist()) == {19, 20}


def test_zeros_at_the_end_change_every_frame():
    front_end = wav2vec(random_init=True, size="tiny")
    padded = torch.nn.functional.pad(noise(), (0, 4000))
    features = front_end(noise())
    assert ((front_end(padded)[..., : features.shape[2]] - features).abs().amax(dim=1) > 1e-3).all()


def test_random_weights_come_from_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = wav2vec(random_init=True, size="tiny", seed=5)(noise())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(wav2vec(random_init=True, size="tiny", seed=5)(noise()), first)
    assert not torch.equal(wav2vec(random_init=True, size="tiny", seed=6)(noise()), first)


def test_head_predicts_encoder_features_of_each_step():
    model = unlike_new(BRANCHED)
    with torch.no_grad():
        context = model(noise())
        predicted = model.predictions(context)
        head = model.prediction_head
        # A transposed convolution with a kernel of (1, steps) is one matrix for each step.
        expected = torch.einsum("bct,cdk->bdtk", context, head.weight[:, :, 0]) + head.bias[None, :, None, None]
    assert predicted.shape == (1, 12, context.shape[2], 3)
    torch.testing.assert_close(predicted, expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_own_form_round_trip(tmp_path, name):
    model = unlike_new(CONFIGS[name])
    save(model, tmp_path / "w.safetensors")
    loaded = load(tmp_path / "w.safetensors")
    assert loaded.config == model.config
    assert not loaded.training
    assert torch.equal(loaded(noise()), model.eval()(noise()))
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def fairseq_names(model: Wav2Vec) -> dict[str, torch.Tensor]:
    """The network's tensors under fairseq's names."""
    norm_and_convolution = {"encoder": {"convolution": "0", "norm": "2"}, "context": {"convolution": "1", "norm": "3"}}
    parts = {"encoder": "feature_extractor", "context": "feature_aggregator"}
    renamed = {}
    for name, tensor in model.state_dict().items():
        part, *rest = name.split(".")
        if part == "prediction_head":
            renamed[f"wav2vec_predictions.project_to_steps.{rest[0]}"] = tensor
        elif rest[1] == "projection":
            renamed[f"feature_aggregator.residual_proj.{rest[0]}.weight"] = tensor
        else:
            position = norm_and_convolution[part][rest[1]]
            renamed[f"{parts[part]}.conv_layers.{rest[0]}.{position}.{rest[2]}"] = tensor
    return renamed


def fairseq_arguments(config: Wav2VecConfig, **changes: object) -> argparse.Namespace:
    named = {
        "arch": "wav2vec",
        "conv_feature_layers": str(list(config.encoder)),
        "conv_aggregator_layers": str(list(config.context)),
        "activation": config.activation,
        "log_compression": config.log_compression,
        "skip_connections_feat": config.skip_encoder,
        "skip_connections_agg": config.skip_context,
        "residual_scale": config.residual_scale,
        "agg_zero_pad": config.context_zero_padding,
        "no_conv_bias": not config.context_bias,
        "non_affine_group_norm": not config.affine_norm,
        "aggregator": "cnn",
        "lr": [1e-3],
        **changes,
    }
    return argparse.Namespace(**{name: value for name, value in named.items() if value is not None})


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", CONFIGS)
def test_fairseq_form_gives_identical_features(tmp_path, name, zipped):
    model = unlike_new(CONFIGS[name])
    content = {
        "args": fairseq_arguments(model.config),
        "model": fairseq_names(model),
        "optimizer_history": [{"criterion_name": "BinaryCrossEntropyCriterion", "num_updates": 3}],
        "extra_state": {"epoch": 1, "val_loss": np.float64(0.5)},
        "last_optimizer_state": None,
    }
    path = tmp_path / "wav2vec.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    loaded = load(path)
    assert loaded.config == model.config
    assert torch.equal(loaded(noise()), model.eval()(noise()))
    for layer, expected in (("encoder", model.encode(noise())), ("context", model(noise()))):
        front_end = wav2vec(checkpoint=str(path), layer=layer)
        assert torch.equal(front_end(noise()), expected)
        assert front_end.n_features == expected.shape[1]
        assert list(front_end.weights) == ["wav2vec.pt"]
        assert front_end.prediction_head is None


def test_first_years_of_fairseq(tmp_path, monkeypatch):
    # No `activation`, lists as sums, meters of the training in the file, half precision.
    meters = types.ModuleType("fairseq.meters")
    meters.AverageMeter = type("AverageMeter", (), {"__module__": "fairseq.meters"})
    monkeypatch.setitem(sys.modules, "fairseq", types.ModuleType("fairseq"))
    monkeypatch.setitem(sys.modules, "fairseq.meters", meters)
    meter = meters.AverageMeter()
    meter.sum, meter.count = 3.0, 2
    model = unlike_new(wav2vec_tiny(prediction_steps=12))
    arguments = fairseq_arguments(
        model.config,
        activation=None,
        conv_feature_layers="[(16, 10, 5), (16, 8, 4)] + [(16, 4, 2)] * 3",
        conv_aggregator_layers="[(16, 2, 1), (16, 3, 1)]",
    )
    tensors = {name: tensor.half() for name, tensor in fairseq_names(model).items()}
    path = tmp_path / "wav2vec.pt"
    torch.save(
        {"args": arguments, "model": tensors, "extra_state": {"train_meters": {"loss": meter}}},
        path,
        _use_new_zipfile_serialization=False,
    )
    monkeypatch.undo()
    loaded = load(path)
    assert loaded.config == model.config
    assert all(parameter.dtype == torch.float32 for parameter in loaded.parameters())
    torch.testing.assert_close(loaded(noise()), model(noise()), rtol=0.05, atol=0.05)


class Malicious:
    """Unpickled, it makes a folder."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["args", "model", "inside", "more"])
def test_malicious_pickle_is_refused_and_not_run(tmp_path, where, zipped):
    marker, path = tmp_path / "ran", tmp_path / "wav2vec.pt"
    model = random_wav2vec(wav2vec_tiny(), seed=0)
    content = {"args": fairseq_arguments(model.config), "model": fairseq_names(model)}
    if where == "inside":
        content["args"].conv_feature_layers = Malicious(marker)
    else:
        content[where] = Malicious(marker)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    known = set(torch.serialization.get_safe_globals())
    with pytest.raises(InputError, match=r"not a wav2vec checkpoint: it names \S*mkdir, which is not read"):
        load(path)
    assert not marker.exists()
    assert set(torch.serialization.get_safe_globals()) == known


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').mkdir('ran')",
        "[(512, 10, 5)] + __import__('os').mkdir('ran')",
        "[x for x in [1]]",
        "(lambda: [(1, 1, 1)])()",
        "[(1, 1, 1)] * 10 ** 9",
        "[(1, 1, 1)] * 1000000000",
        "[(1, 1, 1)] * 64 * 64",
        "[(1, 1, True)]",
        "[(1, 1, 1.5)]",
        "[(1, 1)]",
        "[1, 2, 3]",
        "3 * 4",
        "[(0, 1, 1)]",
        "[(99999, 1, 1)]",
        "[]",
        "[(1, 1, 1)",
        "",
        "(" * 1500,
        "[" * 90 + "]" * 90,
        "-" * 1990 + "1",
        "[(1, 1, 1)]" + " " * 3000,
    ],
)
def test_text_that_is_no_list_of_layers_is_refused_and_not_run(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    model = random_wav2vec(wav2vec_tiny(), seed=0)
    arguments = fairseq_arguments(model.config, conv_feature_layers=text)
    torch.save({"args": arguments, "model": fairseq_names(model)}, "wav2vec.pt")
    with pytest.raises(InputError, match=r"wav2vec\.pt: not a wav2vec checkpoint: "):
        wav2vec(checkpoint="wav2vec.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["wav2vec.pt"]


def test_layers_in_fairseqs_notation():
    text = " [(512, 10, 5)] + [(512, 8, 4)] + [(512,4,2)] * 3 + 2 * [(512, 1, 1)]"
    assert parse_layers(text) == wav2vec_large().encoder
    assert parse_layers("[[1, 2, 3], (4, 5, 6)]") == ((1, 2, 3), (4, 5, 6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("args"), "it has no 'args' and 'model' as fairseq writes them"),
        (lambda content: content.update(model=[1]), "it has no 'args' and 'model'"),
        (lambda content: content["args"].__dict__.pop("conv_feature_layers"), "it is not wav2vec version 1"),
        (lambda content: setattr(content["args"], "aggregator", "gru"), "aggregator is 'gru'; only 'cnn' is read"),
        (lambda content: setattr(content["args"], "vq_type", "gumbel"), "vq_type is 'gumbel'; only 'none' is read"),
        (lambda content: setattr(content["args"], "activation", "tanh"), "activation is 'tanh'; it must be one of"),
        (lambda content: setattr(content["args"], "residual_scale", -1.0), "residual_scale is -1.0"),
        (
            lambda content: setattr(content["args"], "conv_aggregator_layers", "[(16, 2, 2)]"),
            "context has a stride other than 1",
        ),
        (
            lambda content: content["model"].pop("feature_extractor.conv_layers.0.0.weight"),
            r"encoder\.0\.convolution\.weight of \(16, 1, 10\) is missing",
        ),
        (
            lambda content: content["model"].update({"feature_extractor.conv_layers.0.2.bias": torch.zeros(3)}),
            r"encoder\.0\.norm\.bias is of \(3,\), not \(16,\)",
        ),
        (lambda content: content["model"].update(quantizer=torch.zeros(3)), "quantizer is not known"),
        (lambda content: content["model"].clear(), "and 20 more"),
        (
            lambda content: content["model"].update({"feature_extractor.conv_layers.0.2.bias": "text"}),
            r"encoder\.0\.norm\.bias of \(16,\) is missing",
        ),
    ],
)
def test_wrong_content_is_one_clear_error(tmp_path, change, message):
    model = random_wav2vec(wav2vec_tiny(), seed=0)
    content = {"args": fairseq_arguments(model.config), "model": fairseq_names(model)}
    change(content)
    path = tmp_path / "wav2vec.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(f"{path}: ")


def safetensors_of(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"\x80\x02", b"RIFF....WAVE", safetensors_of(b"{"), safetensors_of(b"{}"), b"{" * 50],
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a wav2vec checkpoint"):
        load(path)


def test_truncated_and_damaged_checkpoints_are_refused(tmp_path):
    model = random_wav2vec(wav2vec_tiny(), seed=0)
    path = tmp_path / "wav2vec.pt"
    for zipped in (True, False):
        torch.save(
            {"args": fairseq_arguments(model.config), "model": fairseq_names(model)},
            path,
            _use_new_zipfile_serialization=zipped,
        )
        whole = path.read_bytes()
        for kept in (10, 100, 500, len(whole) // 2, len(whole) - 30):
            path.write_bytes(whole[:kept])
            with pytest.raises(InputError, match="not a wav2vec checkpoint"):
                load(path)


def test_own_form_with_a_wrong_configuration_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    plain = dataclasses.asdict(wav2vec_tiny())
    tensors = random_wav2vec(wav2vec_tiny(), seed=0).state_dict()
    for config, message in (
        ({**plain, "depth": 3}, "unexpected keyword argument 'depth'"),
        ({**plain, "context": 3}, "context is 3; it must be"),
        ({**plain, "encoder": [[16, 10]]}, "encoder must be of"),
        ({**plain, "log_compression": "no"}, "log_compression is 'no'; it must be bool"),
        ([], "its metadata have no configuration"),
    ):
        save_file(tensors, path, metadata={"spooftune-wav2vec-1": json.dumps(config)})
        with pytest.raises(InputError, match=message):
            load(path)
    save_file(tensors, path)
    with pytest.raises(InputError, match="its metadata name nothing; this version reads spooftune-wav2vec-1"):
        load(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.pt: a wav2vec checkpoint cannot be read here: No such file"):
        wav2vec(checkpoint=str(tmp_path / "nowhere.pt"))
    with pytest.raises(InputError, match="Is a directory"):
        wav2vec(checkpoint=str(tmp_path))


def test_weights_must_come_from_somewhere():
    with pytest.raises(InputError, match="needs `checkpoint: FILE` or `random_init: true`; neither was given"):
        wav2vec()
    with pytest.raises(InputError, match="both were given"):
        wav2vec(checkpoint="w.pt", random_init=True)
    with pytest.raises(InputError, match="seed is -1; it must be from 0"):
        wav2vec(random_init=True, seed=-1)
