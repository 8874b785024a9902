"""Layouts of ASVspoof 2021 and ASVspoof 5, whose protocols name the codec of every utterance."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from core.corpora.corpus import PARTITIONS, Corpus, Line, Reader
from core.corpora.protocol_files import columns, existing_folder, first_existing

METADATA = "trial_metadata.txt"
"""Name of the files with the keys of ASVspoof 2021."""

PHASES = ("eval", "progress", "hidden")


def asvspoof2021(
    path: Path,
    *,
    track: Literal["LA", "DF", "all"] | None = None,
    keys: str | None = None,
    phase: Literal["eval", "progress", "hidden", "all"] = "eval",
    recordings: str = "flac",
) -> Corpus:
    """Corpus of ASVspoof 2021 LA, DF or both, whose keys form an eval partition.

    The keys are in `trial_metadata.txt`, in the folder or below it, such as in the distributed `keys/LA/CM`. The file
    has at least 8 columns: speaker, utterance, codec, transmission, attack, key, trim, phase. DF has further columns.
    Codec and transmission become conditions, by which metrics are reported; DF has the source of the recording in place
    of the transmission. The file of the same name in `keys/LA/ASV`, for speaker verification, is ignored. The
    recordings are in `ASVspoof2021_LA_eval/flac` or `ASVspoof2021_DF_eval/flac` if there is such a folder, otherwise in
    `recordings`. Source: README.txt of the keys, and the evaluation package of the organisers
    (asvspoof-challenge/2021).

    Args:
        path: Folder of the corpus.
        track: Track whose keys are read, if there are those of several; `all` for all tracks together.
        keys: A key file, relative to `path` or absolute, instead of a search for one.
        phase: Phase whose utterances are read; `all` for all phases.
        recordings: Folder of the FLAC files, relative to `path`.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)

    def lines() -> Iterator[Line | str]:
        files = [root / keys] if keys else _key_files(root, track)
        if isinstance(files, str):
            yield files
            return
        for file in files:
            for found in columns(file, "speaker utterance codec transmission attack key trim phase", more=True):
                if isinstance(found, str):
                    yield found
                    continue
                where, (speaker, utterance, codec, transmission, attack, key, _, its_phase, *_) = found
                if its_phase not in PHASES:
                    yield f"{where}: phase {its_phase!r}; it is eval, progress or hidden"
                elif phase in (its_phase, "all"):
                    fourth = "source" if utterance.startswith("DF_") else "transmission"
                    conditions = (("codec", codec), (fourth, transmission))
                    named = tuple((name, value) for name, value in conditions if value != "-")
                    folder = folders.setdefault(utterance[:2], _recordings(root, utterance[:2], recordings))
                    yield Line(where, utterance, key, speaker, attack, folder / utterance, conditions=named)

    folders: dict[str, Path] = {}
    return Corpus(f"asvspoof2021 {root.name}", root, {"eval": lines})


def asvspoof5(path: Path, *, protocols: str = "ASVspoof5_protocols") -> Corpus:
    """Corpus of ASVspoof 5, track 1.

    The protocols are `ASVspoof5.train.tsv`, `ASVspoof5.dev.track_1.tsv` and `ASVspoof5.eval.track_1.tsv`. They have no
    header, and white space between ten columns: speaker, utterance, gender, codec, quality of the codec, utterance that
    was coded or `-`, condition of the attacker's adaptation, attack, key (bonafide or spoof), and an unused one. The
    recordings are in `flac_T`, `flac_D` and `flac_E_eval`. Source: README.txt of the corpus, section 3
    (zenodo.org/records/14498691).

    Args:
        path: Folder of the corpus.
        protocols: Folder of the protocols, relative to `path`; if it does not exist, they are in `path` itself.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)
    names = {"train": "train", "dev": "dev.track_1", "eval": "eval.track_1"}
    folders = {"train": ("flac_T",), "dev": ("flac_D",), "eval": ("flac_E_eval", "flac_E")}

    def reader(partition: str) -> Reader:
        def lines() -> Iterator[Line | str]:
            protocol = first_existing(root / protocols, root) / f"ASVspoof5.{names[partition]}.tsv"
            recordings = first_existing(*(root / folder for folder in folders[partition]))
            titles = "speaker utterance gender codec codec_q codec_seed attack_tag attack key tmp"
            for found in columns(protocol, titles):
                if isinstance(found, str):
                    yield found
                    continue
                where, (speaker, utterance, _, codec, _, original, _, attack, key, _) = found
                conditions = (("codec", "none" if codec == "-" else codec),)  # the word of ASVspoof 2021
                file = recordings / utterance
                yield Line(where, utterance, key, speaker, attack, file, source=original, conditions=conditions)

        return lines

    return Corpus(f"asvspoof5 {root.name}", root, {name: reader(name) for name in PARTITIONS})


def _key_files(root: Path, track: str | None) -> list[Path] | str:
    """The key files of a track; or the problem, as text, if there is not one for every track that is asked for."""
    files = sorted(root.rglob(METADATA))
    files = [file for file in files if file.parent.name == "CM"] or files
    if track == "all" and files:
        return files
    if track in ("LA", "DF"):
        files = [file for file in files if len(files) == 1 or file.parent.parent.name == track]
    if len(files) == 1:
        return files
    folders = ", ".join(str(file.parent.relative_to(root)) for file in files)
    listed = f" ({folders})" if folders else ""
    which = "of one track; set the option track to LA, DF or all, or the option keys to a file"
    return f"{root}: {len(files)} files {METADATA} in it{listed}; there must be one, {which}"


def _recordings(root: Path, track: str, recordings: str) -> Path:
    own = root / f"ASVspoof2021_{track}_eval" / "flac"
    return own if own.is_dir() else root / recordings
