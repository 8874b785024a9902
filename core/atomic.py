"""Atomic writing: a file is written completely or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Temporary file beside `path`, which replaces `path` when the `with` block succeeds and is deleted when it fails.

    The content is flushed to the disk before the file is renamed, so that a crash leaves the old file or the new one.

    Args:
        path: File to write; its folder must exist.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)  # mkstemp creates files that only their owner can read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
