"""Files of pretrained weights: their digests, their format, and the errors of a damaged one."""

import hashlib
import pickle
import struct
from collections.abc import Iterable
from pathlib import Path

DAMAGE = (
    pickle.UnpicklingError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
)
"""Errors of torch's unpickler on damaged files, besides OSError."""


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """File name -> SHA-256 in hexadecimal, sorted by name. A feature store identifies the weights by it.

    The folder of a file is not part of the result."""
    digest_of: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: path.name):
        with path.open("rb") as file:
            digest_of[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digest_of


def is_safetensors(path: Path) -> bool:
    """Whether a file starts as safetensors do: eight bytes of length, then JSON.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and not start.startswith((b"PK", b"\x80"))  # those begin a zip file and a pickle
