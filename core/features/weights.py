"""What identifies pretrained weights: the SHA-256 of their files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """File name -> SHA-256 in hexadecimal, in the order of the names; where a file lies plays no part."""
    found: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: path.name):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
