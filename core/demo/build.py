"""Plans the quickstart corpus and writes it: recordings -> pieces -> bona fide and spoofed clips -> protocols."""

import csv
import json
import multiprocessing
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile
from filelock import FileLock

from core.audio import SAMPLE_RATE, AudioError
from core.demo.attacks import ATTACKS, Attack, chosen_attacks
from core.demo.chain import (
    MAX_DURATION_S,
    MIN_DURATION_S,
    Codec,
    Waveform,
    codec_of,
    decode,
    finished,
    pieces,
    through_codec,
    with_spectrum_of,
)
from core.demo.engines import Material
from core.demo.sources import PARTITIONS, Recording, SourceNote, debian_recordings, own_recordings
from core.errors import InputError

VERSION = 1  # bump when the same seed gives other clips
MANIFEST = "demo.json"
MIN_BONA_FIDE = 30
_SHARE = {"train": 0.5, "dev": 0.2, "eval": 0.3}
_SPOOF_PER_BONA_FIDE = 1.25
_PIECES_A_RECORDING = 12
_BANK_SIZE = 10
_TRIES = 6
_PROTOCOL_ENDING = {"train": "trn", "dev": "trl", "eval": "trl"}


@dataclass(frozen=True)
class Summary:
    """What a quickstart corpus holds.

    `counts[partition]` maps `-` (bona fide) and each attack id to its number of clips; `speakers[partition]` names the
    speakers; `engines` describes each attack.
    """

    path: Path
    seed: int
    counts: dict[str, dict[str, int]]
    speakers: dict[str, list[str]]
    sources: list[SourceNote]
    engines: dict[str, str]


@dataclass(frozen=True)
class Piece:
    """A usable stretch of a recording, kept as a NumPy file while the corpus is built."""

    array: Path
    recording: Recording
    codec: Codec
    sample_rate: int
    number: int


@dataclass(frozen=True)
class Clip:
    """One clip to make. A spoofed clip names several (source, target) pairs: the next is taken where one turns out too short."""

    utterance_id: str
    partition: str
    attack_id: str
    pairs: tuple[tuple[Piece, Piece], ...]
    bank: tuple[Piece, ...]
    entropy: tuple[int, ...]


