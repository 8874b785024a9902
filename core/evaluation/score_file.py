"""Score files in the formats of the ASVspoof organisers: plain text, or gzip if the name ends in `.gz`."""

import gzip
import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.atomic import replacing
from core.errors import InputError
from core.evaluation.words import decoded, encoded

COLUMNS = {
    2: "utterance score",
    4: "utterance attack key score",
    6: "speaker utterance - attack key score",
}
"""Formats of CM scores by their number of columns: 2 is that of ASVspoof 2021, 4 and 6 are those of 2019."""

LABELS = {"bonafide": 1, "spoof": 0}
ASV_KEYS = ("target", "nontarget", "spoof")
_KEYS = {label: key for key, label in LABELS.items()}
_MAX_PROBLEMS = 20


@dataclass(frozen=True)
class CmScores:
    """CM scores of utterances, as columns; row `i` of every column is one utterance.

    Attributes:
        utterance_ids: `(n,)`, unique.
        scores: `(n,)`, finite; higher = more bona fide.
        attack_ids: `(n,)`, "-" for bona fide; None = unknown.
        labels: `(n,)`, 1 = bona fide, 0 = spoof; None = unknown.
        speaker_ids: `(n,)`; None = unknown.
        conditions: Name of a condition, such as `codec`, -> its value for every utterance, `(n,)`; "-" = unknown.
    """

    utterance_ids: NDArray[np.str_]
    scores: NDArray[np.float64]
    attack_ids: NDArray[np.str_] | None = None
    labels: NDArray[np.integer[Any]] | None = None
    speaker_ids: NDArray[np.str_] | None = None
    conditions: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    @property
    def bona_fide(self) -> NDArray[np.float64]:
        """Scores of the bona fide utterances, `(n_bona_fide,)`.

        Raises:
            ValueError: The labels are unknown.
        """
        return self._of(1)

    @property
    def spoof(self) -> NDArray[np.float64]:
        """Scores of the spoofed utterances, `(n_spoof,)`.

        Raises:
            ValueError: The labels are unknown.
        """
        return self._of(0)

    def _of(self, label: int) -> NDArray[np.float64]:
        if self.labels is None:
            raise ValueError("the scores have no labels; bona fide and spoofed scores cannot be separated")
        scores: NDArray[np.float64] = self.scores[self.labels == label]
        return scores


@dataclass(frozen=True)
class AsvScores:
    """Scores of a speaker verification system, three arrays `(n,)` of finite values; higher = same speaker.

    `attacks` are those of the spoofed utterances; empty = unknown.
    """

    target: NDArray[np.float64]
    nontarget: NDArray[np.float64]
    spoof: NDArray[np.float64]
    attacks: frozenset[str] = frozenset()


def read_cm_scores(path: Path) -> CmScores:
    """CM scores of a file in any format of `COLUMNS`, in the order of the file; blank lines are skipped.

    Names are decoded as in `core.evaluation.words`.

    Raises:
        InputError: The file cannot be read or has no scores; a line has the wrong number of columns, an unknown key, a
            score that is not a finite number, or an utterance of an earlier line.
    """
    columns, numbers = _columns(path, COLUMNS)
    width = len(columns)
    scores = _floats(path, columns[-1], numbers)
    utterances = decoded(columns[1] if width == 6 else columns[0])
    _check_unique(path, utterances, numbers)
    ids = np.array(utterances)
    if width == 2:
        return CmScores(ids, scores)
    _check_keys(path, columns[-2], numbers, LABELS)
    labels = np.array([LABELS[key] for key in columns[-2]], dtype=np.int8)
    speakers = np.array(decoded(columns[0])) if width == 6 else None
    return CmScores(ids, scores, np.array(decoded(columns[-3])), labels, speakers)


