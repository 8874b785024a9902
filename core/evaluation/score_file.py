"""Score files in the formats of the ASVspoof organisers: plain text, or gzip if the name ends in `.gz`."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.atomic import replacing
from core.corpora.corpus import LABELS
from core.errors import InputError
from core.evaluation.score_lines import check_keys, check_unique, floats, input_error, read_columns, read_text
from core.evaluation.words import decoded, encoded

COLUMNS = {
    2: "utterance score",
    3: "speaker utterance score",
    4: "utterance attack key score",
    6: "speaker utterance - attack key score",
}
"""Formats of CM scores by their number of columns: 2 is that of ASVspoof 2021, 4 and 6 are those of 2019."""

NAME, SCORE, SPEAKER = "filename", "cm-score", "spk"
"""Columns that are read of a score file with a header, as ASVspoof 5 has it (tracks 1 and 2)."""

ASV_KEYS = ("target", "nontarget", "spoof")
_KEYS = {1: "bonafide", 0: "spoof"}


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
    """CM scores of a file, in the order of the file; blank lines are skipped.

    The formats are those of `COLUMNS`, that of ASVspoof 5 with a header, and the output of `spooftune score`, which has
    recording, score and decision, separated by tabs. The decision is ignored. Names are decoded as in
    `core.evaluation.words`.

    Raises:
        InputError: The file cannot be read or has no scores; a line has the wrong number of columns, an unknown key, a
            score that is not a finite number, or an utterance of an earlier line.
    """
    return numbered_cm_scores(path)[0]


def numbered_cm_scores(path: Path) -> tuple[CmScores, list[int]]:
    """CM scores as of `read_cm_scores`, and the line number of every score, from 1."""
    found = _with_tabs(path)
    if found is None:
        columns, numbers = read_columns(path, COLUMNS)
        width = len(columns)
        if width == 3 and set(columns[1]) <= set(ASV_KEYS):
            valid = "; ".join(f"{count} ({names})" for count, names in COLUMNS.items())
            raise InputError(f"{path}:{numbers[0]}: these are ASV scores (attack key score); valid are {valid}")
        utterances = decoded(columns[0 if width in (2, 4) else 1])
        speakers = decoded(columns[0]) if width in (3, 6) else None
        keys, attacks = (columns[-2], decoded(columns[-3])) if width in (4, 6) else (None, None)
        texts = columns[-1]
    else:
        utterances, texts, speakers, numbers = found
        keys = attacks = None
    scores = floats(path, texts, numbers)
    check_unique(path, utterances, numbers)
    labels = None
    if keys is not None:
        check_keys(path, keys, numbers, LABELS)
        labels = np.array([LABELS[key] for key in keys], dtype=np.int8)
    return CmScores(
        np.array(utterances),
        scores,
        None if attacks is None else np.array(attacks),
        labels,
        None if speakers is None else np.array(speakers),
    ), numbers


def _with_tabs(path: Path) -> tuple[list[str], list[str], list[str] | None, list[int]] | None:
    """Utterances, scores as text, speakers and line numbers of a file with a header or of `spooftune score`; else None.

    Raises:
        InputError: A line has another number of columns than the first.
    """
    lines = {number: line for number, line in enumerate(read_text(path).split("\n"), start=1) if line.strip()}
    first = next(iter(lines.values()), "")
    header = first.split()
    if NAME in header and SCORE in header:
        rows = {number: line.split() for number, line in list(lines.items())[1:]}
        width, names = len(header), " ".join(header)
    elif first.count("\t") == 2 and first.rstrip("\r").rpartition("\t")[2] in _KEYS.values():
        rows = {number: line.rstrip("\r").split("\t") for number, line in lines.items()}
        header, width, names = [NAME, SCORE, "decision"], 3, "recording score decision, separated by tabs"
    else:
        return None
    numbers = list(rows)
    if not rows:
        raise InputError(f"{path}: the file has no scores")
    wrong = {
        index: f"{len(row)} columns, not {width} ({names})"
        for index, row in enumerate(rows.values())
        if len(row) != width
    }
    if wrong:
        raise input_error(path, numbers, wrong)
    columns = dict(zip(header, (list(column) for column in zip(*rows.values(), strict=True)), strict=True))
    return columns[NAME], columns[SCORE], columns.get(SPEAKER), numbers


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
    columns, numbers = read_columns(path, {3: "attack key score", 4: "speaker utterance score key"})
    attacks, keys, texts = columns if len(columns) == 3 else (["-"] * len(numbers), columns[3], columns[2])
    check_keys(path, keys, numbers, ASV_KEYS)
    scores, key_of = floats(path, texts, numbers), np.array(keys)
    missing = [f"{path}: no line has the key {key!r}" for key in ASV_KEYS if not np.any(key_of == key)]
    if missing:
        raise InputError(missing)
    known = frozenset(np.array(attacks)[key_of == "spoof"].tolist())
    target, nontarget, spoof = (scores[key_of == key] for key in ASV_KEYS)
    return AsvScores(target, nontarget, spoof, known)


def _words(name: str, column: NDArray[np.str_] | Sequence[str] | None, scores: CmScores) -> list[str]:
    if column is None or len(column) != len(scores.scores):
        count = "none" if column is None else str(len(column))
        raise ValueError(f"{name}: {len(scores.scores)} are needed, one for each score; there are {count}")
    words = encoded([str(word) for word in column])
    if not all(words):
        raise ValueError(f"{name}: a name is empty, which would break the columns of the file")
    return words


def _write(path: Path, text: str) -> None:
    encoded_text = text.encode(errors="surrogateescape")  # names have the bytes that the corpus has
    content = gzip.compress(encoded_text, mtime=0) if path.suffix == ".gz" else encoded_text
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
