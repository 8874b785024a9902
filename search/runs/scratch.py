"""Temporary folders that do not outlive their process: those of killed processes are removed later."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "spooftune-scratch-"
"""Start of the names of temporary folders."""

MIN_AGE = 60.0
"""Seconds after which an unlocked folder has no owner. A younger one may be about to be locked."""


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder of this user, which is removed at the end of the block.

    It is locked during the block. The kernel frees the lock when the process ends, however it ends, so that
    `clear_scratch` can tell which folders have no owner.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def abandoned_scratch() -> list[Path]:
    """Temporary folders on this machine that killed processes of this user have left."""
    folders = sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))
    return [folder for folder in folders if _is_abandoned(folder)]


def clear_scratch() -> None:
    """Removes the folders of `abandoned_scratch`."""
    for folder in abandoned_scratch():
        shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    try:
        # No link is followed: other users may write the folder for temporary files, too.
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        stat = os.fstat(handle)
        if stat.st_uid != os.getuid() or time.time() - stat.st_mtime < MIN_AGE:
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
