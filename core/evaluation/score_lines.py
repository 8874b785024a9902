"""Text files of columns: reading, and messages that name file and line."""

import gzip
import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError

MAX_PROBLEMS = 20
"""Maximum number of wrong lines that a message lists."""


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark; decompressed if the name ends in `.gz`.

    Bytes that are not UTF-8 become surrogates, as in the names that Python returns for files (PEP 383).

    Raises:
        InputError: The file cannot be read, or is no text.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise InputError(f"{path}:{line}: a zero byte; the file must be text, in UTF-8 without zeros")
    return content.decode("utf-8-sig", errors="surrogateescape")


def read_columns(path: Path, formats: Mapping[int, str]) -> tuple[list[list[str]], list[int]]:
    """The columns of a file in one of the formats, without blank lines, and the line numbers, from 1.

    Args:
        path: The file; compressed if its name ends in `.gz`.
        formats: Number of columns -> their names.

    Raises:
        InputError: The file cannot be read or is empty, or a line has a wrong number of columns.
    """
    text = read_text(path)
    widths = {number: len(line.split()) for number, line in enumerate(text.split("\n"), start=1)}
    numbers = [number for number, width in widths.items() if width]
    if not numbers:
        raise InputError(f"{path}: the file has no scores")
    width = widths[numbers[0]]
    if width not in formats:
        valid = "; ".join(f"{count} ({names})" for count, names in formats.items())
        raise InputError(f"{path}:{numbers[0]}: {width} columns; valid are {valid}")
    row_widths = [widths[number] for number in numbers]
    if row_widths.count(width) != len(row_widths):
        expected = f"not {width} ({formats[width]}) as before"
        wrong = {row: f"{n} columns, {expected}" for row, n in enumerate(row_widths) if n != width}
        raise input_error(path, numbers, wrong)
    words = text.split()  # all at once: a list per line would keep the garbage collector busy
    return [words[column::width] for column in range(width)], numbers


def floats(path: Path, texts: Sequence[str], numbers: list[int]) -> NDArray[np.float64]:
    """The texts as finite numbers `(n_rows,)`; InputError with the lines of those that are not."""
    try:
        scores = np.array(texts, dtype=np.float64)
    except ValueError:
        scores = np.array([_float(text) for text in texts])
    bad = np.flatnonzero(~np.isfinite(scores)).tolist()
    wrong = {row: f"the score {texts[row]!r} is not a finite number" for row in bad}
    if wrong:
        raise input_error(path, numbers, wrong)
    return scores


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan  # the caller reports it like the score "nan"


def check_keys(path: Path, keys: Sequence[str], numbers: list[int], valid: Collection[str]) -> None:
    """Raises InputError with the lines of keys that are not valid."""
    if not set(keys) <= set(valid):
        choices = ", ".join(valid)
        wrong = {row: f"no key {key!r}; there are {choices}" for row, key in enumerate(keys) if key not in valid}
        raise input_error(path, numbers, wrong)


def check_unique(path: Path, utterances: Sequence[str], numbers: list[int]) -> None:
    """Raises InputError with the lines of utterances that are listed again."""
    if len(set(utterances)) == len(utterances):
        return
    first: dict[str, int] = {}
    wrong: dict[int, str] = {}
    for row, utterance in enumerate(utterances):
        if first.setdefault(utterance, row) != row:
            wrong[row] = f"utterance {utterance!r} is listed again; it is in line {numbers[first[utterance]]}"
    raise input_error(path, numbers, wrong)


def input_error(path: Path, numbers: list[int], wrong: dict[int, str]) -> InputError:
    """The error for problems by row index. It lists the first ones only: in a wrong file, every line is a problem."""
    problems = [f"{path}:{numbers[row]}: {problem}" for row, problem in wrong.items()]
    n_more = len(problems) - MAX_PROBLEMS
    return InputError(problems[:MAX_PROBLEMS] + ([f"{path}: {n_more} more lines are wrong"] if n_more > 0 else []))