def build_demo_corpus(
    output: Path,
    *,
    speech: Path | None = None,
    seed: int = 0,
    n_bona_fide: int = 400,
    engines: Sequence[str] = (),
    cache: Path | None = None,
    workers: int = 2,
    report: Callable[[str], None] = lambda message: None,
) -> Summary:
    """Summary of the quickstart corpus at `output`, which is built unless it is there already.

    The folder appears complete or not at all; what an interrupted run downloaded is used again.

    Args:
        output: folder of the corpus, in the layout of ASVspoof 2019 LA.
        speech: folder of the user's own recordings instead of the Debian packages.
        seed: decides which recordings are taken and everything drawn at random; same seed, same bytes.
        n_bona_fide: bona fide clips in all, half of them in train, a fifth in dev; fewer where there are not as many.
        engines: ids of optional attacks to add (see `ATTACKS`).
        cache: folder for downloads; `.demo-downloads` beside `output` by default.
        workers: processes; 1 = this one.
        report: gets a line of progress now and then.

    Raises:
        InputError: `output` holds something else, the recordings cannot be had or are too few, an engine is missing.
    """
    output, attacks = output.resolve(), chosen_attacks(tuple(engines))
    request = {
        "version": VERSION,
        "seed": seed,
        "n_bona_fide": n_bona_fide,
        "speech": str(speech.resolve()) if speech else None,
        "attacks": list(attacks),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(output.with_name(f".{output.name}.lock")):
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            return _existing(output, request)
        building = output.with_name(f".{output.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        (building / "pieces").mkdir(parents=True)
        if speech:
            recordings, notes = own_recordings(speech, seed, report)
        else:
            recordings, notes = debian_recordings(cache or output.parent / ".demo-downloads", report)
        for note in notes:
            report(f"source: {note.name} {note.version}, {note.licence}, by {note.credit}")
        found = _pieces(recordings, building / "pieces", n_bona_fide, np.random.default_rng(seed), report)
        _check_enough(found, speech)
        rows = _made(_plan(found, attacks, seed), building, workers, report)
        shutil.rmtree(building / "pieces")
        summary = _summary(output, seed, rows, notes)
        _write_texts(building, rows, summary, request)
        if output.exists():
            output.rmdir()
        building.rename(output)
    return summary


def _existing(output: Path, request: dict[str, object]) -> Summary:
    """The summary of a corpus built with the same request.

    Raises:
        InputError: the folder holds something else.
    """
    manifest = output / MANIFEST
    if not manifest.is_file():
        raise InputError(f"{output}: not empty, and no quickstart corpus; name a new folder")
    found = json.loads(manifest.read_text(encoding="utf-8"))
    different = [key for key, value in request.items() if found["request"].get(key) != value]
    if different:
        listed = ", ".join(f"{key} {found['request'].get(key)!r} instead of {request[key]!r}" for key in different)
        raise InputError(f"{output}: holds a quickstart corpus with {listed}; name a new folder")
    notes = [SourceNote(**note) for note in found["sources"]]
    return Summary(output, found["request"]["seed"], found["counts"], found["speakers"], notes, found["engines"])


def _pieces(
    recordings: list[Recording],
    folder: Path,
    n_bona_fide: int,
    rng: np.random.Generator,
    report: Callable[[str], None],
) -> dict[str, list[Piece]]:
    """Pieces of each partition up to its share, drawn in turn from its speakers; no recording twice under two names."""
    found: dict[str, list[Piece]] = {partition: [] for partition in PARTITIONS}
    seen: set[bytes] = set()
    skipped = 0
    for partition in PARTITIONS:
        wanted = round(_SHARE[partition] * n_bona_fide)
        queues: dict[str, list[Recording]] = defaultdict(list)
        for recording in recordings:
            if recording.partition == partition:
                queues[recording.speaker_id].append(recording)
        shuffled = {speaker: [queue[i] for i in rng.permutation(len(queue))] for speaker, queue in queues.items()}
        waiting: dict[str, list[Piece]] = {speaker: [] for speaker in shuffled}
        while len(found[partition]) < wanted and shuffled:
            for speaker in list(shuffled):
                while not waiting[speaker] and shuffled[speaker]:
                    recording = shuffled[speaker].pop()
                    digest = sha256(recording.path.read_bytes()).digest()
                    if digest in seen:
                        continue
                    seen.add(digest)
                    try:
                        waiting[speaker] = _stored(recording, folder)
                    except AudioError as error:
                        skipped += 1
                        report(f"left out: {error}")
                if waiting[speaker]:
                    found[partition].append(waiting[speaker].pop(0))
                else:
                    del shuffled[speaker]
                if len(found[partition]) == wanted:
                    break
    return found


def _stored(recording: Recording, folder: Path) -> list[Piece]:
    """Pieces of one recording, saved in `folder`; none where it holds less than 1.2 s of speech.

    Raises:
        AudioError: the file is no audio.
    """
    stored = []
    for number, waveform in enumerate(pieces(decode(recording.path))[:_PIECES_A_RECORDING]):
        array = folder / f"{sha256(recording.name.encode()).hexdigest()[:16]}_{number}.npy"
        np.save(array, waveform.astype(np.float32))
        stored.append(Piece(array, recording, *codec_of(recording.path), number))
    return stored


def _check_enough(found: dict[str, list[Piece]], speech: Path | None) -> None:
    total = sum(map(len, found.values()))
    empty = [partition for partition in PARTITIONS if not found[partition]]
    if total >= MIN_BONA_FIDE and not empty:
        return
    where = f"--speech {speech}" if speech else "the Debian packages"
    each = ", ".join(f"{len(clips)} for {partition}" for partition, clips in found.items())
    raise InputError(
        f"{where}: {total} usable clips ({each}); at least {MIN_BONA_FIDE} of 1.2 s or more of speech are needed, "
        "and at least one in each partition"
    )


def _plan(found: dict[str, list[Piece]], attacks: dict[str, Attack], seed: int) -> list[Clip]:
    """Every clip of the corpus; ids are dealt at random, so that they tell nothing about the class."""
    plan: list[Clip] = []
    for order, partition in enumerate(PARTITIONS):
        rng = np.random.default_rng([seed, order])
        clips = found[partition]
        here = [attack_id for attack_id, attack in attacks.items() if partition in attack.partitions]
        each = max(1, round(_SPOOF_PER_BONA_FIDE * len(clips) / len(here)))
        drafts: list[tuple[str, tuple[tuple[Piece, Piece], ...], tuple[Piece, ...]]] = [
            ("-", ((clip, clip),), ()) for clip in clips
        ]
        for attack_id in here:
            for start in np.resize(rng.permutation(len(clips)), each):
                sources = [clips[(start + step) % len(clips)] for step in range(_TRIES)]
                pairs = tuple((source, _target(source, attacks[attack_id], clips, rng)) for source in sources)
                drafts.append((attack_id, pairs, _bank(pairs, clips, rng)))
        numbers = rng.permutation(len(drafts))
        plan += [
            Clip(f"QS_{partition[0].upper()}_{number + 1:07d}", partition, attack_id, pairs, bank, (seed, order, place))
            for place, (number, (attack_id, pairs, bank)) in enumerate(zip(numbers, drafts, strict=True))
        ]
    return plan


def _target(source: Piece, attack: Attack, clips: list[Piece], rng: np.random.Generator) -> Piece:
    """The recording of the claimed speaker: the source itself, or for a conversion one of another speaker, if there is one."""
    if attack.kind != "conversion":
        return source
    others = [clip for clip in clips if clip.recording.speaker_id != source.recording.speaker_id]
    return others[rng.integers(len(others))] if others else source


def _bank(pairs: tuple[tuple[Piece, Piece], ...], clips: list[Piece], rng: np.random.Generator) -> tuple[Piece, ...]:
    """Other recordings of the first pair's speaker."""
    (_, target), *_ = pairs
    same = [clip for clip in clips if clip.recording.speaker_id == target.recording.speaker_id and clip != target]
    return tuple(same[i] for i in rng.permutation(len(same))[:_BANK_SIZE]) or (target,)


def _made(plan: list[Clip], folder: Path, workers: int, report: Callable[[str], None]) -> list[dict[str, str]]:
    """The rows of metadata.csv, sorted by utterance; the clips lie in `folder`."""
    for partition in PARTITIONS:
        (folder / f"ASVspoof2019_LA_{partition}" / "flac").mkdir(parents=True)
    rows: list[dict[str, str]] = []
    for row in _in_processes(plan, folder, workers):
        rows.append(row)
        if len(rows) % 100 == 0 or len(rows) == len(plan):
            report(f"{len(rows)} of {len(plan)} clips")
    return sorted(rows, key=lambda row: row["utterance_id"])


def _in_processes(plan: list[Clip], folder: Path, workers: int) -> Iterator[dict[str, str]]:
    if workers == 1:
        yield from (make_clip(clip, folder) for clip in plan)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process that has used torch may hang
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        try:
            yield from pool.map(make_clip, plan, [folder] * len(plan), chunksize=8)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def make_clip(clip: Clip, folder: Path) -> dict[str, str]:
    """Row of metadata.csv of a clip that is now written below `folder`; the same clip gives the same bytes.

    Raises:
        RuntimeError: no source of the clip gave between 1 and 6 s of speech.
    """
    for attempt, (source, target) in enumerate(clip.pairs):
        rng = np.random.default_rng([*clip.entropy, attempt])
        waveform = _waveform(source)
        if clip.attack_id != "-":
            aim = _waveform(target)
            material = Material(waveform, aim, tuple(map(_waveform, clip.bank)))
            spoofed = with_spectrum_of(ATTACKS[clip.attack_id].engine(material, rng), aim)
            waveform = through_codec(spoofed, target.codec, target.sample_rate)
        samples = finished(waveform, rng)
        if MIN_DURATION_S <= len(samples) / SAMPLE_RATE <= MAX_DURATION_S:
            break
    else:
        raise RuntimeError(f"{clip.utterance_id} ({clip.attack_id}): none of its sources gave 1 to 6 s of speech")
    path = folder / f"ASVspoof2019_LA_{clip.partition}" / "flac" / f"{clip.utterance_id}.flac"
    soundfile.write(path, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    spoken = ATTACKS[clip.attack_id].kind == "text" if clip.attack_id != "-" else False
    return {
        "utterance_id": clip.utterance_id,
        "partition": clip.partition,
        "speaker_id": target.recording.speaker_id,
        "attack_id": clip.attack_id,
        "key": "bonafide" if clip.attack_id == "-" else "spoof",
        "duration_s": f"{len(samples) / SAMPLE_RATE:.3f}",
        "codec": f"{target.codec}_{target.sample_rate}",
        "source_recording": "" if spoken else source.recording.name,
        "source_piece": "" if spoken else str(source.number),
        "target_recording": target.recording.name,
    }


def _waveform(piece: Piece) -> Waveform:
    return np.load(piece.array, allow_pickle=False).astype(np.float64)


def _summary(output: Path, seed: int, rows: list[dict[str, str]], notes: list[SourceNote]) -> Summary:
    counts, speakers = {}, {}
    for partition in PARTITIONS:
        here = [row for row in rows if row["partition"] == partition]
        counts[partition] = dict(sorted(Counter(row["attack_id"] for row in here).items()))
        speakers[partition] = sorted({row["speaker_id"] for row in here})
    attack_ids = sorted({row["attack_id"] for row in rows} - {"-"})
    described = {key: f"{ATTACKS[key].description}; {ATTACKS[key].licence}" for key in attack_ids}
    return Summary(output, seed, counts, speakers, notes, described)


def _write_texts(folder: Path, rows: list[dict[str, str]], summary: Summary, request: dict[str, object]) -> None:
    """Protocol files, metadata.csv, README.md and the manifest."""
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
    (folder / "README.md").write_text(_readme(summary), encoding="utf-8")
    described = {key: value for key, value in asdict(summary).items() if key != "path"}
    manifest = json.dumps({"request": request, **described}, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(manifest + "\n", encoding="utf-8")


def _readme(summary: Summary) -> str:
    """README.md of the corpus."""

    def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
        return "\n".join("| " + " | ".join(row) + " |" for row in [head, ("---",) * len(head), *rows])

    def counted(partition: str) -> tuple[str, ...]:
        counts = summary.counts[partition]
        return (
            partition,
            str(counts["-"]),
            str(sum(counts.values()) - counts["-"]),
            " ".join(key for key in counts if key != "-"),
            " ".join(summary.speakers[partition]),
        )

    clips = table(("partition", "bona fide", "spoofed", "attacks", "speakers"), [counted(each) for each in PARTITIONS])
    attacks = table(("attack", "what it is; licence of the engine"), list(summary.engines.items()))
    sources = table(
        ("source", "version", "licence", "credit"),
        [(note.name, note.version, note.licence, note.credit) for note in summary.sources],
    )
    return f"""# Quickstart corpus, seed {summary.seed}

Recorded speech and spoofed speech made from it by spooftune, in the layout of ASVspoof 2019 LA (the content is not
ASVspoof's). It is for trying things out: small, and its attacks are classic ones.

{clips}

Clips are 1 to 6 s, 16 kHz, mono, 16 bit. Both classes passed one chain: band 60 Hz to 7.2 kHz, silent edges trimmed, the
codec of the claimed speaker's source, -26 +- 2 dBFS, coloured noise 40 to 55 dB below. Spoofed clips also took on the
long-term spectrum of a recording of the claimed speaker. `metadata.csv` names the source recording of every clip;
a recording and its spoofed copies are in one partition.

{attacks}

{sources}

The clips fall under their sources' licences.
"""
