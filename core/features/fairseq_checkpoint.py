"""Checkpoints of wav2vec (version 1) that fairseq wrote: a pickle of arguments and tensors.

An untrusted pickle can run any code. The unpickler here therefore accepts only tensors and a few class names, and
replaces every such class by one that only stores attributes.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.features.wav2vec_network import Layers, Wav2VecConfig
from core.features.weights import DAMAGE

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


def read_fairseq(path: Path) -> tuple[Wav2VecConfig, Mapping[str, Tensor]]:
    """Configuration and tensors, under our names, of a checkpoint that fairseq wrote.

    Args:
        path: The checkpoint.

    Raises:
        ValueError: The file is damaged, names code to run, or describes another network than wav2vec version 1.
    """
    try:
        with torch.serialization.safe_globals([(_Inert, name) for name in _KNOWN]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (*DAMAGE, OSError) as error:
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
