"""Checkpoints: tensors and plain data in one file, written atomically, read without running anything from it."""

import pickle
from pathlib import Path
from typing import Any

import torch

from core.atomic import replacing
from core.errors import InputError

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors, numbers, strings, lists and dicts to `path`; the file is there whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            torch.save({"format": FORMAT, **state}, temporary)
    except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError
        raise InputError(f"{path}: the checkpoint could not be written: {error}") from error


def load(path: Path) -> dict[str, Any]:
    """The state that `save` wrote, with tensors on the CPU.

    Raises:
        InputError: no such file, a file of another kind or format, or one that holds more than tensors and plain data.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such checkpoint") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a checkpoint that can be read safely ({type(error).__name__})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise InputError(f"{path}: checkpoint format {found!r}; this version reads format {FORMAT}")
    return state