def write_cm_scores(path: Path, scores: CmScores, *, columns: Literal[2, 4, 6] = 4) -> None:
    """Writes CM scores in a format of `COLUMNS`. If writing fails, no partial file is left.

    Every score has enough digits to be read again as the same float64. White space in a name is percent-encoded, as in
    `core.evaluation.words`.

    Args:
        path: File to write; its folder is created. A name that ends in `.gz` is compressed.
        scores: CM scores, with the columns that the format needs.
        columns: Key of `COLUMNS`.

    Raises:
        InputError: The disk is full or the folder cannot be written.
        ValueError: A column that the format needs is missing or has another length, a score is not finite, or a name
            is empty.
    """
    utterances, values = _words("utterance_ids", scores.utterance_ids, scores), np.asarray(scores.scores, np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{np.sum(~np.isfinite(values))} of {len(values)} scores are not finite")
    parts: list[Sequence[str]] = [utterances]
    if columns != 2:
        if scores.labels is None or not np.isin(scores.labels, list(_KEYS)).all():
            raise ValueError(f"{columns} columns need a label of 0 or 1 for every utterance")
        keys = [_KEYS[label] for label in np.asarray(scores.labels).tolist()]
        parts += [_words("attack_ids", scores.attack_ids, scores), _words("labels", keys, scores)]
    if columns == 6:
        parts = [_words("speaker_ids", scores.speaker_ids, scores), utterances, ["-"] * len(utterances), *parts[1:]]
    lines = zip(*parts, map(repr, values.tolist()), strict=True)
    _write(path, "".join(" ".join(line) + "\n" for line in lines))


def read_asv_scores(path: Path) -> AsvScores:
    """ASV scores of a file with the columns `attack key score`, or `speaker utterance score key` (as for a-DCF).

    A key is target, nontarget or spoof.

    Raises:
        InputError: The file cannot be read, a line is malformed, or one of the three keys has no line.
    """
    columns, numbers = _columns(path, {3: "attack key score", 4: "speaker utterance score key"})
    attacks, keys, texts = columns if len(columns) == 3 else (["-"] * len(numbers), columns[3], columns[2])
    _check_keys(path, keys, numbers, ASV_KEYS)
    scores, key_of = _floats(path, texts, numbers), np.array(keys)
    missing = [f"{path}: no line has the key {key!r}" for key in ASV_KEYS if not np.any(key_of == key)]
    if missing:
        raise InputError(missing)
    known = frozenset(np.array(attacks)[key_of == "spoof"].tolist())
    target, nontarget, spoof = (scores[key_of == key] for key in ASV_KEYS)
    return AsvScores(target, nontarget, spoof, known)


def _columns(path: Path, formats: Mapping[int, str]) -> tuple[list[list[str]], list[int]]:
    """The columns of a file in one of the formats, without blank lines, and the line numbers, from 1."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = content.decode()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8 text") from error
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
        raise _input_error(path, numbers, wrong)
    words = text.split()  # all at once: a list per line would keep the garbage collector busy
    return [words[column::width] for column in range(width)], numbers


def _floats(path: Path, texts: Sequence[str], numbers: list[int]) -> NDArray[np.float64]:
    try:
        scores = np.array(texts, dtype=np.float64)
    except ValueError:
        scores = np.array([_float(text) for text in texts])
    bad = np.flatnonzero(~np.isfinite(scores)).tolist()
    wrong = {row: f"the score {texts[row]!r} is not a finite number" for row in bad}
    if wrong:
        raise _input_error(path, numbers, wrong)
    return scores


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan  # the caller reports it like the score "nan"


def _check_keys(path: Path, keys: Sequence[str], numbers: list[int], valid: Collection[str]) -> None:
    if not set(keys) <= set(valid):
        choices = ", ".join(valid)
        wrong = {row: f"no key {key!r}; there are {choices}" for row, key in enumerate(keys) if key not in valid}
        raise _input_error(path, numbers, wrong)


def _check_unique(path: Path, utterances: Sequence[str], numbers: list[int]) -> None:
    if len(set(utterances)) == len(utterances):
        return
    first: dict[str, int] = {}
    wrong: dict[int, str] = {}
    for row, utterance in enumerate(utterances):
        if first.setdefault(utterance, row) != row:
            wrong[row] = f"utterance {utterance!r} is listed again; it is in line {numbers[first[utterance]]}"
    raise _input_error(path, numbers, wrong)


def _input_error(path: Path, numbers: list[int], wrong: dict[int, str]) -> InputError:
    """The error for problems by row index. It lists the first ones only: in a wrong file, every line is a problem."""
    problems = [f"{path}:{numbers[row]}: {problem}" for row, problem in wrong.items()]
    n_more = len(problems) - _MAX_PROBLEMS
    return InputError(problems[:_MAX_PROBLEMS] + ([f"{path}: {n_more} more lines are wrong"] if n_more > 0 else []))


def _words(name: str, column: NDArray[np.str_] | Sequence[str] | None, scores: CmScores) -> list[str]:
    if column is None or len(column) != len(scores.scores):
        count = "none" if column is None else str(len(column))
        raise ValueError(f"{name}: {len(scores.scores)} are needed, one for each score; there are {count}")
    words = encoded([str(word) for word in column])
    if not all(words):
        raise ValueError(f"{name}: a name is empty, which would break the columns of the file")
    return words


def _write(path: Path, text: str) -> None:
    content = gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
