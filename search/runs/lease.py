"""The lease of a run: one process owns a run, from before its first write until its end.

The folder `lease` of a run holds a file for every owner, numbered from 1. The highest number counts. Whoever wants the
run creates the next number, and only one process can: so a process that was taken for dead and wakes up again sees a
higher number and stops. The owner renews its file every HEARTBEAT seconds.
"""

import contextlib
import dataclasses
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.errors import InputError, Unavailable
from search.runs.journal import now
from search.runs.lease_files import FolderFiles, LeaseFiles, ObjectFiles, owner_in
from search.runs.owner import HEARTBEAT, SILENCE, Owner
from search.runs.run import LEASE

if TYPE_CHECKING:
    from search.runs.storage import Storage


class Owned(InputError):
    """Another process owns the run. The command line exits with 2."""


class LeaseLost(Unavailable):
    """Another process has taken the run over; this one must not write it any more."""


class Lease:
    """The right of this process to write a run.

    Attributes:
        owner: This process.
    """

    def __init__(self, files: LeaseFiles, number: int, owner: Owner, run: str) -> None:
        """A lease that this process has just created as the file `number` among `files`."""
        self.owner = owner
        self._files, self._number, self._run = files, number, run
        self._lost = ""
        self._ended: Any = threading.Event()
        self._thread: Any = threading.Thread(target=self._renew_often, daemon=True)
        self._thread.start()

    def __getstate__(self) -> dict[str, Any]:
        # Ray Tune copies its callbacks. A copy does not renew the lease.
        return {**self.__dict__, "_ended": None, "_thread": None}

    @property
    def first(self) -> bool:
        """Whether no process has had a lease of the run before; versions without leases may have worked on it."""
        return self._number == 1

    def check(self, *, look: bool = False) -> None:
        """Checks that this process still owns the run. It is called before every write of the record.

        Of a folder, the lease itself is read. Of a URL, that would take long: the last sign of life has read it.

        Args:
            look: Whether to read the lease of a URL, too.

        Raises:
            LeaseLost: Another process has taken the run over.
        """
        if not self._lost and (look or self._files.fast):
            self._look()
        if self._lost:
            raise LeaseLost(f"run {self._run}: {self._lost}")

    def release(self) -> None:
        """Gives the run up."""
        self._ended.set()
        self._thread.join()
        if not self._lost:
            with contextlib.suppress(OSError, Unavailable):  # then the next process sees that this one has ended
                self._write(released=True)

    def _look(self) -> None:
        newest = self._files.newest()
        if newest is None:
            self._lost = "its lease was deleted while this process worked on it"
        elif newest.number != self._number or (newest.owner is not None and newest.owner.token != self.owner.token):
            self._lost = f"was taken over by {newest.owner or 'another process'}, and this process ends"

    def _renew_often(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            with contextlib.suppress(OSError, Unavailable):  # the storage is away: the next one may succeed
                self._look()
                if self._lost:
                    return
                self._write()

    def _write(self, *, released: bool = False) -> None:
        self.owner = dataclasses.replace(self.owner, seen=now(), released=released)
        self._files.write(self._number, self.owner.text())


@contextlib.contextmanager
def owning(storage: "Storage", name: str, *, command: str, force: bool = False) -> Iterator[Lease]:
    """Owns a run during the block.

    Args:
        storage: Storage of the run.
        name: Name of the run.
        command: The command, for the messages of other processes.
        force: Whether to take the run over although its owner seems to exist.

    Raises:
        Owned: Another process owns the run.
        Unavailable: The storage cannot be read or written.
    """
    lease = acquire(storage, name, command=command, force=force)
    try:
        yield lease
    finally:
        lease.release()


def acquire(storage: "Storage", name: str, *, command: str, force: bool = False) -> Lease:
    """The lease of a run for this process; arguments and exceptions as for `owning`.

    A process of this machine that has ended loses the run at once. One of another machine loses it after SILENCE
    seconds without a sign of life, which are counted by the clocks of both machines. They may differ: so this process
    waits for a sign of life before it takes the run over.
    """
    files = (
        ObjectFiles(storage, f"runs/{name}/{LEASE}")
        if storage.remote
        else FolderFiles(storage.folder / "runs" / name / LEASE)
    )
    token = secrets.token_hex(8)
    try:
        while True:
            newest = files.newest()
            if newest is not None and not force:
                _refuse_living(files, newest.owner, name)
            number = 1 if newest is None else newest.number + 1
            owner = Owner.this_process(token, command)
            if files.create(number, owner.text(), token):
                lease = Lease(files, number, owner, name)
                files.forget_others(number)
                return lease
            force = False  # another process was faster, and is alive
    except OSError as error:
        raise Unavailable(f"run {name}: its lease cannot be read or written: {error}") from error


def _refuse_living(files: LeaseFiles, owner: Owner | None, name: str) -> None:
    """Raises Owned if the owner of a run exists, or may exist."""
    if owner is None:
        return  # a file that was cut off when it was written: its process has not owned the run for long
    gone = owner.gone()
    if gone:
        return
    # A clock that is ahead tells as little as one that is behind.
    if gone is None and abs(owner.silence()) > SILENCE:
        wait = 2.5 * HEARTBEAT
        line = f"run {name}: {owner} was last seen at {owner.seen[:19]} UTC"
        print(f"spooftune: {line}; waiting {wait:.0f} s for a sign of life", file=sys.stderr, flush=True)
        time.sleep(wait)
        later = owner_in(files)
        if later is None or later == owner or later.released:
            return
        owner = later
    hint = "stop it first (spooftune stop)"
    if gone is None:
        hint += f"; if it no longer exists, resume {SILENCE:.0f} s after its last sign of life, or pass --force"
    raise Owned(f"run {name}: is owned by {owner}; {hint}")
