"""The output file of `spooftune score`: a line per recording, written as it is scored, and resumed after a break."""

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.atomic import replacing
from core.errors import InputError, Unavailable

SETTINGS = ".settings.json"
"""Suffix of the file beside the output that says with which bundle and options it is made."""


class ScoreLines:
    """An open output file. It is valid at any moment: it has whole lines only."""

    def __init__(self, path: Path, handle: int, done: frozenset[str]) -> None:
        self._path, self._handle = path, handle
        self.done = done
        """Recordings that have a line from before."""

    def write(self, line: str) -> None:
        """Appends a line, in one call: it survives the end of this process in any way.

        Raises:
            InputError: The disk is full, or fails.
        """
        # Names of files that are not UTF-8 have surrogates for their bytes; the output has the bytes.
        data = (line + "\n").encode("utf-8", errors="surrogateescape")
        begin = os.lseek(self._handle, 0, os.SEEK_END)
        try:
            if os.write(self._handle, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.ftruncate(self._handle, begin)
            raise _unwritable(self._path, error) from error


@contextmanager
def score_lines(path: Path, settings: Mapping[str, Any], *, resume: bool) -> Iterator[ScoreLines]:
    """Opens an output file: a new one, or one that the same settings have begun.

    Args:
        path: The file.
        settings: Bundle and options, as plain data: scores of other settings do not belong into the same file.
        resume: Whether the file may exist; its recordings are then not scored again.

    Raises:
        InputError: The file exists and is not to be resumed, has other settings, or cannot be written.
        Unavailable: Another process writes the file.
    """
    settings_file = path.with_name(path.name + SETTINGS)
    try:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | (0 if resume else os.O_EXCL)
        handle = os.open(path, flags, 0o644)
    except FileExistsError:
        hint = "--resume continues it; otherwise choose another --output"
        raise InputError(f"--output {path}: exists already and was not changed; {hint}") from None
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = _read(handle)
            if content:
                _check(path, settings_file, settings)
            else:
                with replacing(settings_file) as temporary:
                    temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        except BlockingIOError:
            raise Unavailable(f"--output {path}: another process writes it now") from None
        except OSError as error:
            raise _unwritable(path, error) from error
        names = content.decode("utf-8", errors="surrogateescape").split("\n")
        yield ScoreLines(path, handle, frozenset(line.partition("\t")[0] for line in names if line))
    finally:
        os.close(handle)


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"--output {path}: cannot be written: {error.strerror or error}")


def _read(handle: int) -> bytes:
    """The whole lines of a file. What follows the last one is removed: a machine that failed may leave such a rest."""
    size = os.fstat(handle).st_size
    content = os.pread(handle, size, 0)
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.ftruncate(handle, whole)
    return content[:whole]


def _check(path: Path, settings_file: Path, settings: Mapping[str, Any]) -> None:
    """Refuses to continue a file that other settings have made.

    Raises:
        InputError: The settings are unknown or differ.
    """
    try:
        before = json.loads(settings_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"--output {path}: cannot be continued: {settings_file.name}, which says how it was made, cannot be read"
        ) from error
    other = [key for key in settings if before.get(key) != settings[key]]
    if other:
        told = "; ".join(f"{key} was {before.get(key)!r} and is {settings[key]!r}" for key in other)
        raise InputError(f"--output {path}: was made otherwise ({told}); choose another --output")
