"""Where the lease of a run lies: numbered files in a folder, or objects below a URL."""

import contextlib
import os
import random
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from search.runs.owner import HEARTBEAT, SILENCE, Owner

if TYPE_CHECKING:
    from search.runs.storage import Storage


class Numbered(NamedTuple):
    """A file of a lease.

    Attributes:
        number: Its number.
        owner: The owner in it; None if it is incomplete.
    """

    number: int
    owner: Owner | None


class LeaseFiles(Protocol):
    """The files of a lease.

    Attributes:
        fast: Whether `newest` is fast enough to be called before every write.
    """

    fast: bool

    def newest(self) -> Numbered | None:
        """The file with the highest number; None if there is no file."""

    def create(self, number: int, text: str, token: str) -> bool:
        """Creates a file; False if another process has created one with this number."""

    def write(self, number: int, text: str) -> None:
        """Replaces the content of a file."""

    def forget_others(self, number: int) -> None:
        """Deletes the files with lower numbers, and claims to the number, which belongs to this process."""


def owner_in(files: LeaseFiles) -> Owner | None:
    """The owner in the newest file; None if there is no file, or it is incomplete."""
    newest = files.newest()
    return None if newest is None else newest.owner


class FolderFiles:
    """Files in a folder on a local disk or a network file system."""

    fast = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def newest(self) -> Numbered | None:
        for _ in range(10):
            numbers = self._numbers()
            if not numbers:
                return None
            with contextlib.suppress(FileNotFoundError):  # a process with a higher number has deleted it
                text = self._path(numbers[-1]).read_text(encoding="utf-8")
                return Numbered(numbers[-1], Owner.parse(text))
        raise OSError(f"{self._folder}: its files change too fast")

    def create(self, number: int, text: str, token: str) -> bool:
        self._folder.mkdir(exist_ok=True)
        temporary = self._write_aside(text)
        try:
            os.link(temporary, self._path(number))  # fails if the name exists, also on NFS
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def write(self, number: int, text: str) -> None:
        temporary = self._write_aside(text)
        try:
            temporary.replace(self._path(number))
        finally:
            temporary.unlink(missing_ok=True)

    def forget_others(self, number: int) -> None:
        for earlier in self._numbers():
            if earlier < number:
                self._path(earlier).unlink(missing_ok=True)

    def _write_aside(self, text: str) -> Path:
        temporary = self._folder / f".{secrets.token_hex(8)}"
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return temporary

    def _numbers(self) -> list[int]:
        try:
            return sorted(_number(entry.name) for entry in os.scandir(self._folder) if _number(entry.name))
        except FileNotFoundError:
            return []

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"


class ObjectFiles:
    """Objects below a URL.

    Object stores create no object exclusively in the same way. But a list shows every object that was written before.
    So a process that wants a number writes a claim, and then lists. If it sees another claim, it withdraws: of two
    processes, at least the later one sees the claim of the other.
    """

    fast = False

    def __init__(self, storage: "Storage", relative: str) -> None:
        self._storage, self._relative = storage, relative

    def newest(self) -> Numbered | None:
        for _ in range(10):
            numbers = sorted(filter(None, map(_number, self._names())))
            if not numbers:
                return None
            with contextlib.suppress(FileNotFoundError):
                return Numbered(numbers[-1], Owner.parse(self._storage.read(self._path(numbers[-1]))))
        raise OSError(f"{self._relative}: its objects change too fast")

    def create(self, number: int, text: str, token: str) -> bool:
        claim = f"{self._relative}/{number:06d}-{token}"
        ended = time.monotonic() + 6 * HEARTBEAT
        while True:
            self._storage.write(claim, text)
            try:
                names = self._names()
                if f"{number:06d}.json" in names:
                    return False
                others = [name for name in names if name.startswith(f"{number:06d}-") and not name.endswith(token)]
                if not any(self._is_fresh(name) for name in others):
                    self._storage.write(self._path(number), text)
                    return True
            finally:
                self._storage.delete(claim)
            if time.monotonic() > ended:
                raise OSError("other processes want the run, too, and none of them gets it")
            time.sleep(random.uniform(0.1, 2.0))

    def write(self, number: int, text: str) -> None:
        self._storage.write(self._path(number), text)

    def forget_others(self, number: int) -> None:
        for name in self._names():
            if int(name[:6]) <= number and name != f"{number:06d}.json":
                self._storage.delete(f"{self._relative}/{name}")

    def _is_fresh(self, name: str) -> bool:
        """Whether a claim is that of a process that is about to decide, and not of one that was killed."""
        try:
            owner = Owner.parse(self._storage.read(f"{self._relative}/{name}"))
        except FileNotFoundError:
            return False
        return owner is None or (owner.gone() is not True and owner.silence() < SILENCE)

    def _names(self) -> list[str]:
        return [name for name in self._storage.names(self._relative) if name[:6].isdigit()]

    def _path(self, number: int) -> str:
        return f"{self._relative}/{number:06d}.json"


def _number(name: str) -> int:
    """The number in the name of a file; 0 if the name is not that of a lease."""
    stem, _, ending = name.partition(".")
    return int(stem) if ending == "json" and stem.isdigit() else 0
