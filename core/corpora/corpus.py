"""Corpora: labelled utterances by partition. A partition is read at its first use."""

import copy
import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError

PARTITIONS = ("train", "dev", "eval")
LABELS = {"bonafide": 1, "bona-fide": 1, "bona_fide": 1, "spoof": 0}
"""Key of a class in the files of all layouts -> label; 1 = bona fide."""

MAX_PROBLEMS = 20

LA19_IDS = ("LA_T_", "LA_D_", "LA_E_")
"""Prefixes of the utterance ids of ASVspoof 2019 LA. Other corpora in the same layout have other prefixes."""

LA19_COUNTS = {"train": (2580, 22800), "dev": (2548, 22296), "eval": (7355, 63882)}
"""Numbers of bona fide and spoofed utterances of ASVspoof 2019 LA as distributed. Section 4 of the paper has others."""

AUDIO_SUFFIXES = (".flac", ".wav", ".ogg")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled recording of a corpus.

    Attributes:
        utterance_id: Id, unique within the partition.
        path: The audio file.
        label: 1 = bona fide, 0 = spoof.
        speaker_id: The speaker; for spoofed speech, the claimed speaker. `-`: unknown.
        attack_id: Attack, such as `A07`. `-`: bona fide or unknown.
        partition: One of PARTITIONS.
        kind: Kind of the attack, such as `WORLD vocoder`. `-`: bona fide or unknown.
        source: The recording that the utterance was cut or made from. `-`: unknown.
        corpus: Name of the corpus, if one CSV combines several corpora. `-`: not given.
        copy: Row of `core.corpora.copies.WIDENERS` that made the utterance from `source`. None: an original.
        conditions: Pairs of a condition and its value, such as `("codec", "alaw")`. Unknown ones are left out.
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
    copy: str | None = None
    conditions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """Content of one line of a protocol, before its recording is looked up.

    `where` is the file and line number for messages. `file` is the recording without its suffix or with it; None if the
    line names none. The other attributes are those of `Utterance`.
    """

    where: str
    utterance_id: str
    key: str
    speaker_id: str
    attack_id: str
    file: Path | None
    kind: str = "-"
    source: str = "-"
    corpus: str = "-"
    copy: str | None = None
    conditions: tuple[tuple[str, str], ...] = ()


Reader = Callable[[], Iterator[Line | str]]


class SealedPartition(RuntimeError):
    """The program opened a partition that is sealed. This is a defect of the program, not an error of the user."""


