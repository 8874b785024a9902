"""Corpora as the program sees them: utterances by partition, read when they are asked for."""

import copy
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError

PARTITIONS = ("train", "dev", "eval")
LABELS = {"bonafide": 1, "bona-fide": 1, "bona_fide": 1, "spoof": 0}
"""Words for the two classes in the files of all layouts; 1 = bona fide."""

MAX_PROBLEMS = 20

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
        copy: The row of `core.corpora.copies.WIDENERS` that made it out of `source`; None: it is an original.
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
    copy: str | None = None


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
                found.append(Utterance(line.utterance_id, path, label, *ids, copy=line.copy))
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
