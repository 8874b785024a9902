"""SHA-256 of the files of pretrained weights, by which a feature store identifies the weights."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """File name -> SHA-256 in hexadecimal, sorted by name. The folder of a file is not part of the result."""
    digest_of: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: path.name):
        with path.open("rb") as file:
            digest_of[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digest_of
