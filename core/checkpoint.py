"""Checkpoints: tensors and plain data in one file. Writing is atomic; reading runs no code from the file."""

import pickle
from pathlib import Path
from typing import Any

import torch

from core.atomic import replacing
from core.errors import InputError

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a state to a file, completely or not at all.

    Args:
        path: File to write; missing folders are created.
        state: Tensors, numbers, strings, lists and dicts.

    Raises:
        InputError: The disk is full, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            torch.save({"format": FORMAT, **state}, temporary)
    except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError
        raise InputError(f"{path}: the checkpoint could not be written: {error}") from error


def load(path: Path) -> dict[str, Any]:
    """State that `save` wrote, with tensors on the CPU.

    Args:
        path: The checkpoint.

    Raises:
        InputError: The file is missing, is not a checkpoint of this format, or holds more than tensors and plain data.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such checkpoint") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a checkpoint that can be read safely ({type(error).__name__})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        format_ = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise InputError(f"{path}: checkpoint format {format_!r}; this version reads format {FORMAT}")
    return state
