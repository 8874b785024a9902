"""Recordings that a user names: files, folders, patterns, and lists."""

import glob
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.corpora.corpus import AUDIO_SUFFIXES
from core.errors import InputError

SUFFIXES = (*AUDIO_SUFFIXES, ".mp3", ".opus")
"""Suffixes of the recordings that are taken from a folder. A file that is named may have any suffix."""


def recordings(arguments: Sequence[str]) -> list[Path]:
    """Recordings, every one once, in the order of the arguments.

    Args:
        arguments: Files; folders, with all recordings below them in alphabetical order; patterns as of the shell, with
            `**` for any number of folders; `@FILE`, a list with one of these in a line; `@-`, such a list on the
            standard input. A file of that very name counts first.

    Raises:
        InputError: A folder or a pattern has no recordings, a list cannot be read, or the name of a recording cannot
            stand in a line of the output.
    """
    problems: list[str] = []
    paths = list(dict.fromkeys(path for argument in arguments for path in _expanded(argument, problems)))
    for path in paths:
        if any(character in str(path) for character in "\t\n\r"):
            problems.append(f"{str(path)!r}: its name has a tab or a line break, which separate the output's columns")
    if not paths and not problems:
        problems.append("no recordings are named; give files, folders, quoted patterns, or @FILE with a list")
    if problems:
        raise InputError(problems)
    return paths


def _expanded(argument: str, problems: list[str], *, in_list: bool = False) -> Iterable[Path]:
    path = Path(argument)
    if path.is_dir():
        below = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not below:
            problems.append(f"{argument}: no recordings ({', '.join(SUFFIXES)}) in this folder")
        return below
    if path.exists():
        return [path]
    if argument.startswith("@") and not in_list:
        lines = _lines(argument, problems)
        return [path for line in lines for path in _expanded(line, problems, in_list=True)]
    if glob.has_magic(argument):
        names = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
        matching = [Path(name) for name in names if Path(name).is_file()]
        if not matching:
            problems.append(f"{argument}: no file matches this pattern")
        return matching
    return [path]  # scoring reports that it is missing, and scores the others


def _lines(argument: str, problems: list[str]) -> list[str]:
    """Lines of a list that are not blank."""
    try:
        if argument == "@-":
            text = sys.stdin.read()
        else:
            text = Path(argument[1:]).read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        problems.append(f"{argument}: the list cannot be read: {error.strerror or error}")
        return []
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        problems.append(f"{argument}: the list is empty")
    return lines
