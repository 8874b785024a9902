"""Files of pretrained weights: their digests, their format, and the errors of a damaged one."""

import hashlib
import pickle
import struct
from collections.abc import Iterable
from pathlib import Path

from core.catalogue.packages import Package
from core.errors import InputError
from core.table import Block, option_defaults

PLACES = ("checkpoint", "weights", "model", "revision")
"""Options of front ends that say where pretrained weights are. Their content identifies the weights."""

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


class Digests(dict[str, str]):
    """File name -> SHA-256 in hexadecimal, sorted by name. A feature store identifies the weights by it.

    Attributes:
        paths: The files; their folders are not part of the mapping.
    """

    paths: tuple[Path, ...] = ()


def digests(paths: Iterable[Path]) -> Digests:
    """The SHA-256 of some files."""
    digest_of = Digests()
    digest_of.paths = tuple(sorted(paths, key=lambda path: path.name))
    for path in digest_of.paths:
        with path.open("rb") as file:
            digest_of[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digest_of


def files_of(front_end: object) -> tuple[Path, ...]:
    """Files that a built front end has read: its pretrained weights, and what describes their model."""
    described = (getattr(front_end, name, None) for name in ("weights", "configuration"))
    return tuple(path for files in described if isinstance(files, Digests) for path in files.paths)


def place_of(front_end: Block, folder: Path) -> Path:
    """What the place option of a front end names if its files lie in a folder: the folder of a model, or a file.

    Raises:
        InputError: The folder does not have the one file that the front end reads.
    """
    if isinstance(front_end.options.get("model"), str):
        return folder
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if len(files) != 1:
        raise InputError(f"{folder}: has {len(files)} files; it must have one, the weights of {front_end.name}")
    return files[0]


def without_places(front_end: Block) -> Block:
    """A front end without the options that say where its weights are, to be compared with another one."""
    return Block(front_end.name, {name: value for name, value in front_end.options.items() if name not in PLACES})


def placed(front_end: Block, path: Path) -> Block:
    """A front end that reads its weights from another file or folder.

    Raises:
        InputError: The front end has no option for the place of weights, or has none set and no package has them.
    """
    from core.features import FRONT_ENDS

    name = next((name for name in PLACES if isinstance(front_end.options.get(name), str)), None)
    if name is None and option_defaults(FRONT_ENDS[front_end.name]).get("weights", "") is None:
        name = "weights"  # without this option, they are those of an installed package
    if name is None:
        raise InputError(f"front_end: {front_end.name} needs no pretrained weights")
    options = {key: value for key, value in front_end.options.items() if key != "revision"}
    return Block(front_end.name, {**options, name: str(path)})


def package_weights(front_end: str, package: Package, weights: str | None) -> Path:
    """The file of a front end's weights: the one that a user names, or that of an installed package.

    Args:
        front_end: Row of FRONT_ENDS.
        package: The package.
        weights: File that the user names; None: the file of the package.

    Raises:
        InputError: No file is named, and the package is not installed or lacks the file.
    """
    path = package.installed() if weights is None else Path(weights).expanduser()
    if path is None:
        raise InputError(
            f"front_end: {front_end}: its weights are missing: no installed package {package.name} has "
            f"{package.file}; run {package.installation}, or give `weights` a file"
        )
    return path


def is_safetensors(path: Path) -> bool:
    """Whether a file starts as safetensors do: eight bytes of length, then JSON.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(9)
        size = file.seek(0, 2)
    # A zip file and a pickle, which torch saves, would start with a length beyond their end.
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") <= size - 8
