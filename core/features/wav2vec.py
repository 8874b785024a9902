"""wav2vec (version 1) as a front end, and its checkpoint files.

Two file formats are read: fairseq's pickle files, and the safetensors files that `save` writes, whose metadata hold the
network's configuration. An untrusted pickle can run any code. The unpickler here therefore accepts only tensors and a
few class names, and replaces every such class by one that only stores attributes.
"""

import ast
import dataclasses
import json
import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from core.atomic import replacing
from core.errors import InputError
from core.features.wav2vec_network import Layers, Wav2Vec, Wav2VecConfig, wav2vec_large, wav2vec_small, wav2vec_tiny
from core.features.weights import digests

FORMAT = "spooftune-wav2vec-1"

SIZES = {"large": wav2vec_large, "small": wav2vec_small, "tiny": wav2vec_tiny}
"""Configurations of the network by name; they are functions of `prediction_steps`."""

_LONGEST_TEXT = 2000  # maximum number of characters of a fairseq layer list
_MOST_ITEMS = 64  # maximum number of items of any list in it

# Pattern of fairseq's tensor names -> our name. Other tensors of fairseq's prediction head are not read.
_NAMES = (
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"encoder.\1.convolution."),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.", r"encoder.\1.norm."),
    (r"feature_aggregator\.conv_layers\.(\d+)\.1\.", r"context.\1.convolution."),
    (r"feature_aggregator\.conv_layers\.(\d+)\.3\.", r"context.\1.norm."),
    (r"feature_aggregator\.residual_proj\.(\d+)\.", r"context.\1.projection."),
    (r"wav2vec_predictions\.project_to_steps\.", r"prediction_head."),
)


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
        weights = {}
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
        config, tensors = _read_safetensors(path) if _is_safetensors(path) else _read_fairseq(path)
        return _with_tensors(config, tensors).eval()
    except OSError as error:
        raise InputError(f"{path}: a wav2vec checkpoint cannot be read here: {error.strerror or error}") from error
    except (ValueError, TypeError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not a wav2vec checkpoint: {error}") from error


def parse_layers(text: str) -> Layers:
    """Layers `(channels, kernel, stride)` from fairseq's notation, such as `[(512, 10, 5)] + [(512, 4, 2)] * 3`.

    The text is parsed but not executed. It may hold lists, tuples and integers, joined by `+` and repeated by `*`.

    Args:
        text: Layers in fairseq's notation, at most 2000 characters.

    Raises:
        ValueError: The text holds anything else, or a list of more than 64 items.
    """
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"layers are given by {len(text)} characters; at most {_LONGEST_TEXT} are read")
    try:
        layers = _evaluated(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"layers are given by {text!r}, which is not a list") from error
    if not isinstance(layers, tuple) or not all(isinstance(layer, tuple) for layer in layers):
        raise ValueError(f"layers are given by {text!r}; it must be a list of (channels, kernel, stride)")
    return layers


def _evaluated(node: ast.expr) -> Any:
    """Value of a syntax node: an integer, or a tuple for a list or tuple."""
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items) if len(items) <= _MOST_ITEMS:
            return tuple(_evaluated(item) for item in items)
        case ast.BinOp(op=ast.Add()):
            left, right = _evaluated(node.left), _evaluated(node.right)
            if isinstance(left, tuple) and isinstance(right, tuple) and len(left) + len(right) <= _MOST_ITEMS:
                return left + right
        case ast.BinOp(op=ast.Mult()):
            left, right = _evaluated(node.left), _evaluated(node.right)
            items, times = (right, left) if isinstance(left, int) else (left, right)
            if isinstance(items, tuple) and isinstance(times, int) and len(items) * times <= _MOST_ITEMS:
                return items * times
    raise ValueError(
        f"layers hold {ast.unparse(node)!r}; only lists of at most {_MOST_ITEMS} integers or tuples, + and * are read"
    )


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(9)  # safetensors: 8 bytes of length, then JSON; fairseq's files start as a zip file or pickle
    return start[8:] == b"{" and not start.startswith((b"PK", b"\x80"))


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


class _Inert:
    """Replacement for the classes in fairseq's pickle: it stores its state as attributes and does nothing else."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


# `args` is a Namespace. Early checkpoints of fairseq also hold the meters of their training.
_KNOWN = (
    "argparse.Namespace",
    *(
        f"{module}.{name}"
        for module in ("fairseq.meters", "fairseq.logging.meters")
        for name in ("AverageMeter", "TimeMeter", "StopwatchMeter", "MetersDict")
    ),
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)


# Errors of torch's unpickler on damaged files, besides ValueError and TypeError.
_DAMAGE = (
    pickle.UnpicklingError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
)


def _read_fairseq(path: Path) -> tuple[Wav2VecConfig, Mapping[str, Tensor]]:
    try:
        with torch.serialization.safe_globals([(_Inert, name) for name in _KNOWN]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        refused = re.search(r"(?:GLOBAL|Unsupported (?:class|global:)) (\S+)", str(error))
        why = (
            f"it names {refused[1]}, which is not read" if refused else "its pickle is damaged or holds more than data"
        )
        raise ValueError(why) from error
    arguments = content.get("args") if isinstance(content, dict) else None
    tensors = content.get("model") if isinstance(content, dict) else None
    if not isinstance(arguments, _Inert) or not isinstance(tensors, dict):
        raise ValueError("it has no 'args' and 'model' as fairseq writes them")
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        ours = str(name)
        for pattern, replacement in _NAMES:
            ours = re.sub(f"^{pattern}", replacement, ours)
        if not ours.startswith("wav2vec_predictions."):
            renamed[ours] = tensor
    return _fairseq_config(vars(arguments), renamed), renamed


def _fairseq_config(arguments: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Wav2VecConfig:
    """Configuration that fairseq's arguments describe; a missing switch is off.

    Raises:
        ValueError: The arguments describe another network than wav2vec version 1.
    """
    for name, only in (("aggregator", "cnn"), ("vq_type", "none")):
        if arguments.get(name, only) != only:
            raise ValueError(f"{name} is {arguments[name]!r}; only {only!r} is read")
    texts = {name: arguments.get(name) for name in ("conv_feature_layers", "conv_aggregator_layers")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"its arguments lack {' or '.join(texts)} as text: it is not wav2vec version 1")
    head = tensors.get("prediction_head.weight")
    return Wav2VecConfig(
        encoder=parse_layers(str(texts["conv_feature_layers"])),
        context=parse_layers(str(texts["conv_aggregator_layers"])),
        activation=arguments.get("activation", "relu"),
        log_compression=arguments.get("log_compression", False),
        skip_encoder=arguments.get("skip_connections_feat", False),
        skip_context=arguments.get("skip_connections_agg", False),
        residual_scale=arguments.get("residual_scale", 0.5),
        context_zero_padding=arguments.get("agg_zero_pad", False),
        context_bias=not arguments.get("no_conv_bias", False),
        affine_norm=not arguments.get("non_affine_group_norm", False),
        prediction_steps=head.shape[-1] if isinstance(head, Tensor) and head.ndim else 0,
    )


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
