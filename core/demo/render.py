"""Planned clips -> FLAC files, in several processes."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from core.audio import SAMPLE_RATE
from core.corpora.corpus import PARTITIONS
from core.demo.attacks import ATTACKS
from core.demo.plan import Clip, Piece
from core.vocoders.material import Material
from core.vocoders.signal_chain import (
    MAX_DURATION_S,
    MIN_DURATION_S,
    Waveform,
    finished,
    through_codec,
    with_spectrum_of,
)

Row = dict[str, str]


def rendered(plan: list[Clip], folder: Path, *, workers: int, report: Callable[[str], None]) -> list[Row]:
    """Writes all clips as FLAC files, and returns the rows of metadata.csv, sorted by utterance.

    Args:
        plan: The clips.
        folder: Folder of the corpus, without folders of recordings.
        workers: Number of processes; 1: only the calling process.
        report: Function that receives a line after every 100 clips and at the end.

    Raises:
        RuntimeError: A clip could not be made; see `render`.
    """
    for partition in PARTITIONS:
        (folder / f"ASVspoof2019_LA_{partition}" / "flac").mkdir(parents=True)
    rows: list[Row] = []
    for row in _in_processes(plan, folder, workers):
        rows.append(row)
        if len(rows) % 100 == 0 or len(rows) == len(plan):
            report(f"{len(rows)} of {len(plan)} clips")
    return sorted(rows, key=lambda row: row["utterance_id"])


def _in_processes(plan: list[Clip], folder: Path, workers: int) -> Iterator[Row]:
    if workers == 1:
        yield from (render(clip, folder) for clip in plan)
        return
    context = multiprocessing.get_context("spawn")  # a forked process can hang if its parent has used torch
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(render, plan, [folder] * len(plan), chunksize=8)


def render(clip: Clip, folder: Path) -> Row:
    """Writes a clip below `folder` and returns its row of metadata.csv. The same clip gives the same bytes.

    Args:
        clip: The clip.
        folder: Folder of the corpus, with the folders of recordings.

    Raises:
        RuntimeError: None of the clip's pairs gave 1 to 6 s of speech.
    """
    for attempt, (source, target) in enumerate(clip.pairs):
        samples = _samples(clip, source, target, np.random.default_rng([*clip.entropy, attempt]))
        if MIN_DURATION_S <= len(samples) / SAMPLE_RATE <= MAX_DURATION_S:
            break
    else:
        raise RuntimeError(f"{clip.utterance_id} ({clip.attack_id}): none of its sources gave 1 to 6 s of speech")
    path = folder / f"ASVspoof2019_LA_{clip.partition}" / "flac" / f"{clip.utterance_id}.flac"
    soundfile.write(path, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    from_text = clip.attack_id in ATTACKS and ATTACKS[clip.attack_id].kind == "text"
    return {
        "utterance_id": clip.utterance_id,
        "partition": clip.partition,
        "speaker_id": target.recording.speaker_id,
        "attack_id": clip.attack_id,
        "key": "bonafide" if clip.attack_id == "-" else "spoof",
        "duration_s": f"{len(samples) / SAMPLE_RATE:.3f}",
        "codec": f"{target.codec}_{target.sample_rate}",
        "source_recording": "" if from_text else source.recording.name,
        "source_piece": "" if from_text else str(source.number),
        "target_recording": target.recording.name,
    }


def _samples(clip: Clip, source: Piece, target: Piece, rng: np.random.Generator) -> NDArray[np.int16]:
    """Samples `(time,)` of a clip, 16 bit, 16 kHz."""
    waveform = _waveform(source)
    if clip.attack_id != "-":
        aim = _waveform(target)
        spoofed = ATTACKS[clip.attack_id].engine(Material(waveform, aim, tuple(map(_waveform, clip.bank))), rng)
        waveform = through_codec(with_spectrum_of(spoofed, aim), target.codec, target.sample_rate)
    return finished(waveform, rng)


def _waveform(piece: Piece) -> Waveform:
    waveform: Waveform = np.load(piece.array, allow_pickle=False).astype(np.float64)
    return waveform
