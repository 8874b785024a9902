"""Layouts of ASVspoof 2015, 2017 and 2019, whose protocols list train, dev and eval."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from core.corpora.corpus import LA19_COUNTS, LA19_IDS, PARTITIONS, Corpus, Line, Reader
from core.corpora.protocol_files import columns, existing_folder, first_existing, translated

LA19_GENERATORS = {
    "WaveNet": ("A01", "A12", "A15"),
    "WORLD vocoder": ("A02", "A03", "A05", "A07"),
    "waveform concatenation": ("A04", "A16"),
    "spectral filtering": ("A06", "A19"),
    "neural source-filter": ("A08",),
    "Vocaine vocoder": ("A09",),
    "WaveRNN": ("A10",),
    "Griffin-Lim": ("A11",),
    "waveform filtering": ("A13", "A17"),
    "STRAIGHT vocoder": ("A14",),
    "MFCC vocoder": ("A18",),
}
"""Attacks of ASVspoof 2019 LA by their waveform generator. It is the kind of an attack: a detector that has heard a
vocoder may know other systems by it, whatever their text or voice model is.

The `README.LA.txt` of the corpus gives the class of every system, such as `vocoder` for A02, A03 and A05. The names
inside a class, such as WORLD and STRAIGHT, follow Wang 2020, Computer Speech & Language 64, table of the LA systems."""

LA19_KINDS = {attack: generator for generator, attacks in LA19_GENERATORS.items() for attack in attacks}


def five_columns(protocol: Path, recordings: Path, *, kinds: Mapping[str, str] | None = None) -> Reader:
    """Reader of a protocol with the columns speaker, utterance, `-`, attack or `-`, and key (bonafide or spoof).

    Args:
        protocol: The protocol. Its third column is ignored; ASVspoof 2019 PA has the environment there.
        recordings: Folder of the recordings.
        kinds: Attack -> its kind, for utterances of ASVspoof 2019 LA; None = unknown.
    """

    def lines() -> Iterator[Line | str]:
        for found in columns(protocol, "speaker utterance - attack key"):
            if isinstance(found, str):
                yield found
                continue
            where, (speaker, utterance, _, attack, key) = found
            kind = (kinds or {}).get(attack, "-") if utterance.startswith(LA19_IDS) else "-"
            yield Line(where, utterance, key, speaker, attack, recordings / utterance, kind)

    return lines


def asvspoof2019_la(
    path: Path, *, prefix: str = "ASVspoof2019_LA", protocol_prefix: str = "ASVspoof2019.LA.cm"
) -> Corpus:
    """Corpus in the layout of ASVspoof 2019 LA.

    The recordings are `<prefix>_{train,dev,eval}/flac/<utterance>.flac`. The protocols are
    `<protocol_prefix>.train.trn.txt`, `.dev.trl.txt` and `.eval.trl.txt` in `<prefix>_cm_protocols`. Their five columns
    are speaker, utterance, `-`, attack or `-`, and key (bonafide or spoof). Source: README.LA.txt of the corpus.

    Args:
        path: Folder of the corpus.
        prefix: Prefix of the names of the folders.
        protocol_prefix: Prefix of the names of the protocols.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)
    suffixes = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}

    def reader(partition: str) -> Reader:
        protocol = root / f"{prefix}_cm_protocols" / f"{protocol_prefix}.{suffixes[partition]}.txt"
        return five_columns(protocol, root / f"{prefix}_{partition}" / "flac", kinds=LA19_KINDS)

    readers = {name: reader(name) for name in PARTITIONS}
    return Corpus(f"asvspoof2019_la {root.name}", root, readers, known_counts=LA19_COUNTS)


def asvspoof2015(path: Path) -> Corpus:
    """Corpus of ASVspoof 2015.

    The protocols are `cm_train.trn`, `cm_develop.ndx` and `cm_evaluation.ndx` in `CM_protocol`, with or without a
    further `.txt`. Their four columns are speaker, utterance, method (human or S1 to S10), and key (human or spoof).
    The recordings are `wav/<speaker>/<utterance>.wav`. Source: the baseline of the organisers of ASVspoof 2017 reads
    these columns of these files; several public readers agree.

    Args:
        path: Folder with `wav` and `CM_protocol`.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)
    names = {"train": "cm_train.trn", "dev": "cm_develop.ndx", "eval": "cm_evaluation.ndx"}

    def reader(partition: str) -> Reader:
        protocol = root / "CM_protocol" / names[partition]

        def lines() -> Iterator[Line | str]:
            there = first_existing(protocol, protocol.with_name(f"{protocol.name}.txt"))
            for found in columns(there, "speaker utterance method key"):
                if isinstance(found, str):
                    yield found
                else:
                    where, (speaker, utterance, method, key) = found
                    yield Line(where, utterance, key, speaker, method, root / "wav" / speaker / utterance)

        return lambda: translated(lines(), {"human": "bonafide", "spoof": "spoof"})

    return Corpus(f"asvspoof2015 {root.name}", root, {name: reader(name) for name in PARTITIONS})


def asvspoof2017(path: Path, *, version: str = "V2") -> Corpus:
    """Corpus of ASVspoof 2017, whose spoofed recordings are replayed speech.

    The protocols are `ASVspoof2017_<version>_train.trn.txt`, `_dev.trl.txt` and `_eval.trl.txt` in
    `protocol_<version>`. Their seven columns are file, key (genuine or spoof), speaker, phrase, environment, playback
    device and recording device; the last three are `-` for genuine speech, and together name the attack. The recordings
    are in `ASVspoof2017_<version>_{train,dev,eval}`. Source: the protocols of version 2 as the public toolkit hyperion
    reads them (hyperion/data_prep/asvspoof2017.py).

    Args:
        path: Folder of the corpus.
        version: Version in the names of folders and files.

    Raises:
        InputError: The folder does not exist.
    """
    root = existing_folder(path)
    suffixes = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}

    def reader(partition: str) -> Reader:
        protocol = root / f"protocol_{version}" / f"ASVspoof2017_{version}_{suffixes[partition]}.txt"
        recordings = root / f"ASVspoof2017_{version}_{partition}"

        def lines() -> Iterator[Line | str]:
            for found in columns(protocol, "file key speaker phrase environment playback recording"):
                if isinstance(found, str):
                    yield found
                else:
                    where, (file, key, speaker, _, *replay) = found
                    yield Line(where, file.removesuffix(".wav"), key, speaker, "-".join(replay), recordings / file)

        return lambda: translated(lines(), {"genuine": "bonafide", "spoof": "spoof"})

    return Corpus(f"asvspoof2017 {root.name}", root, {name: reader(name) for name in PARTITIONS})
