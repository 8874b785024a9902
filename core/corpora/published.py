"""Layouts of published corpora of deepfakes: In-the-Wild, MLAAD, FakeAVCeleb, Codecfake, ADD 2022, PartialSpoof."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from core.corpora.corpus import PARTITIONS, Corpus, Line, Reader
from core.corpora.generic import label_list, protocols, recordings_below
from core.corpora.protocol_files import below, existing_folder, first_existing, rows

Partition = Literal["train", "dev", "eval"]


def in_the_wild(path: Path, *, partition: Partition = "eval") -> Corpus:
    """In-the-Wild corpus, which forms one partition: a folder with recordings and `meta.csv`.

    The columns of `meta.csv` are file, speaker and label (bona-fide or spoof). Source: the corpus (Müller 2022).

    Args:
        path: Folder of the corpus.
        partition: Partition that the corpus forms.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)

    def lines() -> Iterator[Line | str]:
        for where, row in rows(root / "meta.csv", ("file", "speaker", "label")):
            if isinstance(row, str):
                yield row
            else:
                yield Line(where, row["file"], row["label"], row["speaker"], "-", below(root, row["file"]))

    return Corpus(f"in_the_wild {root.name}", root, {partition: lines})


def mlaad(path: Path, *, bona_fide: str | None = None, partition: Partition = "eval") -> Corpus:
    """MLAAD, which has only spoofed speech and forms one partition.

    The folder `fake/<language>/<model>` has the recordings of a model and a `meta.csv`, whose columns are separated by
    `|`. Of them are read: path, of which the file name counts, original_file, the recording whose text was spoken,
    model_name, the attack, and architecture, its kind. Source: two independent public readers of versions 3 to 9; the
    licence of the corpus did not permit a check of the files themselves.

    Args:
        path: Folder of the corpus, which contains `fake`.
        bona_fide: Folder of bona fide recordings, such as M-AILABS, relative to `path` or absolute; all recordings in
            it, at any depth, are read. None: spoofed speech only, which an eval partition of several corpora may be.
        partition: Partition that the corpus forms.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)

    def lines() -> Iterator[Line | str]:
        if bona_fide is not None:
            real = root / bona_fide
            for file in recordings_below(existing_folder(real)):
                yield Line(str(file), f"bona_fide/{file.relative_to(real)}", "bonafide", "-", "-", file)
        tables = sorted(root.glob("fake/*/*/meta.csv"))
        if not tables:
            yield f"{root}: no meta.csv in folders fake/<language>/<model>"
        for table in tables:
            for where, row in rows(table, ("path", "model_name"), ("original_file", "architecture"), delimiter="|"):
                if isinstance(row, str):
                    yield row
                    continue
                recording = below(table.parent, PurePosixPath(row["path"]).name)
                source, kind = (row.get(column) or "-" for column in ("original_file", "architecture"))
                name = str(recording.relative_to(root)) if recording else "-"
                yield Line(where, name, "spoof", "-", row["model_name"], recording, kind, source)

    return Corpus(f"mlaad {root.name}", root, {partition: lines})


def fakeavceleb(path: Path, *, audio: str = "FakeAVCeleb-audio", partition: Partition = "eval") -> Corpus:
    """Audio of FakeAVCeleb, which forms one partition.

    `meta_data.csv` has the columns source (the speaker), method (the attack), type, filename and path. A type is
    `<video>-<audio>` with RealVideo or FakeVideo and RealAudio or FakeAudio. Utterances with fake video and real audio
    are left out, because they repeat the audio of the real videos. The corpus has videos: extract their audio to files
    of the same names with another suffix. Source: the reader of the attack-agnostic data set
    (piotrkawa/attack-agnostic-dataset), which expects these names of columns; a table as it is distributed may lack
    the names of the last columns.

    Args:
        path: Folder of the corpus.
        audio: Folder of the extracted audio, relative to `path`, in place of the first folder of the column path. The
            table is there or in `path`.
        partition: Partition that the corpus forms.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)
    types = {"RealVideo-RealAudio": "bonafide", "RealVideo-FakeAudio": "spoof", "FakeVideo-FakeAudio": "spoof"}

    def lines() -> Iterator[Line | str]:
        table = first_existing(root / audio / "meta_data.csv", root / "meta_data.csv")
        for where, row in rows(table, ("source", "method", "type", "filename", "path")):
            if isinstance(row, str):
                yield row
            elif row["type"] in types:
                folder = Path(*PurePosixPath(row["path"]).parts[1:])
                name = str(folder / PurePosixPath(row["filename"]).stem)
                yield Line(where, name, types[row["type"]], row["source"], row["method"], root / audio / name)
            elif row["type"] != "FakeVideo-RealAudio":
                valid = ", ".join((*types, "FakeVideo-RealAudio"))
                yield f"{where}: type {row['type']!r}; it is one of {valid}"

    return Corpus(f"fakeavceleb {root.name}", root, {partition: lines})


