"""Whisper models with random weights: in the format of transformers, in several forms, and in that of CTranslate2."""

import struct
from pathlib import Path

import numpy as np
import torch
import transformers

from tests.core.features.pretrained.models import random_tensors

POSITIONS = 50
"""Frames of the small models: one second."""


def whole() -> transformers.WhisperModel:
    """A whole model, whose decoder is not used."""
    sizes = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24}
    decoder = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8, "vocab_size": 20}
    tokens = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)
    config = transformers.WhisperConfig(**sizes, **decoder, **tokens, max_source_positions=POSITIONS, num_mel_bins=8)
    model = transformers.WhisperModel(config)
    encoder = model.get_encoder()
    encoder.load_state_dict(random_tensors({name: tuple(x.shape) for name, x in encoder.state_dict().items()}, seed=5))
    return model.eval()


def saved_whisper(folder: Path, form: str = "model") -> Path:
    """A folder with a model: `model`, `generation`, `encoder`, `pickle` or `shards`."""
    model = whole()
    if form == "generation":
        outer = transformers.WhisperForConditionalGeneration(model.config)
        outer.model = model
        outer.save_pretrained(folder)
    elif form == "encoder":
        model.get_encoder().save_pretrained(folder)
    elif form == "pickle":
        model.config.save_pretrained(folder)
        torch.save(model.half().state_dict(), folder / "pytorch_model.bin")
    else:
        model.save_pretrained(folder, max_shard_size="8KB" if form == "shards" else "1GB")
    extractor = transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=POSITIONS // 50)
    extractor.save_pretrained(folder)
    return folder


def saved_ctranslate2(folder: Path, *, kind: str = "float32") -> Path:
    """The same model in the format of CTranslate2, of the type `float32`, `float16` or `int8` with a scale per row."""
    tensors = whole().get_encoder().state_dict()
    arrays: dict[str, np.ndarray] = {"encoder/num_heads": np.int16(2)}
    for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"):
        arrays[f"encoder/{name.replace('.', '/')}"] = tensors[name].numpy()
    arrays["encoder/position_encodings/encodings"] = tensors["embed_positions.weight"].numpy()
    norms = {"encoder/layer_norm": "layer_norm"}
    linears = {}
    for index in range(2):
        theirs, own = f"encoder/layer_{index}", f"layers.{index}"
        norms[f"{theirs}/self_attention/layer_norm"] = f"{own}.self_attn_layer_norm"
        norms[f"{theirs}/ffn/layer_norm"] = f"{own}.final_layer_norm"
        linears[f"{theirs}/self_attention/linear_1"] = f"{own}.self_attn.out_proj"
        linears |= {f"{theirs}/ffn/linear_0": f"{own}.fc1", f"{theirs}/ffn/linear_1": f"{own}.fc2"}
        parts = [f"{own}.self_attn.{part}_proj" for part in "qkv"]
        weights = [tensors[f"{part}.weight"] for part in parts]
        biases = [tensors.get(f"{part}.bias", torch.zeros(16)) for part in parts]
        arrays[f"{theirs}/self_attention/linear_0/weight"] = torch.cat(weights).numpy()
        arrays[f"{theirs}/self_attention/linear_0/bias"] = torch.cat(biases).numpy()
    for theirs, own in norms.items():
        arrays |= {
            f"{theirs}/gamma": tensors[f"{own}.weight"].numpy(),
            f"{theirs}/beta": tensors[f"{own}.bias"].numpy(),
        }
    for theirs, own in linears.items():
        arrays |= {f"{theirs}/{part}": tensors[f"{own}.{part}"].numpy() for part in ("weight", "bias")}
    arrays["decoder/embeddings/weight"] = np.zeros((20, 16), np.float32)
    stored: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if kind == "int8" and "linear" in name and name.endswith("weight"):
            scale = 127 / np.abs(array).max(axis=1)
            stored |= {name: np.rint(array * scale[:, None]).astype(np.int8), f"{name}_scale": scale}
        else:
            stored[name] = array.astype(np.float16) if kind == "float16" and array.ndim else array
    (folder / "model.bin").write_bytes(_file(stored))
    return folder


def _file(arrays: dict[str, np.ndarray]) -> bytes:
    types = ("float32", "int8", "int16", "int32", "float16")

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    content = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(arrays))
    for name, array in arrays.items():
        content += text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        content += struct.pack("<BI", types.index(array.dtype.name), array.nbytes) + array.tobytes()
    return content + struct.pack("<I", 1) + text("decoder/projection/weight") + text("decoder/embeddings/weight")
