"""Files that list utterances: lines of words, and tables with a header. Every problem names its file and line."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from core.corpora.corpus import Line
from core.errors import InputError


def existing_folder(path: Path) -> Path:
    """The path of a folder.

    Raises:
        InputError: The folder does not exist.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such folder (looked for {path.absolute()})")
    return path


def first_existing(*paths: Path) -> Path:
    """The first of the paths that exists; the first one if none does, so that the message for it names a path."""
    return next((path for path in paths if path.exists()), paths[0])


def below(folder: Path, name: str) -> Path | None:
    """Path of a named recording in a folder; None if the name is empty."""
    return folder / name if name else None


def columns(path: Path, names: str, *, more: bool = False) -> Iterator[tuple[str, list[str]] | str]:
    """`file:line` and the words of every line that is not blank; a problem, as text, replaces a line that is wrong.

    Args:
        path: The file.
        names: Names of the columns, separated by blanks.
        more: Whether a line may have further columns.

    Raises:
        InputError: The file cannot be read.
    """
    n_columns = len(names.split())
    for number, line in enumerate(text_of(path).splitlines(), 1):
        words = line.split()
        where = f"{path}:{number}"
        if words and (len(words) < n_columns or (len(words) > n_columns and not more)):
            valid = f"at least {n_columns}" if more else n_columns
            yield f"{where}: {len(words)} columns; there are {valid}: {names}"
        elif words:
            yield where, words


def rows(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...] = (), *, delimiter: str = ","
) -> Iterator[tuple[str, dict[str, str] | str]]:
    """`file:line` and the row of a table as column -> value; a problem, as text, replaces a row that is wrong.

    Args:
        path: The table, whose first line names its columns.
        needed: Columns that the header must have.
        optional: Further columns, for the message about a header that lacks columns.
        delimiter: Character between the columns.

    Raises:
        InputError: The file cannot be read.
    """
    content = io.StringIO(text_of(path))
    # Tables with another delimiter than a comma quote nothing: a quotation mark is a part of a transcript.
    table = (
        csv.reader(content) if delimiter == "," else csv.reader(content, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    )
    try:
        yield from _named(path, table, needed, optional)
    except csv.Error as error:
        yield f"{path}:{table.line_num}", f"{path}:{table.line_num}: {error}"


def translated(lines: Iterable[Line | str], words: Mapping[str, str]) -> Iterator[Line | str]:
    """The lines with the keys `bonafide` and `spoof`; an unknown key becomes a problem that names the valid ones.

    Args:
        lines: Lines with the keys of the corpus.
        words: Key of the corpus -> `bonafide` or `spoof`.
    """
    for line in lines:
        if isinstance(line, str):
            yield line
        elif line.key not in words:
            yield f"{line.where}: key {line.key!r}; it is {' or '.join(words)}"
        else:
            yield dataclasses.replace(line, key=words[line.key])


def text_of(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Bytes that are not UTF-8 become surrogates, as in the names that Python returns for files (PEP 383). So a protocol
    in another encoding names the recordings whose names have the same bytes.

    Raises:
        InputError: The file cannot be read, or is no text.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise InputError(f"{path}:{line}: cannot be read: a zero byte; the file must be text, in UTF-8 without zeros")
    return content.decode("utf-8-sig", errors="surrogateescape")


def _named(
    path: Path, table: Any, needed: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, str] | str]]:
    header = [name.strip() for name in next(table, [])]
    missing = [name for name in needed if name not in header]
    if missing:
        where = f"{path}:1"
        yield (
            where,
            f"{where}: the header lacks {', '.join(missing)}; it needs {', '.join(needed)}"
            + (f" and may have {', '.join(optional)}" if optional else ""),
        )
        return
    for row in table:
        where = f"{path}:{table.line_num}"
        if not row:
            continue
        if len(row) != len(header):
            yield where, f"{where}: {len(row)} columns; the header has {len(header)}"
            continue
        yield where, dict(zip(header, (value.strip() for value in row), strict=True))