class Corpus:
    """A corpus. The protocol of a partition is read when `partition` is first called for it.

    Attributes:
        name: Layout and folder, for messages.
        root: The folder or file that the user named.
        warnings: Warnings about the partitions read so far, such as an unexpected number of utterances.
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
        """Names of the partitions that the layout provides. No file is opened."""
        return tuple(name for name in PARTITIONS if name in self._readers)

    def lists(self, name: str) -> bool:
        """Whether the protocol of a partition has any line. A CSV or a list may leave out a partition.

        Raises:
            SealedPartition: The partition is sealed.
        """
        if name in self._sealed:
            raise SealedPartition(f"{self.root}: partition {name} is sealed: the search must not read it")
        return any(True for _ in self._readers[name]())

    def sealed(self, *names: str) -> "Corpus":
        """Copy of the corpus that refuses to open the named partitions."""
        closed = copy.copy(self)
        closed._sealed = names
        closed._read = {name: utterances for name, utterances in self._read.items() if name not in names}
        return closed

    def partition(self, name: str) -> tuple[Utterance, ...]:
        """Utterances of a partition in the order of its protocol. The files of other partitions are not opened.

        Args:
            name: One of `partitions()`.

        Raises:
            SealedPartition: The partition is sealed.
            InputError: The corpus has no such partition; lines of the protocol are wrong, each listed with file and
                line number (missing recording, duplicate, unknown key, wrong number of columns); the partition is
                empty; or train or dev lacks a class.
        """
        if name not in self._readers:
            valid = ", ".join(self.partitions())
            raise InputError(f"{self.root}: this corpus has no partition {name!r}; it has {valid}")
        if name in self._sealed:
            raise SealedPartition(f"{self.root}: partition {name} is sealed: the search must not read it")
        if name not in self._read:
            self._read[name] = self._parse(name)
        return self._read[name]

    def lines(self, name: str) -> Iterator[Line | str]:
        """Lines of a partition's protocol, and problems as text, before recordings are looked up; for other layouts.

        Raises:
            SealedPartition: The partition is sealed.
        """
        if name in self._sealed:
            raise SealedPartition(f"{self.root}: partition {name} is sealed: the search must not read it")
        return self._readers[name]()

    def counts(self, name: str) -> tuple[int, int]:
        """Numbers of bona fide and of spoofed utterances of a partition; raises as `partition` does."""
        bona_fide = sum(utterance.label for utterance in self.partition(name))
        return bona_fide, len(self.partition(name)) - bona_fide

    def _parse(self, name: str) -> tuple[Utterance, ...]:
        problems: list[str] = []
        first: dict[str, str] = {}
        utterances: list[Utterance] = []
        listing = _Listing()
        for line in self._readers[name]():
            if isinstance(line, str):
                problems.append(line)
            elif line.key not in LABELS:
                problems.append(f"{line.where}: key {line.key!r}; it is bonafide or spoof")
            elif line.file is None:
                problems.append(f"{line.where}: names no recording")
            elif line.utterance_id in first:
                listed = first[line.utterance_id]
                problems.append(f"{line.where}: {line.utterance_id} is listed twice; first at {listed}")
            elif not (path := listing.find(line.file)):
                tried = "" if line.file.suffix in AUDIO_SUFFIXES else f" ({', '.join(AUDIO_SUFFIXES)})"
                problems.append(f"{line.where}: no recording {line.file}{tried}")
            else:
                label = LABELS[line.key]
                attack, kind = ("-", "-") if label else (line.attack_id, line.kind)
                ids = (line.speaker_id, attack, name, kind, line.source, line.corpus)
                utterances.append(Utterance(line.utterance_id, path, label, *ids, line.copy, line.conditions))
            if not isinstance(line, str):
                first.setdefault(line.utterance_id, line.where)
        if not problems and not utterances:
            problems.append(f"{self.root}: partition {name} is empty")
        elif not problems and name != "eval" and len({utterance.label for utterance in utterances}) < 2:
            only = "bona fide" if utterances[0].label else "spoofed"
            problems.append(f"{self.root}: partition {name} has only {only} utterances; both classes are needed")
        if problems:
            more = len(problems) - MAX_PROBLEMS
            raise InputError(problems[:MAX_PROBLEMS] + ([f"{self.root}: and {more} more"] if more > 0 else []))
        self._compare_with_known_counts(name, utterances)
        return tuple(utterances)

    def _compare_with_known_counts(self, name: str, utterances: list[Utterance]) -> None:
        if name not in self._known_counts or not utterances[0].utterance_id.startswith(LA19_IDS):
            return
        bona_fide = sum(utterance.label for utterance in utterances)
        counts = (bona_fide, len(utterances) - bona_fide)
        known = self._known_counts[name]
        if counts != known:
            self.warnings.append(
                f"{name}: {counts[0]} bona fide and {counts[1]} spoofed utterances; ASVspoof 2019 LA as distributed "
                f"has {known[0]} and {known[1]}"
            )


class _Listing:
    """Looks up recordings in cached folder listings: one file system call per folder, not per recording."""

    def __init__(self) -> None:
        self._folders: dict[Path, set[str]] = {}
        self._composed: dict[Path, dict[str, str]] = {}
        self._actual: dict[Path, Path] = {}

    def find(self, file: Path) -> Path | None:
        """Path of a recording as given or with one of AUDIO_SUFFIXES appended; None if no such file exists.

        A name with accents is found in both of its forms, composed and decomposed (Unicode NFC and NFD), since copying
        from one system to another changes one into the other.
        """
        file = self._in_actual_folder(file)
        folder = file.parent
        if folder not in self._folders:
            self._folders[folder] = self._names(folder)
        names = self._folders[folder]
        candidates = (file.name, *(file.name + suffix for suffix in AUDIO_SUFFIXES))
        found = next((name for name in candidates if name in names), None)
        if found is None and not file.name.isascii():
            if folder not in self._composed:
                self._composed[folder] = {unicodedata.normalize("NFC", name): name for name in names}
            composed = self._composed[folder]
            forms = (unicodedata.normalize("NFC", name) for name in candidates)
            found = next((composed[form] for form in forms if form in composed), None)
        return file.with_name(found) if found is not None else None

    def _in_actual_folder(self, file: Path) -> Path:
        """The path with its folders in the Unicode form in which they exist."""
        folder = file.parent
        if folder not in self._actual:
            forms = (folder, *(Path(unicodedata.normalize(form, str(folder))) for form in ("NFC", "NFD")))
            ascii_only = str(folder).isascii()
            self._actual[folder] = folder if ascii_only else next((path for path in forms if path.is_dir()), folder)
        return self._actual[folder] / file.name

    @staticmethod
    def _names(folder: Path) -> set[str]:
        try:
            with os.scandir(folder) as entries:
                return {entry.name for entry in entries if entry.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            raise InputError(f"{folder}: cannot be read: {error}") from error
