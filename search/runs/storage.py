"""Where runs and feature stores lie: a folder, or a URL of which this machine keeps a working copy."""

import contextlib
import functools
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from core.atomic import replacing
from core.errors import InputError, Unavailable
from search.runs.retry import StorageLost, patiently

PUSHED_EVERY = 10.0
"""Seconds between two looks for what has changed in a working copy."""

BLOCK = 8 << 20


class Storage:
    """A place by its name: `/mnt/storage`, `storage`, `s3://bucket/prefix`, or what else pyarrow opens.

    Attributes:
        place: The absolute path, or the URL.
        folder: The folder itself, or this machine's working copy of the URL.
        remote: Whether it is a URL.
    """

    def __init__(self, place: str, cache: str | None = None) -> None:
        """Opens nothing yet.

        Args:
            place: Folder or URL.
            cache: Folder of this machine's own disk, into which `fetched` copies stores; None = only those of a URL
                are copied, into its working copy.

        Raises:
            InputError: the URL holds a password, or has a scheme that pyarrow does not know.
        """
        self.remote = "://" in place
        self.place = place.rstrip("/") if self.remote else str(Path(place).absolute())
        self.folder = _working_copy(self.place) if self.remote else Path(place)
        self._cache = Path(cache).expanduser() if cache else None
        self._pushed: dict[Path, tuple[int, int]] = {}
        if self.remote and "@" in urlsplit(place).netloc:
            raise InputError("storage: a URL with a password in it would end up in logs; let the environment carry it")
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
        # Of a folder, whose runs are listed without it: pyarrow takes long to import. That of a URL is set at once.
        from pyarrow import fs

        return fs.LocalFileSystem()

    def __str__(self) -> str:
        """Its place."""
        return self.place

    def relative(self, path: str | Path) -> str:
        """What `fetched` and `pull` call a file or folder of the working folder."""
        return Path(path).absolute().relative_to(self.folder.absolute()).as_posix()

    def names(self, relative: str) -> list[str]:
        """Names in a folder of it; none where there is no such folder.

        Raises:
            InputError: it cannot be read.
        """
        from pyarrow import fs

        selector = fs.FileSelector(str(self._base / relative), allow_not_found=True)
        with _readable(self.place):
            return sorted(each.base_name for each in self._fs.get_file_info(selector))

    def pull(self, relative: str, *, only: Sequence[str] = ()) -> None:
        """Brings the working copy of a URL up to date below a folder; of a plain folder there is nothing to bring.

        Args:
            relative: Folder below the place.
            only: Names of files to bring; empty = all of them.

        Raises:
            InputError: the URL cannot be read.
        """
        if self.remote:
            with _readable(self.place):
                self._copy(relative, self.folder, only)

    def push(self, relative: str, *, skip: Sequence[str] = ()) -> None:
        """Copies what has changed in the working copy to the URL.

        Args:
            relative: Folder or file below the place.
            skip: Beginnings of names of what is left out, with all that is below it.

        Raises:
            StorageLost: the URL cannot be written for long.
        """
        if not self.remote:
            return
        top = self.folder / relative
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            inner = path.relative_to(top).parts
            left_out = any(name.startswith(tuple(skip)) for name in inner)
            if not path.is_file() or path.name.startswith(".") or left_out:
                continue
            stat = path.stat()
            state = (stat.st_size, stat.st_mtime_ns)
            if self._pushed.get(path) != state:
                target = self._base / path.relative_to(self.folder).as_posix()
                patiently(lambda path=path, target=target: self._upload(path, target), f"{self.place}/{path.name}")  # type: ignore[misc]
                self._pushed[path] = state

    @contextlib.contextmanager
    def kept(self, relative: str, *, skip: Sequence[str] = ()) -> Iterator[None]:
        """Pushes a folder of the working copy every few seconds, and at the end."""
        if not self.remote:
            yield
            return
        ended = threading.Event()

        def push_often() -> None:
            while not ended.wait(PUSHED_EVERY):
                with contextlib.suppress(StorageLost):  # the last push says so
                    self.push(relative, skip=skip)

        thread = threading.Thread(target=push_often, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.push(relative, skip=skip)

    def fetched(self, relative: str) -> Path:
        """A feature store, on this machine's own disk where there is a cache or a URL; copied once for all processes.

        Raises:
            InputError: it cannot be read.
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
        """A single file, brought to this machine where the place is a URL."""
        if self.remote:
            with _readable(self.place):
                self._download(self._base / relative, self.folder / relative, None)
        return self.folder / relative

    def write(self, relative: str, text: str) -> None:
        """Writes a small file, past the working copy."""
        path = self._base / relative
        self._fs.create_dir(str(path.parent), recursive=True)
        with self._fs.open_output_stream(str(path)) as stream:
            stream.write(text.encode())

    def read(self, relative: str) -> str:
        """Reads a small file, past the working copy."""
        with self._fs.open_input_stream(str(self._base / relative)) as stream:
            return str(stream.read().decode())

    def delete(self, relative: str) -> None:
        """Deletes a file; it may be gone already."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.delete_file(str(self._base / relative))

    def _copy(self, relative: str, root: Path, only: Sequence[str]) -> None:
        from pyarrow import fs

        from core.stores.store import MANIFEST

        selector = fs.FileSelector(str(self._base / relative), allow_not_found=True, recursive=True)
        infos = [each for each in self._fs.get_file_info(selector) if each.type == fs.FileType.File]
        infos = [each for each in infos if not each.base_name.startswith(".") and (not only or each.base_name in only)]
        # What marks a store as complete comes last.
        for info in sorted(infos, key=lambda each: (each.base_name == MANIFEST, each.path)):
            path = PurePosixPath(info.path)
            self._download(path, root / path.relative_to(self._base), info)

    def _download(self, source: PurePosixPath, target: Path, info: Any) -> None:
        info = info or self._fs.get_file_info(str(source))
        written = info.mtime_ns
        if target.exists():
            here = target.stat()
            if here.st_size == info.size and (written is None or here.st_mtime_ns >= written):
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
