"""Atomic writing: a file is written completely or not at all."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Temporary file beside `path`, which replaces `path` when the `with` block succeeds and is deleted when it fails.

    The content is flushed to the disk before the file is renamed, so that a crash leaves the old file or the new one.
    The mode of the file follows the umask.

    Args:
        path: File to write; its folder must exist.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
        with contextlib.suppress(OSError):  # some file systems cannot flush a folder
            flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def copy_folder(source: Path, target: Path) -> None:
    """Copies a folder completely or not at all: aside, flushed to the disk, and renamed to `target`, which it replaces.

    Args:
        source: Folder to copy.
        target: The copy; the folder around it is created if it is missing.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}-aside")
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
    try:
        shutil.copytree(source, aside)
        for path in aside.rglob("*"):
            flush(path)
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(OSError):  # some file systems cannot flush a folder
        flush(target.parent)


def flush(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: The disk has failed, or the file system cannot flush a folder.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
