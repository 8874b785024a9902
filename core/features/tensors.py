"""Files of weights as tensors by name: read without running code, and checked before a network holds them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import safetensors
import torch
from torch import Tensor, nn

from core.errors import InputError
from core.features.weights import DAMAGE, is_safetensors

Network = TypeVar("Network", bound=nn.Module)


def read_tensors(
    path: Path, where: str, *, key: str | None = None, only: Callable[[str], bool] = lambda name: True
) -> dict[str, object]:
    """Tensors of a file by name: safetensors, or a state dict that torch saved.

    No code in the file is run: a pickle may hold only tensors and plain data. The values are not checked; see
    `misfits`.

    Args:
        path: The file.
        where: Begin of an error message.
        key: Name of the state dict within a checkpoint of torch; None, or a file without it: the whole file.
        only: Function of a name that says whether its tensor is needed. Others of safetensors are not read.

    Raises:
        InputError: The file is missing, has another format, or holds no mapping.
    """
    try:
        if is_safetensors(path):
            with safetensors.safe_open(path, framework="pt") as file:
                content: object = {name: file.get_tensor(name) for name in file.keys() if only(name)}  # noqa: SIM118
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {error.strerror or error}") from error
    except (safetensors.SafetensorError, *DAMAGE) as error:
        raise InputError(
            f"{where}: neither safetensors nor a state dict that torch saved, or damaged ({type(error).__name__})"
        ) from error
    if isinstance(content, Mapping) and key is not None:
        content = content.get(key, content)
    if not isinstance(content, Mapping):
        raise InputError(f"{where}: holds {type(content).__name__}, not a mapping from names to tensors")
    return {str(name): tensor for name, tensor in content.items() if only(str(name))}


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of a network's tensors by name, without the counters of its batch norms."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def misfits(tensors: Mapping[str, object], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Problems of the tensors: missing, unknown, of another type, or of another shape than expected."""
    wrong = [f"{name} of {shape} is missing" for name, shape in expected.items() if name not in tensors]
    wrong += [f"{name} is not known" for name in tensors if name not in expected]
    for name, shape in expected.items():
        match tensors.get(name):
            case Tensor() as tensor if not tensor.is_floating_point() or tensor.layout != torch.strided:
                wrong.append(f"{name} holds no plain floating-point numbers")
            case Tensor() as tensor if tuple(tensor.shape) != shape:
                wrong.append(f"{name} is of {tuple(tensor.shape)}, not {shape}")
            case Tensor() | None:
                pass
            case other:
                wrong.append(f"{name} is {type(other).__name__}, not a tensor")
    return wrong


def listed(problems: list[str]) -> str:
    """The first three problems of a file, and the number of the others."""
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"{'; '.join(problems[:3])}{more}"


def float_tensors(tensors: Mapping[str, object]) -> dict[str, Tensor]:
    """Tensors without problems (`misfits`), in float32."""
    return {name: tensor.detach().float() for name, tensor in tensors.items() if isinstance(tensor, Tensor)}


def with_tensors(network: Network, tensors: Mapping[str, Tensor]) -> Network:
    """A network, built on the device `meta`, that holds the given tensors; in evaluation mode, without gradients."""
    counts = {name: torch.tensor(0) for name in network.state_dict() if name.endswith("num_batches_tracked")}
    network.load_state_dict({**tensors, **counts}, assign=True)
    return network.requires_grad_(False).eval()
