"""Checksums of text files and of single lines: CRC-32 of all bytes, kept in the text itself as its last entry.

A seal is the last entry of a JSON object, `"crc32": "0a1b2c3d"`, or the comment `# crc32: 0a1b2c3d` at the end of a
YAML file. The checksum is that of the bytes of the text with zeros instead of its eight digits. Text without a seal,
as earlier versions wrote it, stays readable.
"""

import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEY = "crc32"
"""Entry of a JSON object with its checksum."""

_ZEROS = b"0" * 8
_DIGITS = re.compile(rb"[0-9a-f]{8}")

DOCUMENT = (b'"crc32": "', b'"\n}\n')
"""What stands before and after the digits at the end of a JSON file with indents."""

LINE = (b', "crc32": "', b'"}')
"""What stands before and after the digits at the end of a line of JSON."""

YAML = (b"# crc32: ", b"\n")
"""What stands before and after the digits at the end of a YAML file."""

MAX_DIFFERENT = 2
"""Text whose end differs from a seal by at most so many bytes had one, which was damaged."""


def sealed_document(plain: Mapping[str, Any]) -> str:
    """A JSON file of plain data, indented, with its seal; NaN and infinity are refused with ValueError."""
    text = json.dumps({**without_seal(plain), KEY: _ZEROS.decode()}, indent=2, allow_nan=False) + "\n"
    return _sealed(text.encode(), DOCUMENT[1]).decode()


def sealed_line(plain: Mapping[str, Any]) -> str:
    """One line of JSON with its seal, without the end of the line; NaN and infinity are refused with ValueError."""
    text = json.dumps({**without_seal(plain), KEY: _ZEROS.decode()}, allow_nan=False)
    return _sealed(text.encode(), LINE[1]).decode()


def sealed_yaml(text: str) -> str:
    """The text of a YAML file, followed by its seal."""
    start, end = (part.decode() for part in YAML)
    return _sealed(f"{text}{start}{_ZEROS.decode()}{end}".encode(), YAML[1]).decode()


def without_seal(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data without the entry of the seal."""
    return {key: value for key, value in plain.items() if key != KEY}


def is_sealed(content: bytes, form: tuple[bytes, bytes]) -> bool | None:
    """Whether a text has the checksum with which it was written; None if it never had one.

    Args:
        content: All bytes of the text.
        form: DOCUMENT, LINE or YAML.
    """
    start, end = form
    length = len(start) + 8 + len(end)
    tail = content[-length:]
    digits = tail[len(start) : len(start) + 8]
    if tail.startswith(start) and tail.endswith(end) and len(tail) == length and _DIGITS.fullmatch(digits):
        return content == _sealed(content[: -length + len(start)] + _ZEROS + end, end)
    around = (tail[: len(start)] + tail[len(start) + 8 :], start + end)
    n_different = sum(one != other for one, other in zip(*around, strict=False))
    return False if len(tail) == length and n_different <= MAX_DIFFERENT else None


def sealed_file_problem(path: Path, form: tuple[bytes, bytes]) -> str | None:
    """Why a text file is damaged; None if its checksum is right, or it has none and can be read as text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror or error}"
    sealed = is_sealed(content, form)
    if sealed is None and form is DOCUMENT:
        try:
            json.loads(content)
        except ValueError as error:
            return f"{path}: damaged: {error}"
    return f"{path}: damaged: its checksum differs" if sealed is False else None


def line_problems(path: Path) -> list[str]:
    """The damaged lines of a file with one JSON object per line; lines without a checksum are only parsed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return [f"{path}: cannot be read: {error.strerror or error}"]
    problems = []
    *lines, rest = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        sealed = is_sealed(line, LINE)
        if sealed is False:
            problems.append(f"{path}:{number}: damaged: its checksum differs")
        elif sealed is None and not _is_object(line):
            problems.append(f"{path}:{number}: damaged: not an object of JSON")
    if rest:
        problems.append(f"{path}:{len(lines) + 1}: damaged: the end of the line is missing")
    return problems


def _sealed(content: bytes, end: bytes) -> bytes:
    """A text that ends with eight zeros and `end`, with its checksum instead of the zeros."""
    return content[: -8 - len(end)] + b"%08x" % zlib.crc32(content) + end


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
