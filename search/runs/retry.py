"""Writing to a storage that may be away for a while: a network file system, an object store."""

import time
from collections.abc import Callable

from core.errors import Unavailable

PATIENCE = 120.0
"""Seconds for which a storage may refuse before the search gives up."""


class StorageLost(Unavailable):
    """A storage could not be written for longer than PATIENCE."""


def patiently(action: Callable[[], None], what: str) -> None:
    """Does something that writes, again and again until it succeeds.

    Args:
        action: May be done more than once.
        what: What is written, for the error.

    Raises:
        StorageLost: it failed for PATIENCE seconds.
    """
    began, pause = time.monotonic(), 0.5
    while True:
        try:
            return action()
        except OSError as error:  # pyarrow's file systems raise it, too
            if time.monotonic() - began + pause > PATIENCE:
                raise StorageLost(f"{what} could not be written for {PATIENCE:g} s: {error}") from error
        time.sleep(pause)
        pause = min(2 * pause, 10.0)
