"""Text files of the quickstart corpus: protocols, metadata.csv, README.md, and the manifest `demo.json`."""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from core.corpora.corpus import PARTITIONS
from core.demo.attacks import ATTACKS
from core.demo.sources import SourceNote
from core.errors import InputError

MANIFEST = "demo.json"
_PROTOCOL_ENDING = {"train": "trn", "dev": "trl", "eval": "trl"}


@dataclass(frozen=True)
class Summary:
    """Contents of a quickstart corpus.

    Attributes:
        path: Folder of the corpus.
        seed: Seed of its random choices.
        counts: Partition -> attack id (`-`: bona fide) -> number of clips.
        speakers: Partition -> sorted speaker ids.
        sources: Sources of the recordings.
        engines: Attack id -> description of the attack and licence of its engine.
    """

    path: Path
    seed: int
    counts: dict[str, dict[str, int]]
    speakers: dict[str, list[str]]
    sources: list[SourceNote]
    engines: dict[str, str]


def summarised(path: Path, seed: int, rows: list[dict[str, str]], sources: list[SourceNote]) -> Summary:
    """Summary of a corpus from the rows of its metadata.csv.

    Args:
        path: Folder of the corpus.
        seed: Seed of the corpus.
        rows: Rows of metadata.csv.
        sources: Sources of the recordings.
    """
    counts, speakers = {}, {}
    for partition in PARTITIONS:
        here = [row for row in rows if row["partition"] == partition]
        counts[partition] = dict(sorted(Counter(row["attack_id"] for row in here).items()))
        speakers[partition] = sorted({row["speaker_id"] for row in here})
    attack_ids = sorted({row["attack_id"] for row in rows} - {"-"})
    engines = {key: f"{ATTACKS[key].description}; {ATTACKS[key].licence}" for key in attack_ids}
    return Summary(path, seed, counts, speakers, sources, engines)


def existing(path: Path, request: Mapping[str, object]) -> Summary:
    """Summary of an existing corpus, from its manifest.

    Args:
        path: Folder of the corpus.
        request: Options that the corpus must have been built with.

    Raises:
        InputError: The folder holds something else, or a corpus that was built with other options.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        made_with = manifest.pop("request")
        notes = [SourceNote(**note) for note in manifest.pop("sources")]
        summary = Summary(path=path, sources=notes, **manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: exists but holds no complete quickstart corpus; name a new folder") from error
    wrong = [
        f"{key} {made_with.get(key)!r} instead of {value!r}"
        for key, value in request.items()
        if made_with.get(key) != value
    ]
    if wrong:
        raise InputError(f"{path}: holds a quickstart corpus with {', '.join(wrong)}; name a new folder")
    return summary


def write_texts(folder: Path, rows: list[dict[str, str]], summary: Summary, request: Mapping[str, object]) -> None:
    """Writes the protocols, metadata.csv, README.md and, last, the manifest.

    Args:
        folder: Folder of the corpus.
        rows: Rows of metadata.csv, at least one.
        summary: Summary of the corpus.
        request: Options that the corpus was built with.
    """
    protocols = folder / "ASVspoof2019_LA_cm_protocols"
    protocols.mkdir()
    for partition, ending in _PROTOCOL_ENDING.items():
        lines = [
            f"{row['speaker_id']} {row['utterance_id']} - {row['attack_id']} {row['key']}\n"
            for row in rows
            if row["partition"] == partition
        ]
        path = protocols / f"ASVspoof2019.LA.cm.{partition}.{ending}.txt"
        path.write_text("".join(lines), encoding="utf-8")
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (folder / "README.md").write_text(readme(summary), encoding="utf-8")
    described = {key: value for key, value in asdict(summary).items() if key != "path"}
    manifest = json.dumps({"request": dict(request), **described}, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(manifest + "\n", encoding="utf-8")


def readme(summary: Summary) -> str:
    """README.md of the corpus: counts, attacks, sources with their licences."""
    clips = [
        (
            partition,
            str(counts["-"]),
            str(sum(counts.values()) - counts["-"]),
            " ".join(key for key in counts if key != "-"),
            " ".join(summary.speakers[partition]),
        )
        for partition, counts in summary.counts.items()
    ]
    sources = [(note.name, note.version, note.licence, note.credit) for note in summary.sources]
    return f"""# Quickstart corpus, seed {summary.seed}

Recorded speech, and spoofed speech that spooftune made from it, in the layout of ASVspoof 2019 LA (the content is not
that of ASVspoof). The corpus is for first trials: it is small, and its attacks are classic ones.

{_table(("partition", "bona fide", "spoofed", "attacks", "speakers"), clips)}

Clips last 1 to 6 s (16 kHz, mono, 16 bit). Both classes passed the same signal chain: band 80 Hz to 7.2 kHz, silent
edges trimmed, codec of the claimed speaker's source, random polarity, level -26 +- 2 dBFS, coloured noise 40 to 55 dB
below. Spoofed clips were also filtered to approach the long-term spectrum of a recording of the claimed speaker.
`metadata.csv` names the source recording of every clip; a recording and its spoofed copies are in one partition.

{_table(("attack", "what it is; licence of the engine"), list(summary.engines.items()))}

{_table(("source", "version", "licence", "credit"), sources)}

The licences of the sources apply to the clips.
"""


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ("---",) * len(head), *rows])
