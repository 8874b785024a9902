"""Layouts for corpora of any origin: a CSV, protocols of five columns, label lists, and folders of one class."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from core.corpora.asvspoof import five_columns
from core.corpora.corpus import AUDIO_SUFFIXES, PARTITIONS, Corpus, Line, Reader
from core.corpora.protocol_files import below, columns, existing_folder, rows, translated
from core.errors import InputError

WORDS = {
    "bonafide": "bonafide",
    "bona-fide": "bonafide",
    "bona_fide": "bonafide",
    "genuine": "bonafide",
    "human": "bonafide",
    "real": "bonafide",
    "spoof": "spoof",
    "fake": "spoof",
}
"""Keys that label lists use -> `bonafide` or `spoof`."""

CSV_OPTIONAL = ("attack", "speaker", "kind", "source", "corpus", "utterance", "copy")
"""Optional columns of a corpus in CSV form."""


def from_csv(path: Path) -> Corpus:
    """Corpus of a CSV with a header.

    The required columns are path, label (bonafide or spoof) and partition (train, dev or eval). The optional columns
    are attack, speaker, kind (of the attack), source (the recording that an utterance was cut or made from), corpus,
    utterance (its id; default: the path), and copy (the row of WIDENERS that made it; empty for an original). Paths are
    absolute or relative to the CSV's folder.

    A CSV without the column `copy` whose utterance ids name copies, as earlier versions wrote it, is refused, because
    its copies would be taken for originals.

    Args:
        path: The CSV.

    Raises:
        InputError: The file does not exist.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; the csv layout needs a CSV with path, label, partition")

    def reader(partition: str) -> Reader:
        def lines() -> Iterator[Line | str]:
            copies: dict[Path | None, str] = {}
            for where, row in rows(path, ("path", "label", "partition"), CSV_OPTIONAL):
                if isinstance(row, str):
                    yield row
                elif row["partition"] not in PARTITIONS:
                    yield f"{where}: partition {row['partition']!r}; it is one of {', '.join(PARTITIONS)}"
                elif row["partition"] == partition:
                    if _is_unnamed_copy(row):
                        yield (
                            f"{where}: {row['utterance']} is a copy, but the CSV of an earlier version has no column "
                            "`copy`; run spooftune corpus widen again, which keeps the copies and rewrites the CSV"
                        )
                        return
                    attack, speaker, kind, source, name, utterance, made_by = (
                        row.get(column) or "-" for column in CSV_OPTIONAL
                    )
                    utterance = row["path"] if utterance == "-" else utterance
                    file = below(path.parent, row["path"])
                    first = copies.setdefault(file, where) if made_by != "-" else where
                    if first != where:
                        yield (
                            f"{where}: the copy {row['path']} is also that of {first}: an earlier version wrote the "
                            "copies of two recordings of one name into one file; run spooftune corpus widen again"
                        )
                        continue
                    more = (kind, source, name, None if made_by == "-" else made_by)
                    yield Line(where, utterance, row["label"], speaker, attack, file, *more)

        return lines

    return Corpus(f"csv {path.name}", path, {name: reader(name) for name in PARTITIONS})


def protocols(
    path: Path, *, protocol: str = "protocols/{partition}.txt", recordings: str = "{partition}", name: str = "protocols"
) -> Corpus:
    """Corpus with protocols of five columns, as ASVspoof 2019 has them: speaker, utterance, `-`, attack and key.

    Args:
        path: Folder of the corpus.
        protocol: Path of a protocol, relative to `path`; `{partition}` stands for train, dev or eval. A partition whose
            protocol does not exist is no part of the corpus.
        recordings: Folder of the recordings, relative to `path`; `{partition}` as in `protocol`.
        name: Name of the layout, for messages.

    Raises:
        InputError: The folder does not exist, or has no such protocol.
    """
    root = existing_folder(path)
    readers = {
        partition: five_columns(root / file, root / recordings.replace("{partition}", partition))
        for partition, file in _existing(root, protocol).items()
    }
    return Corpus(f"{name} {root.name}", root, readers)


