"""Writes that are repeated while a network file system or an object store is not available."""

import time
from collections.abc import Callable

from core.errors import Unavailable

RETRY_SECONDS = 120.0
"""Seconds after which a write that still fails is given up."""


class StorageLost(Unavailable):
    """A write to a storage has failed for RETRY_SECONDS seconds."""


def with_retries(action: Callable[[], None], target: str) -> None:
    """Calls `action`, and repeats the call after a pause until it succeeds.

    Args:
        action: Writes something and raises OSError on failure. It must be safe to call more than once.
        target: Name of the file or URL, for the error message.

    Raises:
        StorageLost: The calls have failed for RETRY_SECONDS seconds.
    """
    started, pause = time.monotonic(), 0.5
    while True:
        try:
            return action()
        except OSError as error:  # file systems of pyarrow raise OSError, too
            if time.monotonic() - started + pause > RETRY_SECONDS:
                raise StorageLost(f"{target} could not be written for {RETRY_SECONDS:g} s: {error}") from error
        time.sleep(pause)
        pause = min(2 * pause, 10.0)
