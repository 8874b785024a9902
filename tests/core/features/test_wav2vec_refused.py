"""Wav2vec checkpoints that are refused: malicious, damaged, or of another network."""

import dataclasses
import json
import os
import struct

import pytest
import torch
from safetensors.torch import save_file

from core.errors import InputError
from core.features.wav2vec import load, random_wav2vec, wav2vec
from core.features.wav2vec_network import wav2vec_tiny
from tests.core.features.wav2vec_models import fairseq_arguments, fairseq_names


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
