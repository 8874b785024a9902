"""Keys of utterances from the protocol of a corpus, for scores whose file has none."""

import csv
import dataclasses
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from core.corpora.corpus import AUDIO_SUFFIXES
from core.corpora.generic import WORDS
from core.errors import InputError
from core.evaluation.score_file import CmScores
from core.evaluation.score_lines import MAX_PROBLEMS, read_text

PHASES = ("eval", "progress", "hidden")
"""Phases of ASVspoof 2021."""


class KeyFormat(NamedTuple):
    """Columns of a protocol: names separated by blanks, whether more may follow, and its word for no codec."""

    columns: str
    more: bool = False
    uncoded: str = "none"


FORMATS = (
    KeyFormat("speaker utterance - codec - - - attack key -", uncoded="-"),  # ASVspoof 5
    KeyFormat("speaker utterance codec transmission attack key - phase", more=True),  # 2021
    KeyFormat("utterance key speaker - - - -"),  # 2017
    KeyFormat("speaker utterance - attack key score"),  # a score file
    KeyFormat("speaker utterance - attack key"),  # 2019, PartialSpoof, DECRO
    KeyFormat("speaker utterance attack key"),  # 2015
    KeyFormat("utterance attack key score"),  # a score file
    KeyFormat("utterance key attack"),  # Codecfake
    KeyFormat("utterance key"),  # ADD 2022
)
"""Formats without a header; the first one counts that has the number of columns and a key in its place."""

HEADERS = {
    "utterance": ("utterance", "filename", "trial_anon", "file", "path"),
    "key": ("cm-label", "label", "key"),
    "speaker": ("speaker", "spk", "tar_spk_anon"),
    "attack": ("attack", "attack_anon"),
    "codec": ("codec",),
}
"""Column -> its names in files with a header, whose columns are separated by tabs, commas or blanks."""

CONDITIONS = ("codec", "transmission", "source")


@dataclasses.dataclass(frozen=True)
class Key:
    """Key of one utterance: where it is listed, its label, and what else its line tells by name of the column."""

    where: str
    label: int
    facts: Mapping[str, str]


def read_keys(path: Path) -> dict[str, Key]:
    """Utterance -> its key, from a protocol or a key file of any format that the corpora have.

    Args:
        path: The file: `trial_metadata.txt`, the protocols of ASVspoof 2015 to 5, `meta.csv`, a corpus in CSV form, a
            score file with keys, or a table whose header names an utterance and a key.

    Raises:
        InputError: The file cannot be read; its format is unknown; a line has a wrong number of columns or an unknown
            key; or an utterance is listed twice.
    """
    keys: dict[str, Key] = {}
    problems = []
    for row in _rows(path):
        if isinstance(row, str):
            problems.append(row)
            continue
        where, facts = row
        utterance, word = facts.pop("utterance"), facts.pop("key")
        earlier = keys.get(utterance)
        if word not in WORDS:
            problems.append(f"{where}: key {word!r}; it is one of {', '.join(WORDS)}")
        elif earlier and (earlier.label == 1) != (WORDS[word] == "bonafide"):
            problems.append(f"{where}: {utterance} has the key {word}, but another one at {earlier.where}")
        elif earlier:
            problems.append(f"{where}: {utterance} is listed twice; first at {earlier.where}")
        else:
            keys[utterance] = Key(where, int(WORDS[word] == "bonafide"), facts)
    _raise(path, problems)
    return keys


def with_keys(
    scores: CmScores,
    numbers: list[int],
    path: Path,
    keys: Mapping[str, Key],
    keys_path: Path,
    *,
    phase: str = "eval",
    partial: bool = False,
) -> tuple[CmScores, list[str]]:
    """Scores with the names, labels, attacks, speakers and conditions of a key file, and remarks on what was left out.

    An utterance of the scores is looked up by its name, in either Unicode form; then by the name of its file, without
    folders and without the suffix of a recording, so that recordings as `spooftune score` prints them are found.

    Args:
        scores: The scores.
        numbers: Line number of every score.
        path: Their file, for messages.
        keys: Utterance -> its key.
        keys_path: The file of the keys, for messages.
        phase: Phase of ASVspoof 2021 to which the scores are restricted; `all` for all phases.
        partial: Whether scores of only a part of the keys are accepted.

    Raises:
        InputError: A score has no key or another key than in its own file; two scores belong to one utterance; or a
            key has no score.
    """
    index = _Index(keys)
    problems: list[str] = []
    rows: list[int] = []
    chosen: list[str] = []
    left_out = 0
    taken: dict[str, int] = {}
    for row, (name, number) in enumerate(zip(scores.utterance_ids.tolist(), numbers, strict=True)):
        utterance = index.find(name)
        if utterance is None or isinstance(utterance, list):
            several = "" if utterance is None else f"; {' and '.join(utterance[:3])} have this file name"
            problems.append(f"{path}:{number}: no key of {name} in {keys_path}{several}")
            continue
        key = keys[utterance]
        if utterance in taken:
            problems.append(f"{path}:{number}: {name} is {utterance}, which line {taken[utterance]} has already")
        elif scores.labels is not None and scores.labels[row] != key.label:
            problems.append(f"{path}:{number}: the key of {name} differs from the key at {key.where}")
        elif phase != "all" and key.facts.get("phase", phase) != phase:
            left_out += 1
        else:
            rows.append(row)
            chosen.append(utterance)
        taken.setdefault(utterance, number)
    _raise(path, problems)
    wanted = [name for name, key in keys.items() if phase == "all" or key.facts.get("phase", phase) == phase]
    missing = [name for name in wanted if name not in taken]
    remarks = [f"{left_out} scores of other phases than {phase} are left out"] if left_out else []
    if missing:
        remark = f"{keys[missing[0]].where}: no score of {missing[0]}"
        remark += f" and of {len(missing) - 1} more utterances" if len(missing) > 1 else ""
        if not partial:
            raise InputError(f"{remark} in {path}; --partial evaluates the others")
        remarks.append(remark)
    return _joined(scores, rows, chosen, [keys[name] for name in chosen]), remarks