def codecfake(path: Path, *, test: str = "C1") -> Corpus:
    """Codecfake of Xie et al. (arXiv 2405.04880): train, dev, and one of its test sets as eval.

    The lists are `label/train.txt`, `label/dev.txt` and `label/<test>.txt`. Their three columns are file, key (real or
    fake) and type, which is the attack. The recordings are in `train`, `dev` and `<test>`. Source: raw_dataset.py and
    README.md of the authors (xieyuankun/Codecfake).

    Args:
        path: Folder of the corpus.
        test: Test set that is eval, such as `C1` to `C7` or `A1` to `A3`.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)
    words = {"real": "bonafide", "fake": "spoof"}
    sets = {"train": "train", "dev": "dev", "eval": test}
    readers = {
        partition: label_list(root / "label" / f"{name}.txt", root / name, n_columns=3, words=words)
        for partition, name in sets.items()
    }
    return Corpus(f"codecfake {root.name}", root, readers)


def add2022(path: Path, *, test: str = "track1adp_out") -> Corpus:
    """Track 1 of ADD 2022: train, dev, and a folder with recordings and their `label.txt` as eval.

    The lists are `ADD_train_dev/label/train_label.txt`, `ADD_train_dev/label/dev_label.txt` and `<test>/label.txt`.
    Their two columns are file and key (genuine or fake). The recordings are in `ADD_train_dev/train`,
    `ADD_train_dev/dev` and `<test>`. Source: one public reader of the corpus; the corpus itself is for participants.

    Args:
        path: Folder of the corpus.
        test: Folder that is eval; the default is the adaptation set.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)
    words = {"genuine": "bonafide", "fake": "spoof"}
    base = root / "ADD_train_dev"

    def reader(partition: str) -> Reader:
        if partition == "eval":
            return label_list(root / test / "label.txt", root / test, words=words)
        return label_list(base / "label" / f"{partition}_label.txt", base / partition, words=words)

    return Corpus(f"add2022 {root.name}", root, {name: reader(name) for name in PARTITIONS})


def partialspoof(path: Path) -> Corpus:
    """PartialSpoof, with one key for every utterance; an utterance with any spoofed segment is spoofed.

    The protocols are `protocols/PartialSpoof_LA_cm_protocols/PartialSpoof.LA.cm.{train,dev,eval}.trl.txt`, with the
    five columns of ASVspoof 2019 LA. The recordings are in `{train,dev,eval}/con_wav`. The labels of segments are not
    read. Source: several public readers of the distributed database agree (zenodo.org/records/5766198).

    Args:
        path: Folder `database` of the corpus.

    Raises:
        InputError: The folder does not exist, or has no such protocol.
    """
    protocol = "protocols/PartialSpoof_LA_cm_protocols/PartialSpoof.LA.cm.{partition}.trl.txt"
    return protocols(path, protocol=protocol, recordings="{partition}/con_wav", name="partialspoof")