def label_lists(
    path: Path, *, labels: str = "label/{partition}.txt", recordings: str = "{partition}", columns: Literal[2, 3] = 2
) -> Corpus:
    """Corpus with lists of two or three columns: file, key and, if there are three, attack.

    Args:
        path: Folder of the corpus.
        labels: Path of a list, relative to `path`; `{partition}` stands for train, dev or eval. A partition whose list
            does not exist is no part of the corpus.
        recordings: Folder of the recordings, relative to `path`; `{partition}` as in `labels`.
        columns: Number of columns.

    Raises:
        InputError: The folder does not exist, or has no such list.
    """
    root = existing_folder(path)
    readers = {
        partition: label_list(root / file, root / recordings.replace("{partition}", partition), n_columns=columns)
        for partition, file in _existing(root, labels).items()
    }
    return Corpus(f"label_lists {root.name}", root, readers)


def label_list(
    file: Path, recordings: Path, *, n_columns: Literal[2, 3] = 2, words: Mapping[str, str] = WORDS
) -> Reader:
    """Reader of a list with the columns file, key and, if there are three, attack.

    Args:
        file: The list.
        recordings: Folder of the recordings.
        n_columns: Number of columns.
        words: Key of the corpus -> `bonafide` or `spoof`.
    """

    def lines() -> Iterator[Line | str]:
        for found in columns(file, "file key attack" if n_columns == 3 else "file key"):
            if isinstance(found, str):
                yield found
            else:
                where, (name, key, *attack) = found
                yield Line(where, name, key, "-", attack[0] if attack else "-", recordings / name)

    return lambda: translated(lines(), words)


def folders(path: Path, *, bona_fide: Sequence[str], partition: Literal["train", "dev", "eval"] = "eval") -> Corpus:
    """Corpus without a protocol: folders of bona fide recordings, and folders of spoofed ones, one for every attack.

    Every folder directly below `path` that holds recordings, at any depth, and that `bona_fide` does not name or
    contain, is an attack of that name. The corpus forms one partition.

    Args:
        path: Folder of the corpus.
        bona_fide: Folders of bona fide recordings, relative to `path` or absolute.
        partition: Partition that the corpus forms.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)

    def lines() -> Iterator[Line | str]:
        real = [root / folder for folder in bona_fide]
        for folder in real:
            files = recordings_below(folder)
            if not files:
                yield f"{folder}: no recordings ({', '.join(AUDIO_SUFFIXES)}) in this folder of bona fide speech"
            yield from (_of_folder(root, file, "bonafide", "-") for file in files)
        for folder in sorted(entry for entry in root.iterdir() if entry.is_dir()):
            for file in recordings_below(folder):
                if not any(file.is_relative_to(other) for other in real):
                    yield _of_folder(root, file, "spoof", folder.name)

    return Corpus(f"folders {root.name}", root, {partition: lines})


def recordings_below(folder: Path) -> list[Path]:
    """All recordings in a folder, at any depth, in the order of their paths."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)


def _of_folder(root: Path, file: Path, key: str, attack: str) -> Line:
    name = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
    return Line(str(file), name, key, "-", attack, file)


def _existing(root: Path, template: str) -> dict[str, str]:
    """Partition -> the file that the template names for it, of those that exist."""
    files = {partition: template.replace("{partition}", partition) for partition in PARTITIONS}
    there = {partition: file for partition, file in files.items() if (root / file).is_file()}
    if len(set(there.values())) < len(there):
        raise InputError(f"{root}: {template!r} names one file for all partitions; it needs {{partition}}")
    if not there:
        raise InputError(f"{root}: none of {', '.join(files.values())} is there")
    return there


def _is_unnamed_copy(row: dict[str, str]) -> bool:
    """Whether only the utterance id names the maker of a copy, such as `T_1+mulaw` for `mulaw/T_1.flac`."""
    if "copy" in row:
        return False
    original, _, name = row.get("utterance", "").rpartition("+")
    return bool(original) and row["path"] == f"{name}/{Path(row['path']).name}"
