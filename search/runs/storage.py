"""The storage of runs and feature stores: a folder, or a URL of which this machine keeps a working copy."""

import contextlib
import functools
import hashlib
import os
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from core.atomic import replacing
from core.errors import InputError, Unavailable
from search.runs.retry import with_retries

STORAGE = "storage"
"""Folder of runs and feature stores if neither the command line nor a space names one."""

PUSH_SECONDS = 10.0
"""Seconds between two uploads of changed files of a working copy."""

BLOCK = 8 << 20
"""Bytes that are copied at a time."""


class Storage:
    """A folder such as `/mnt/storage`, or a URL such as `s3://bucket/prefix` that pyarrow can open.

    Attributes:
        place: The absolute path, or the URL.
        folder: The folder itself, or this machine's working copy of the URL.
        remote: Whether the storage is a URL.
    """

    def __init__(self, place: str, cache: str | None = None) -> None:
        """A storage, which is not accessed yet.

        Args:
            place: Folder or URL.
            cache: Folder on the local disk of this machine, into which `local_store` copies feature stores. None = only
                stores of a URL are copied, into its working copy.

        Raises:
            InputError: The URL contains a password, or has a scheme that pyarrow does not know.
        """
        self.remote = "://" in place
        self.place = place.rstrip("/") if self.remote else str(Path(place).absolute())
        self.folder = _working_copy(self.place) if self.remote else Path(place)
        self._cache = Path(cache).expanduser() if cache else None
        self._pushed: dict[Path, tuple[int, int]] = {}
        if self.remote and "@" in urlsplit(place).netloc:
            raise InputError("storage: a password in the URL would appear in logs; pass it by environment variables")
        self._base = PurePosixPath(self.place)
        if self.remote:
            from pyarrow import fs

            try:
                self._fs, base = fs.FileSystem.from_uri(self.place)
            except (ValueError, OSError) as error:
                raise InputError(f"storage {place}: cannot be opened: {error}") from error
            self._base = PurePosixPath(base)

    @functools.cached_property
    def _fs(self) -> Any:
        # For a folder only, and on demand, since importing pyarrow is slow. `__init__` sets the one of a URL.
        from pyarrow import fs

        return fs.LocalFileSystem()

    @property
    def option(self) -> str:
        """` --storage PLACE` for a command that a message shows; empty for the folder that commands use by default."""
        return "" if self.place == str(Path(STORAGE).absolute()) else f" --storage {shlex.quote(self.place)}"

    def __str__(self) -> str:
        """The absolute path, or the URL."""
        return self.place

    def relative(self, path: str | Path) -> str:
        """A path within `folder`, relative to it, as `local_store` and `pull` accept it."""
        return Path(path).absolute().relative_to(self.folder.absolute()).as_posix()

    def names(self, relative: str) -> list[str]:
        """Sorted names of the files and folders in a folder of the storage; empty if the folder is missing.

        Raises:
            Unavailable: The storage cannot be read.
        """
        from pyarrow import fs

        selector = fs.FileSelector(str(self._base / relative), allow_not_found=True)
        with _readable(self.place):
            return sorted(info.base_name for info in self._fs.get_file_info(selector))

    def pull(self, relative: str, *, only: Sequence[str] = ()) -> None:
        """Downloads the changed files of a folder into the working copy of a URL; does nothing for a plain folder.

        Args:
            relative: Folder, relative to the storage.
            only: Names of the files to download; empty = all files.

        Raises:
            Unavailable: The URL cannot be read.
        """
        if self.remote:
            with _readable(self.place):
                self._copy(relative, self.folder, only)

    def push(self, relative: str, *, skip: Sequence[str] = ()) -> None:
        """Uploads the changed files of the working copy to the URL; does nothing for a plain folder.

        Hidden files are left out.

        Args:
            relative: Folder or file, relative to the storage.
            skip: Prefixes of the names of files and folders that are left out.

        Raises:
            StorageLost: The URL could not be written for a long time.
        """
        if not self.remote:
            return
        top = self.folder / relative
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            skipped = any(name.startswith(tuple(skip)) for name in path.relative_to(top).parts)
            if not path.is_file() or path.name.startswith(".") or skipped:
                continue
            stat = path.stat()
            state = (stat.st_size, stat.st_mtime_ns)
            if self._pushed.get(path) != state:
                target = self._base / path.relative_to(self.folder).as_posix()
                with_retries(lambda path=path, target=target: self._upload(path, target), f"{self.place}/{path.name}")  # type: ignore[misc]
                self._pushed[path] = state

    @contextlib.contextmanager
    def pushing(
        self, relative: str, *, skip: Sequence[str] = (), before: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Pushes a folder of the working copy every PUSH_SECONDS seconds while the block runs, and at its end.

        Args:
            relative: As in `push`.
            skip: As in `push`.
            before: Called before every push; it raises Unavailable if this process may not push.

        Raises:
            StorageLost: The last push failed. Failures before it are ignored, since the last push repeats them.
        """
        if not self.remote:
            yield
            return
        ended = threading.Event()

        def push_often() -> None:
            while not ended.wait(PUSH_SECONDS):
                with contextlib.suppress(Unavailable):  # the last push reports the failure
                    before()
                    self.push(relative, skip=skip)

        thread = threading.Thread(target=push_often, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            before()
            self.push(relative, skip=skip)

    def local_store(self, relative: str) -> Path:
        """Folder from which this machine reads a feature store.

        With a cache or a URL, the store is copied to the local disk first, once for all processes of the machine.

        Args:
            relative: Folder of the store, relative to the storage.

        Raises:
            Unavailable: The storage cannot be read.
        """
        if not self.remote and self._cache is None:
            return self.folder / relative
        import filelock

        from core.stores.extraction import is_complete

        root = self._cache / _digest(self.place) if self._cache else self.folder
        target = root / relative
        if not is_complete(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(target.parent / f".{target.name}.lock"), _readable(self.place):
                if not is_complete(target):
                    self._copy(relative, root, ())
        return target

    def file(self, relative: str) -> Path:
        """Path of a file on this machine; from a URL the file is downloaded first.

        Raises:
            Unavailable: The URL cannot be read.
        """
        if self.remote:
            with _readable(self.place):
                self._download(self._base / relative, self.folder / relative, None)
        return self.folder / relative

    def write(self, relative: str, text: str) -> None:
        """Writes a small text file directly to the storage, not to the working copy."""
        path = self._base / relative
        self._fs.create_dir(str(path.parent), recursive=True)
        with self._fs.open_output_stream(str(path)) as stream:
            stream.write(text.encode())

    def read(self, relative: str) -> str:
        """Reads a small text file directly from the storage, not from the working copy."""
        with self._fs.open_input_stream(str(self._base / relative)) as stream:
            return str(stream.read().decode())

    def delete(self, relative: str) -> None:
        """Deletes a file of the storage; it may be missing."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.delete_file(str(self._base / relative))

    def _copy(self, relative: str, root: Path, only: Sequence[str]) -> None:
        from pyarrow import fs

        from core.stores.store import MANIFEST

        selector = fs.FileSelector(str(self._base / relative), allow_not_found=True, recursive=True)
        infos = [info for info in self._fs.get_file_info(selector) if info.type == fs.FileType.File]
        infos = [info for info in infos if not info.base_name.startswith(".") and (not only or info.base_name in only)]
        # The manifest of a store marks it as complete, so it is copied last.
        for info in sorted(infos, key=lambda info: (info.base_name == MANIFEST, info.path)):
            path = PurePosixPath(info.path)
            self._download(path, root / path.relative_to(self._base), info)

    def _download(self, source: PurePosixPath, target: Path, info: Any) -> None:
        info = info or self._fs.get_file_info(str(source))
        written = info.mtime_ns
        if target.exists():
            local = target.stat()
            if local.st_size == info.size and (written is None or local.st_mtime_ns >= written):
                return
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            with self._fs.open_input_stream(str(source)) as stream, temporary.open("wb") as file:
                while block := stream.read(BLOCK):
                    file.write(block)
            if written is not None:
                os.utime(temporary, ns=(written, written))

    def _upload(self, source: Path, target: PurePosixPath) -> None:
        self._fs.create_dir(str(target.parent), recursive=True)
        with source.open("rb") as file, self._fs.open_output_stream(str(target)) as stream:
            while block := file.read(BLOCK):
                stream.write(block)


@contextlib.contextmanager
def _readable(place: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise Unavailable(f"storage {place}: cannot be read: {error}") from error


def _working_copy(url: str) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return root / "spooftune" / _digest(url)


def _digest(place: str) -> str:
    return hashlib.sha256(place.encode()).hexdigest()[:16]
