"""CORPORA: layouts of corpora on disk. A row is a function of a path and its own options that returns a `Corpus`."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from core.corpora.corpus import LA19_COUNTS, LA19_IDS, PARTITIONS, Corpus, Line, Reader
from core.errors import InputError

LA19_KINDS = {
    "A01": "neural-waveform TTS",
    "A02": "vocoder TTS",
    "A03": "vocoder TTS",
    "A04": "waveform-concatenation TTS",
    "A05": "vocoder VC",
    "A06": "spectral-filtering VC",
}
"""Kinds of the attacks in train and dev of ASVspoof 2019 LA, after the waveform generator (Wang 2020, table 1)."""


def asvspoof2019_la(
    path: Path, *, prefix: str = "ASVspoof2019_LA", protocol_prefix: str = "ASVspoof2019.LA.cm"
) -> Corpus:
    """Corpus in the layout of ASVspoof 2019 LA.

    The recordings are `<prefix>_{train,dev,eval}/flac/<utterance>.flac`. The protocols are
    `<protocol_prefix>.train.trn.txt`, `.dev.trl.txt` and `.eval.trl.txt` in `<prefix>_cm_protocols`. Their five columns
    are speaker, utterance, `-`, attack or `-`, and key (bonafide or spoof).

    Args:
        path: Folder of the corpus.
        prefix: Prefix of the names of the folders.
        protocol_prefix: Prefix of the names of the protocols.

    Raises:
        InputError: The folder does not exist.
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
    """Corpus of ASVspoof 2021 LA or DF, whose keys form an eval partition.

    The keys are in `trial_metadata.txt`, in the folder or below it, such as in the distributed `keys/LA/CM`. The file
    has at least 8 columns: speaker, utterance, codec, transmission, attack, key, trim, phase. DF has further columns.
    Codec and transmission become conditions, by which metrics are reported.
    The file of the same name in `keys/LA/ASV`, for speaker verification, is ignored.

    Args:
        path: Folder of the corpus.
        phase: Phase whose utterances are read; `all` for all phases.
        recordings: Folder of the FLAC files, relative to `path`.

    Raises:
        InputError: The folder does not exist.
    """
    root = _folder(path)

    def lines() -> Iterator[Line | str]:
        protocols = sorted(root.rglob("trial_metadata.txt"))
        protocols = [protocol for protocol in protocols if protocol.parent.name == "CM"] or protocols
        if len(protocols) != 1:
            folders = ", ".join(str(protocol.parent.relative_to(root)) for protocol in protocols)
            which = f" ({folders})" if folders else ""
            yield f"{root}: {len(protocols)} files trial_metadata.txt in it{which}; there must be one, of one track"
            return
        for where, columns in _columns(protocols[0]):
            if len(columns) < 8:
                what = "speaker utterance codec transmission attack key trim phase"
                yield f"{where}: {len(columns)} columns; there are at least 8: {what}"
                continue
            speaker, utterance, codec, transmission, attack, key, _, its_phase = columns[:8]
            if its_phase not in ("eval", "progress", "hidden"):
                yield f"{where}: phase {its_phase!r}; it is eval, progress or hidden"
            elif phase in (its_phase, "all"):
                conditions = (("codec", codec), ("transmission", transmission))
                named = tuple((name, value) for name, value in conditions if value != "-")
                file = root / recordings / utterance
                yield Line(where, utterance, key, speaker, attack, file, conditions=named)

    return Corpus(f"asvspoof2021 {root.name}", root, {"eval": lines})


def in_the_wild(path: Path, *, partition: Literal["train", "dev", "eval"] = "eval") -> Corpus:
    """In-the-Wild corpus, which forms one partition: a folder with recordings and `meta.csv`.

    The columns of `meta.csv` are file, speaker and label (bona-fide or spoof).

    Args:
        path: Folder of the corpus.
        partition: Partition that the corpus forms.

    Raises:
        InputError: The folder does not exist.
    """
    root = _folder(path)

    def lines() -> Iterator[Line | str]:
        for where, row in _rows(root / "meta.csv", ("file", "speaker", "label")):
            if isinstance(row, str):
                yield row
            else:
                yield Line(where, row["file"], row["label"], row["speaker"], "-", _below(root, row["file"]))

    return Corpus(f"in_the_wild {root.name}", root, {partition: lines})


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
            for where, row in _rows(path, ("path", "label", "partition"), CSV_OPTIONAL):
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
                    file = _below(path.parent, row["path"])
                    more = (kind, source, name, None if made_by == "-" else made_by)
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


def _is_unnamed_copy(row: dict[str, str]) -> bool:
    """Whether only the utterance id names the maker of a copy, such as `T_1+mulaw` for `mulaw/T_1.flac`."""
    if "copy" in row:
        return False
    original, _, name = row.get("utterance", "").rpartition("+")
    return bool(original) and row["path"] == f"{name}/{Path(row['path']).name}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _columns(path: Path) -> Iterable[tuple[str, list[str]]]:
    """`file:line` and the words of every non-blank line."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip():
            yield f"{path}:{number}", line.split()


def _rows(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[tuple[str, dict[str, str] | str]]:
    """`file:line` and the row of a CSV as column -> value; a problem, as text, replaces a row that is wrong."""
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
