"""Whisper models in the format of CTranslate2 (`model.bin`), which faster-whisper and others distribute.

The file holds named arrays: for each its name, shape, type, number of bytes, and the bytes, little-endian. No code is
run. The names of arrays become those of the library transformers.
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from core.errors import InputError

MODEL = "model.bin"
VERSIONS = (4, 5, 6)
"""Versions of the file that have this layout."""

SPECIFICATION = "WhisperSpec"
TYPES = (torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16)
"""Types of arrays, in the order of their numbers in the file."""

NORMS = {"gamma": "weight", "beta": "bias"}
LAYER = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_1": "self_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
"""Parts of a transformer layer and their names in the library transformers; queries, keys and values are one array."""


def read_whisper(path: Path, where: str) -> tuple[dict[str, Any], dict[str, object]]:
    """Sizes of the encoder, under the keys of `config.json`, and its tensors under the names of transformers.

    Args:
        path: `model.bin`.
        where: Begin of an error message.

    Raises:
        InputError: The file cannot be read, is damaged, or does not hold a Whisper model.
    """
    try:
        with path.open("rb") as file:
            arrays = _arrays(file)
        return _sizes(arrays), _tensors(arrays)
    except OSError as error:
        raise InputError(f"{where}: {path}: cannot be read: {error.strerror or error}") from error
    except KeyError as error:
        raise InputError(f"{where}: {path}: no Whisper model of CTranslate2: {error} is missing") from error
    except (ValueError, RuntimeError, struct.error) as error:
        raise InputError(f"{where}: {path}: no Whisper model of CTranslate2, or damaged: {error}") from error


def _arrays(file: BinaryIO) -> dict[str, Tensor]:
    """The encoder's arrays of a file, those with a scale multiplied out."""
    (version,) = _read(file, "I")
    if version not in VERSIONS:
        raise ValueError(f"it starts with {version}; versions {', '.join(map(str, VERSIONS))} are read")
    specification = _text(file)
    if specification != SPECIFICATION:
        raise ValueError(f"it holds {specification}, not {SPECIFICATION}")
    _, n_arrays = _read(file, "II")
    arrays = {}
    for _ in range(n_arrays):
        name = _text(file)
        (n_dimensions,) = _read(file, "B")
        shape = _read(file, f"{n_dimensions}I")
        kind, n_bytes = _read(file, "BI")
        if not name.startswith("encoder/"):
            file.seek(n_bytes, 1)
            continue
        content = bytearray(file.read(n_bytes))
        if len(content) < n_bytes or kind >= len(TYPES):
            raise ValueError(f"{name} is cut off, or of the unknown type {kind}")
        arrays[name.removeprefix("encoder/")] = torch.frombuffer(content, dtype=TYPES[kind]).reshape(shape)
    return {name: _unscaled(name, arrays) for name in arrays if not name.endswith("_scale")}


def _unscaled(name: str, arrays: dict[str, Tensor]) -> Tensor:
    """An array in its own type, or in float32 if it was stored as integers with a scale for each row."""
    array, scale = arrays[name], arrays.get(f"{name}_scale")
    if scale is None:
        return array
    rows = scale.float().reshape(-1, *(1,) * (array.ndim - 1))
    return array.float() / rows


def _sizes(arrays: dict[str, Tensor]) -> dict[str, Any]:
    weight = arrays["conv1/weight"]
    return {
        "d_model": weight.shape[0],
        "encoder_layers": sum(name.endswith("/ffn/linear_0/weight") for name in arrays),
        "encoder_attention_heads": int(arrays["num_heads"]),
        "encoder_ffn_dim": arrays["layer_0/ffn/linear_0/weight"].shape[0],
        "num_mel_bins": weight.shape[1],
        "max_source_positions": arrays["position_encodings/encodings"].shape[0],
    }


def _tensors(arrays: dict[str, Tensor]) -> dict[str, object]:
    tensors: dict[str, object] = {"embed_positions.weight": arrays["position_encodings/encodings"]}
    for name, array in arrays.items():
        head, _, part = name.rpartition("/")
        part = NORMS.get(part, part)
        layer, _, place = head.partition("/")
        begin = f"layers.{layer.removeprefix('layer_')}."
        if head in ("conv1", "conv2", "layer_norm"):
            tensors[f"{head}.{part}"] = array
        elif place in LAYER:
            tensors[f"{begin}{LAYER[place]}.{part}"] = array
        elif place == "self_attention/linear_0":
            for own, values in zip(("q_proj", "k_proj", "v_proj"), array.chunk(3), strict=True):
                if (own, part) != ("k_proj", "bias"):  # Whisper's keys have no bias; it is zero here
                    tensors[f"{begin}self_attn.{own}.{part}"] = values
    return tensors


def _read(file: BinaryIO, form: str) -> tuple[int, ...]:
    form = f"<{form}"  # little-endian, without gaps
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _text(file: BinaryIO) -> str:
    (length,) = _read(file, "H")
    return file.read(length)[:-1].decode("utf-8")
