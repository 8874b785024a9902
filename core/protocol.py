"""Corpora: protocol files -> utterances. The only place that knows how corpora are laid out on disk."""

import copy
import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.errors import InputError

PARTITIONS = ("train", "dev", "eval")
LABELS = {"bonafide": 1, "bona-fide": 1, "bona_fide": 1, "spoof": 0}
"""Words for the two classes in the files of all layouts; 1 = bona fide."""

MAX_PROBLEMS = 20

LA19_KINDS = {
    "A01": "neural-waveform TTS",
    "A02": "vocoder TTS",
    "A03": "vocoder TTS",
    "A04": "waveform-concatenation TTS",
    "A05": "vocoder VC",
    "A06": "spectral-filtering VC",
}
"""Kinds of the attacks of train and dev in ASVspoof 2019 LA, after the waveform generator (Wang 2020, table 1)."""

LA19_IDS = ("LA_T_", "LA_D_", "LA_E_")
"""Beginnings of the utterance ids of ASVspoof 2019 LA; corpora in the same layout have others."""

LA19_COUNTS = {"train": (2580, 22800), "dev": (2548, 22296), "eval": (7355, 63882)}
"""Bona fide and spoofed utterances of ASVspoof 2019 LA as distributed. The paper's section 4 quotes other numbers."""

AUDIO_SUFFIXES = (".flac", ".wav", ".ogg")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording of a corpus.

    Attributes:
        utterance_id: Unique within its partition.
        path: The audio file.
        label: 1 = bona fide, 0 = spoof.
        speaker_id: The speaker, or the one who is claimed; `-` where unknown.
        attack_id: Which attack; `-` for bona fide or unknown.
        partition: One of PARTITIONS.
        kind: What kind of attack, such as `vocoder TTS`; `-` for bona fide or unknown.
        source: The recording that it was cut or made from; `-` where unknown.
        corpus: Which of several corpora in one table it is of; `-` where there is one.
    """

    utterance_id: str
    path: Path
    label: int
    speaker_id: str
    attack_id: str
    partition: str
    kind: str = "-"
    source: str = "-"
    corpus: str = "-"


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of a protocol says, before its file is looked for."""

    where: str
    utterance_id: str
    key: str
    speaker_id: str
    attack_id: str
    file: Path | None
    kind: str = "-"
    source: str = "-"
    corpus: str = "-"


Reader = Callable[[], Iterator[Line | str]]


class SealedPartition(RuntimeError):
    """A part of the program opened a partition that it must not know: a defect of ours, no mistake of a user's."""


class Corpus:
    """A corpus whose partitions are read when they are asked for, and only then.

    Attributes:
        name: Layout and folder, for people.
        root: The folder or file that the user named.
        warnings: What is odd but no error, of the partitions read so far.
    """

    def __init__(
        self, name: str, root: Path, readers: Mapping[str, Reader], known_counts: Mapping[str, tuple[int, int]] = {}
    ) -> None:
        self.name = name
        self.root = root
        self.warnings: list[str] = []
        self._readers = dict(readers)
        self._known_counts = dict(known_counts)
        self._read: dict[str, tuple[Utterance, ...]] = {}
        self._sealed: tuple[str, ...] = ()

    def partitions(self) -> tuple[str, ...]:
        """The partitions that the corpus may have; nothing is opened."""
        return tuple(name for name in PARTITIONS if name in self._readers)

    def sealed(self, *names: str) -> "Corpus":
        """The same corpus, which refuses to open these partitions."""
        closed = copy.copy(self)
        closed._sealed = names
        closed._read = {name: found for name, found in self._read.items() if name not in names}
        return closed

    def partition(self, name: str) -> tuple[Utterance, ...]:
        """The utterances of a partition in the order of its protocol. No other partition's file is opened.

        Raises:
            SealedPartition: it is sealed.
            InputError: every line that is wrong, with file and line: a missing recording, a duplicate, an unknown key,
                a wrong number of columns; or the partition is empty, or train or dev lacks a class.
        """
        if name not in self._readers:
            there = ", ".join(self.partitions())
            raise InputError(f"{self.root}: this corpus has no partition {name!r}; it has {there}")
        if name in self._sealed:
            raise SealedPartition(f"{self.root}: partition {name} is sealed: nothing that decides may look at it")
        if name not in self._read:
            self._read[name] = self._parse(name)
        return self._read[name]

    def counts(self, name: str) -> tuple[int, int]:
        """Bona fide and spoofed utterances of a partition."""
        bona_fide = sum(each.label for each in self.partition(name))
        return bona_fide, len(self.partition(name)) - bona_fide

    def _parse(self, name: str) -> tuple[Utterance, ...]:
        problems: list[str] = []
        first: dict[str, str] = {}
        found: list[Utterance] = []
        listing = _Listing()
        for line in self._readers[name]():
            if isinstance(line, str):
                problems.append(line)
            elif line.key not in LABELS:
                problems.append(f"{line.where}: key {line.key!r}; it is bonafide or spoof")
            elif line.file is None:
                problems.append(f"{line.where}: names no recording")
            elif line.utterance_id in first:
                problems.append(f"{line.where}: {line.utterance_id} stands twice; first at {first[line.utterance_id]}")
            elif not (path := listing.find(line.file)):
                tried = "" if line.file.suffix in AUDIO_SUFFIXES else f" ({', '.join(AUDIO_SUFFIXES)})"
                problems.append(f"{line.where}: no recording {line.file}{tried}")
            else:
                label = LABELS[line.key]
                attack, kind = ("-", "-") if label else (line.attack_id, line.kind)
                ids = (line.speaker_id, attack, name, kind, line.source, line.corpus)
                found.append(Utterance(line.utterance_id, path, label, *ids))
            if not isinstance(line, str):
                first.setdefault(line.utterance_id, line.where)
        if not problems and not found:
            problems.append(f"{self.root}: partition {name} is empty")
        elif not problems and name != "eval" and len({each.label for each in found}) < 2:
            only = "bona fide" if found[0].label else "spoofed"
            problems.append(f"{self.root}: partition {name} has {only} utterances alone; both classes are needed")
        if problems:
            more = len(problems) - MAX_PROBLEMS
            raise InputError(problems[:MAX_PROBLEMS] + ([f"{self.root}: and {more} more"] if more > 0 else []))
        self._compare_with_known_counts(name, found)
        return tuple(found)

    def _compare_with_known_counts(self, name: str, found: list[Utterance]) -> None:
        if name not in self._known_counts or not found[0].utterance_id.startswith(LA19_IDS):
            return
        bona_fide = sum(each.label for each in found)
        counts = (bona_fide, len(found) - bona_fide)
        known = self._known_counts[name]
        if counts != known:
            self.warnings.append(
                f"{name}: {counts[0]} bona fide and {counts[1]} spoofed utterances; ASVspoof 2019 LA as distributed "
                f"has {known[0]} and {known[1]}"
            )