def _joined(scores: CmScores, rows: list[int], names: list[str], keys: list[Key]) -> CmScores:
    facts = [key.facts for key in keys]
    labels = np.array([key.label for key in keys], dtype=np.int8)
    known = {name for line in facts for name in line}
    attacks = np.array(
        [line.get("attack", "-") if not key.label else "-" for key, line in zip(keys, facts, strict=True)]
    )
    speakers = None if scores.speaker_ids is None else scores.speaker_ids[rows]
    if "speaker" in known:
        speakers = np.array([line["speaker"] for line in facts])
    conditions = {name: np.array([line.get(name, "-") for line in facts]) for name in CONDITIONS if name in known}
    has_attacks = bool(set(attacks.tolist()) - {"-"})
    return CmScores(
        np.array(names), scores.scores[rows], attacks if has_attacks else None, labels, speakers, conditions
    )


class _Index:
    """Looks up utterances by their names, then by the names of their files."""

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._exact = {unicodedata.normalize("NFC", name): name for name in keys}
        self._by_file: dict[str, list[str]] = {}
        for name in keys:
            self._by_file.setdefault(_file_name(name), []).append(name)

    def find(self, name: str) -> str | list[str] | None:
        """The utterance; several if only their file names are the same; None if there is none."""
        exact = self._exact.get(unicodedata.normalize("NFC", name))
        if exact is not None:
            return exact
        same = self._by_file.get(_file_name(name), [])
        return same[0] if len(same) == 1 else same or None


def _file_name(name: str) -> str:
    last = PurePath(unicodedata.normalize("NFC", name)).name
    suffix = next((suffix for suffix in AUDIO_SUFFIXES if last.lower().endswith(suffix)), "")
    return last[: len(last) - len(suffix)]


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]] | str]:
    """`file:line` and the named columns of every line; a problem, as text, replaces a line that is wrong."""
    lines = [(number, line) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise InputError(f"{path}: the file has no keys")
    first, header = lines[0]
    delimiter = next((mark for mark in ("\t", ",") if mark in header), None)
    titles = [title.strip() for title in (header.split(delimiter))]
    named = {column: titles.index(name) for column, names in HEADERS.items() for name in names[::-1] if name in titles}
    has_header = {"utterance", "key"} <= set(named)
    uncoded = "-"
    if not has_header:
        chosen = _format(path, first, header.split())
        titles, uncoded = chosen.columns.split(), chosen.uncoded
        named = {name: position for position, name in enumerate(titles) if name not in ("-", "score")}
        delimiter = None
    for number, line in lines[1:] if has_header else lines:
        words = next(csv.reader([line.strip("\r")])) if delimiter == "," else line.strip().split(delimiter)
        expected = len(titles)
        if len(words) < expected or (len(words) > expected and (has_header or not chosen.more)):
            yield f"{path}:{number}: {len(words)} columns; there are {expected}: {' '.join(titles)}"
        else:
            facts = {name: words[position].strip() for name, position in named.items()}
            if facts.get("codec") == uncoded:
                facts["codec"] = "none"
            if "transmission" in facts and facts["utterance"].startswith("DF_"):
                facts["source"] = facts.pop("transmission")  # 2021 DF: the corpus that the recording comes from
            yield f"{path}:{number}", facts


def _format(path: Path, number: int, words: list[str]) -> KeyFormat:
    for chosen in FORMATS:
        titles = chosen.columns.split()
        fits = len(words) == len(titles) or (chosen.more and len(words) > len(titles))
        if fits and words[titles.index("key")] in WORDS:
            return chosen
    known = "; ".join(chosen.columns for chosen in FORMATS)
    raise InputError(
        f"{path}:{number}: {len(words)} columns in no known order, or no key ({', '.join(WORDS)}); valid are a header "
        f"with an utterance ({', '.join(HEADERS['utterance'])}) and a key ({', '.join(HEADERS['key'])}), and {known}"
    )


def _raise(path: Path, problems: list[str]) -> None:
    if problems:
        more = len(problems) - MAX_PROBLEMS
        raise InputError(problems[:MAX_PROBLEMS] + ([f"{path}: and {more} more"] if more > 0 else []))
