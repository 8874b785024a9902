"""Checkpoints: tensors and plain data in one file, with a checksum. Writing is atomic; reading runs no code from it.

A checkpoint is a zip file, as `torch.save` writes it. The comment at its end holds the checksum of all bytes before the
comment. So a file that was cut off, or in which a bit has flipped, is told from a whole one without PyTorch.
"""

import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from core.atomic import replacing
from core.errors import InputError

FORMAT = 1

SEAL = b"spooftune crc32 "
"""Start of the comment at the end of a checkpoint; eight hexadecimal digits follow."""

END_OF_ZIP = b"PK\x05\x06"
"""Signature of the last record of a zip file. The record has 22 bytes, and the comment follows it."""

BLOCK = 8 << 20
"""Bytes that are read at a time."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a state to a file, completely or not at all.

    Args:
        path: File to write; missing folders are created.
        state: Tensors, numbers, strings, lists and dicts.

    Raises:
        InputError: The disk is full, or the folder cannot be written.
    """
    import torch

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            torch.save({"format": FORMAT, **state}, temporary)
            _seal(temporary)
    except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError
        raise InputError(f"{path}: the checkpoint could not be written: {error}") from error


def load(path: Path) -> dict[str, Any]:
    """State that `save` wrote, with tensors on the CPU.

    Args:
        path: The checkpoint.

    Raises:
        InputError: The file is missing or damaged, is not a checkpoint of this format, or holds more than tensors and
            plain data.
    """
    import torch

    problem = damage(path)
    if problem is not None:
        raise InputError(f"{path}: {problem}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a checkpoint that can be read safely ({type(error).__name__})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        format_ = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise InputError(f"{path}: checkpoint format {format_!r}; this version reads format {FORMAT}")
    return state


def damage(path: Path) -> str | None:
    """Why a file is not a whole checkpoint; None if it is whole. The whole file is read, without PyTorch.

    Checkpoints of earlier versions have no checksum of the file. Those of their parts are compared, which zip files
    have. What the file holds is for `load` to judge.
    """
    try:
        seal = _seal_of(path)
        if seal is None:
            return "the checkpoint is damaged: its end is missing"
        if not seal:
            with zipfile.ZipFile(path) as parts:
                broken = parts.testzip()
            return None if broken is None else f"the checkpoint is damaged: the checksum of {broken} differs"
        wanted = SEAL + b"%08x" % _checksum(path, path.stat().st_size - len(seal))
        return None if seal == wanted else "the checkpoint is damaged: its checksum differs"
    except FileNotFoundError:
        return "no such checkpoint"
    except OSError as error:
        return f"the checkpoint cannot be read: {error.strerror or error}"
    except Exception as error:  # noqa: BLE001 - zipfile lets many classes of exceptions out of a damaged file
        return f"the checkpoint is damaged: {error}"


def has_end(path: Path) -> bool:
    """Whether a checkpoint was written to its end. Only the end is read: `damage` reads all."""
    try:
        return _seal_of(path) is not None
    except OSError:
        return False


def _seal(path: Path) -> None:
    """Adds the checksum to a zip file without a comment."""
    with path.open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(struct.pack("<H", len(SEAL) + 8))
    checksum = _checksum(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(SEAL + b"%08x" % checksum)


def _seal_of(path: Path) -> bytes | None:
    """The comment with the checksum; empty for a zip file without a comment; None for a file without such an end."""
    length = len(SEAL) + 8
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - length - 22))
        end = file.read()
    comment = end[-length:]
    if end.startswith(END_OF_ZIP) and end[:22].endswith(struct.pack("<H", length)) and comment.startswith(SEAL):
        return comment
    return b"" if end[-22:].startswith(END_OF_ZIP) and end.endswith(b"\0\0") else None


def _checksum(path: Path, n_bytes: int) -> int:
    """CRC-32 of the first bytes of a file."""
    checksum = 0
    with path.open("rb") as file:
        while n_bytes > 0 and (block := file.read(min(BLOCK, n_bytes))):
            checksum = zlib.crc32(block, checksum)
            n_bytes -= len(block)
    return checksum