class _Listing:
    """Looks recordings up in folder listings: one look a folder, not one a file."""

    def __init__(self) -> None:
        self._folders: dict[Path, set[str]] = {}

    def find(self, file: Path) -> Path | None:
        """The recording of that path, with its own suffix or else one of AUDIO_SUFFIXES."""
        folder = file.parent
        if folder not in self._folders:
            self._folders[folder] = self._names(folder)
        names = self._folders[folder]
        candidates = (file.name, *(file.name + suffix for suffix in AUDIO_SUFFIXES))
        return next((file.with_name(name) for name in candidates if name in names), None)

    @staticmethod
    def _names(folder: Path) -> set[str]:
        try:
            with os.scandir(folder) as entries:
                return {each.name for each in entries if each.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            raise InputError(f"{folder}: cannot be read: {error}") from error


def asvspoof2019_la(
    path: Path, *, prefix: str = "ASVspoof2019_LA", protocol_prefix: str = "ASVspoof2019.LA.cm"
) -> Corpus:
    """A corpus in the layout of ASVspoof 2019 LA.

    `<prefix>_{train,dev,eval}/flac/<utterance>.flac` and, in `<prefix>_cm_protocols`,
    `<protocol_prefix>.train.trn.txt`, `.dev.trl.txt`, `.eval.trl.txt` with five columns: speaker, utterance, `-`,
    attack or `-`, bonafide or spoof.

    Args:
        path: Folder of the corpus.
        prefix: Beginning of the folders' names.
        protocol_prefix: Beginning of the protocols' names.

    Raises:
        InputError: no such folder.
    """
    root = _folder(path)
    suffixes = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}

    def reader(partition: str) -> Reader:
        protocol = root / f"{prefix}_cm_protocols" / f"{protocol_prefix}.{suffixes[partition]}.txt"
        recordings = root / f"{prefix}_{partition}" / "flac"

        def lines() -> Iterator[Line | str]:
            for where, columns in _columns(protocol):
                if len(columns) != 5:
                    yield f"{where}: {len(columns)} columns; there are 5: speaker utterance - attack key"
                    continue
                speaker, utterance, _, attack, key = columns
                kind = LA19_KINDS.get(attack, "-") if utterance.startswith(LA19_IDS) else "-"
                yield Line(where, utterance, key, speaker, attack, recordings / utterance, kind)

        return lines

    readers = {name: reader(name) for name in PARTITIONS}
    return Corpus(f"asvspoof2019_la {root.name}", root, readers, known_counts=LA19_COUNTS)


