"""wav2vec (version 1) as a front end, and its checkpoint files.

Two file formats are read: fairseq's pickle files (`fairseq_checkpoint`), and the safetensors files that `save` writes,
whose metadata hold the network's configuration.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from core.atomic import replacing
from core.errors import InputError
from core.features.fairseq_checkpoint import read_fairseq
from core.features.wav2vec_network import Wav2Vec, Wav2VecConfig, wav2vec_large, wav2vec_small, wav2vec_tiny
from core.features.weights import digests, is_safetensors

FORMAT = "spooftune-wav2vec-1"

SIZES = {"large": wav2vec_large, "small": wav2vec_small, "tiny": wav2vec_tiny}
"""Configurations of the network by name; they are functions of `prediction_steps`."""


def wav2vec(
    *,
    checkpoint: str | None = None,
    layer: Literal["context", "encoder"] = "context",
    random_init: bool = False,
    seed: int = 0,
    size: Literal["large", "small", "tiny"] = "large",
) -> Wav2Vec:
    """Features of wav2vec; the "large" network gives 512 features every 10 ms.

    Args:
        checkpoint: File with the weights: fairseq's (`wav2vec_large.pt`), or one that `save` wrote.
        layer: Output of the context network (`context`), or of the encoder below it (`encoder`).
        random_init: Whether the weights are random instead of read from a checkpoint: a baseline without pretraining.
        seed: Seed of the random weights, from 0 to 2^63 - 1.
        size: Configuration of the network with random weights. A checkpoint brings its own configuration.

    Raises:
        InputError: Neither or both of `checkpoint` and `random_init` are given, the seed is out of range, or the
            checkpoint cannot be read.
    """
    if not 0 <= seed < 2**63:
        raise InputError(f"front_end: wav2vec: seed is {seed}; it must be from 0 to {2**63 - 1}")
    if (checkpoint is None) != random_init:
        given = "neither was given" if checkpoint is None else "both were given"
        raise InputError(f"front_end: wav2vec needs `checkpoint: FILE` or `random_init: true`; {given}")
    if checkpoint is None:
        model = random_wav2vec(SIZES[size](), seed=seed)
        weights: dict[str, str] = {}
    else:
        model = load(Path(checkpoint).expanduser())
        weights = digests([Path(checkpoint).expanduser()])
    tensors = {name: value for name, value in model.state_dict().items() if not name.startswith("prediction_head.")}
    front_end = _with_tensors(dataclasses.replace(model.config, prediction_steps=0), tensors, layer=layer)
    front_end.weights = weights
    return front_end.requires_grad_(False).eval()


def random_wav2vec(config: Wav2VecConfig, *, seed: int) -> Wav2Vec:
    """Untrained network, whose weights depend only on `config` and `seed`. No global generator is used.

    Args:
        config: Configuration of the network.
        seed: Seed of the weights, from 0 to 2^63 - 1.
    """
    with torch.device("meta"):
        model = Wav2Vec(config)
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if tensor.ndim == 1:  # biases 0, norms 1
            tensors[name] = torch.ones(tensor.shape) if name.endswith("norm.weight") else torch.zeros(tensor.shape)
        else:
            tensors[name] = nn.init.kaiming_normal_(torch.empty(tensor.shape), nonlinearity="relu", generator=generator)
    return _with_tensors(config, tensors)


def save(model: Wav2Vec, path: Path) -> None:
    """Writes a network as a safetensors file, with its configuration as JSON in the metadata.

    An existing file is replaced when the new one is complete.

    Args:
        model: The network.
        path: File to write; its folder must exist.

    Raises:
        OSError: The file cannot be written.
    """
    # Equal networks must give equal files. The library writes several metadata keys in a varying order, so one is used.
    metadata = {FORMAT: json.dumps(dataclasses.asdict(model.config))}
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    with replacing(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=metadata)


def load(path: Path) -> Wav2Vec:
    """Network of a checkpoint, in evaluation mode, with weights in float32.

    The content of the file shows whether fairseq or `save` wrote it. The network has a prediction head if the file has
    one.

    Args:
        path: The checkpoint.

    Raises:
        InputError: The file is missing, has neither format, names code to run, or has tensors that do not fit its
            configuration.
    """
    try:
        config, tensors = _read_safetensors(path) if is_safetensors(path) else read_fairseq(path)
        return _with_tensors(config, tensors).eval()
    except OSError as error:
        raise InputError(f"{path}: a wav2vec checkpoint cannot be read here: {error.strerror or error}") from error
    except (ValueError, TypeError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not a wav2vec checkpoint: {error}") from error


def _read_safetensors(path: Path) -> tuple[Wav2VecConfig, Mapping[str, Tensor]]:
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if FORMAT not in metadata:
        raise ValueError(f"its metadata name {', '.join(sorted(metadata)) or 'nothing'}; this version reads {FORMAT}")
    plain = json.loads(metadata[FORMAT])
    if not isinstance(plain, dict):
        raise ValueError("its metadata have no configuration")
    return Wav2VecConfig(**{name: _tuples(value) for name, value in plain.items()}), safetensors.torch.load_file(path)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _with_tensors(
    config: Wav2VecConfig, tensors: Mapping[str, Tensor], *, layer: Literal["context", "encoder"] = "context"
) -> Wav2Vec:
    """Network that holds the given tensors, in float32.

    Raises:
        ValueError: The names or shapes of the tensors do not fit the configuration.
    """
    with torch.device("meta"):  # allocates nothing: a damaged file may state sizes that its tensors do not have
        model = Wav2Vec(config, layer=layer)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items() if _is_plain(tensor)}
    wrong = [f"{name} of {expected[name]} is missing" for name in expected if name not in given]
    wrong += [f"{name} is not known" for name in tensors if name not in expected]
    wrong += [
        f"{name} is of {given[name]}, not {expected[name]}"
        for name in expected
        if name in given and given[name] != expected[name]
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(f"its tensors do not fit its configuration: {'; '.join(wrong[:3])}{more}")
    model.load_state_dict({name: tensors[name].detach().float().contiguous() for name in expected}, assign=True)
    return model


def _is_plain(tensor: object) -> bool:
    return isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.layout == torch.strided