def asvspoof2021(
    path: Path, *, phase: Literal["eval", "progress", "hidden", "all"] = "eval", recordings: str = "flac"
) -> Corpus:
    """The keys of ASVspoof 2021 LA or DF, as an eval set.

    `trial_metadata.txt` with at least 8 columns: speaker, utterance, codec, transmission, attack, key, trim, phase (DF
    has more after them). It lies in the folder or below it, as in the distributed `keys/LA/CM`; the file of the same
    name in `keys/LA/ASV` is for speaker verification and left alone.

    Args:
        path: Folder of the corpus.
        phase: Which phase's utterances.
        recordings: Folder of the FLAC files below `path`.
    """
    root = _folder(path)

    def lines() -> Iterator[Line | str]:
        found = sorted(root.rglob("trial_metadata.txt"))
        found = [each for each in found if each.parent.name == "CM"] or found
        if len(found) != 1:
            which = f" ({', '.join(str(each.parent.relative_to(root)) for each in found)})" if found else ""
            yield f"{root}: {len(found)} files trial_metadata.txt in it{which}; there must be one, of one track"
            return
        for where, columns in _columns(found[0]):
            if len(columns) < 8:
                what = "speaker utterance codec transmission attack key trim phase"
                yield f"{where}: {len(columns)} columns; there are at least 8: {what}"
                continue
            speaker, utterance, _, _, attack, key, _, its_phase = columns[:8]
            if its_phase not in ("eval", "progress", "hidden"):
                yield f"{where}: phase {its_phase!r}; it is eval, progress or hidden"
            elif phase in (its_phase, "all"):
                yield Line(where, utterance, key, speaker, attack, root / recordings / utterance)

    return Corpus(f"asvspoof2021 {root.name}", root, {"eval": lines})


def in_the_wild(path: Path, *, partition: Literal["train", "dev", "eval"] = "eval") -> Corpus:
    """In-the-Wild: a folder with `meta.csv` (file, speaker, label bona-fide or spoof), all of it one partition.

    Args:
        path: Folder of the corpus.
        partition: Which one it is; an eval set unless told otherwise.
    """
    root = _folder(path)

    def lines() -> Iterator[Line | str]:
        for where, row in _rows(root / "meta.csv", ("file", "speaker", "label")):
            if isinstance(row, str):
                yield row
            else:
                yield Line(where, row["file"], row["label"], row["speaker"], "-", _below(root, row["file"]))

    return Corpus(f"in_the_wild {root.name}", root, {partition: lines})


CSV_OPTIONAL = ("attack", "speaker", "kind", "source", "corpus", "utterance")
"""Columns that a CSV may have."""


def from_csv(path: Path) -> Corpus:
    """A CSV with a header: path, label (bonafide or spoof), partition (train, dev, eval), and what else is known.

    That may be attack, speaker, kind (of the attack), source (the recording that an utterance was cut or made from),
    corpus and utterance (its id; otherwise the path). Paths are relative to the CSV's folder, or absolute.

    Args:
        path: The CSV.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; the csv layout needs a CSV with path, label, partition")

    def reader(partition: str) -> Reader:
        def lines() -> Iterator[Line | str]:
            for where, row in _rows(path, ("path", "label", "partition"), CSV_OPTIONAL):
                if isinstance(row, str):
                    yield row
                elif row["partition"] not in PARTITIONS:
                    yield f"{where}: partition {row['partition']!r}; it is one of {', '.join(PARTITIONS)}"
                elif row["partition"] == partition:
                    attack, speaker, *more, utterance = (row.get(name) or "-" for name in CSV_OPTIONAL)
                    file = _below(path.parent, row["path"])
                    utterance = row["path"] if utterance == "-" else utterance
                    yield Line(where, utterance, row["label"], speaker, attack, file, *more)

        return lines

    return Corpus(f"csv {path.name}", path, {name: reader(name) for name in PARTITIONS})


CORPORA: dict[str, Callable[..., Any]] = {
    "asvspoof2019_la": asvspoof2019_la,
    "asvspoof2021": asvspoof2021,
    "in_the_wild": in_the_wild,
    "csv": from_csv,
}


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder (looked for {path.absolute()})")
    return path


def _below(folder: Path, name: str) -> Path | None:
    return folder / name if name else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _columns(path: Path) -> Iterable[tuple[str, list[str]]]:
    """`file:line` and the words of every line that is not blank."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip():
            yield f"{path}:{number}", line.split()


def _rows(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[tuple[str, dict[str, str] | str]]:
    """`file:line` and the row of a CSV by the names of its header, or what is wrong with it."""
    rows = csv.reader(io.StringIO(_text(path)))
    try:
        yield from _named(path, rows, needed, optional)
    except csv.Error as error:
        yield f"{path}:{rows.line_num}", f"{path}:{rows.line_num}: {error}"


def _named(
    path: Path, rows: Any, needed: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, str] | str]]:
    header = [name.strip() for name in next(rows, [])]
    missing = [name for name in needed if name not in header]
    if missing:
        where = f"{path}:1"
        yield (
            where,
            f"{where}: the header lacks {', '.join(missing)}; it needs {', '.join(needed)}"
            + (f" and may have {', '.join(optional)}" if optional else ""),
        )
        return
    for row in rows:
        where = f"{path}:{rows.line_num}"
        if not row:
            continue
        if len(row) != len(header):
            yield where, f"{where}: {len(row)} columns; the header has {len(header)}"
            continue
        yield where, dict(zip(header, (value.strip() for value in row), strict=True))
