"""Plan of the quickstart corpus: the pieces of recordings, and the clips to make from them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from core.audio import AudioError
from core.corpora.corpus import PARTITIONS
from core.demo.attacks import Attack
from core.demo.sources import Recording
from core.vocoders.signal_chain import Codec, codec_of, decode, pieces

_SHARE = {"train": 0.5, "dev": 0.2, "eval": 0.3}
_SPOOF_PER_BONA_FIDE = 1.25
_PIECES_A_RECORDING = 12
_BANK_SIZE = 10
_TRIES = 6


@dataclass(frozen=True)
class Piece:
    """A usable section of a recording, stored as a NumPy file while the corpus is built.

    Attributes:
        array: NumPy file of the waveform `(time,)`, 16 kHz, float32.
        recording: The recording that it is cut from.
        codec: Codec of the recording.
        sample_rate: Sample rate of the recording in its codec, Hz.
        number: Index of the piece in its recording.
    """

    array: Path
    recording: Recording
    codec: Codec
    sample_rate: int
    number: int


@dataclass(frozen=True)
class Clip:
    """One clip to make.

    Attributes:
        utterance_id: Id of the clip.
        partition: Partition of the clip.
        attack_id: Key of ATTACKS; `-` for bona fide speech.
        pairs: (source, target) as in `Material`. A later pair is used if the clips of all earlier pairs are too short
            or too long.
        bank: Other pieces of the target's speaker, for engines that need them.
        entropy: Seed of the clip's random generator.
    """

    utterance_id: str
    partition: str
    attack_id: str
    pairs: tuple[tuple[Piece, Piece], ...]
    bank: tuple[Piece, ...]
    entropy: tuple[int, ...]


def collected(
    recordings: Iterable[Recording],
    folder: Path,
    *,
    n_bona_fide: int,
    seed: int,
    report: Callable[[str], None],
) -> dict[str, list[Piece]]:
    """Pieces of every partition, up to its share of `n_bona_fide`; fewer if the recordings do not suffice.

    The speakers of a partition take turns. A recording that exists under two names is used once. A file that is not
    audio is reported and left out.

    Args:
        recordings: The recordings.
        folder: Existing folder for the NumPy files of the pieces.
        n_bona_fide: Total number of bona fide clips.
        seed: Seed of the order of the recordings.
        report: Function that receives a line about every file that is left out.
    """
    rng = np.random.default_rng(seed)
    queues: dict[str, dict[str, list[Recording]]] = {partition: defaultdict(list) for partition in PARTITIONS}
    for recording in recordings:
        queues[recording.partition][recording.speaker_id].append(recording)
    seen: set[bytes] = set()
    pieces_of: dict[str, list[Piece]] = {}
    for partition, queue_of in queues.items():
        n_pieces = round(_SHARE[partition] * n_bona_fide)
        drawn: list[Piece] = []
        turns = [
            _stored([queue[index] for index in rng.permutation(len(queue))], folder, seen, report)
            for queue in queue_of.values()
        ]
        while turns and len(drawn) < n_pieces:
            turn = turns.pop(0)
            piece = next(turn, None)
            if piece:
                drawn.append(piece)
                turns.append(turn)
        pieces_of[partition] = drawn
    return pieces_of


def _stored(
    recordings: list[Recording], folder: Path, seen: set[bytes], report: Callable[[str], None]
) -> Iterator[Piece]:
    """Pieces of the recordings; a piece is saved in `folder` when the iterator reaches it."""
    for recording in recordings:
        digest = sha256(recording.path.read_bytes()).digest()
        if digest in seen:
            continue
        seen.add(digest)
        try:
            waveforms = pieces(decode(recording.path))[:_PIECES_A_RECORDING]
        except AudioError as error:
            report(f"left out: {error}")
            continue
        for number, waveform in enumerate(waveforms):
            array = folder / f"{digest.hex()[:20]}_{number}.npy"
            np.save(array, waveform.astype(np.float32))
            yield Piece(array, recording, *codec_of(recording.path), number)


def planned(pieces_of: dict[str, list[Piece]], attacks: dict[str, Attack], *, seed: int) -> list[Clip]:
    """All clips of the corpus. The ids are assigned at random, so that they do not reveal the class.

    Every piece becomes a bona fide clip, and is the source of spoofed clips in the same partition.

    Args:
        pieces_of: Pieces of every partition.
        attacks: Attacks by id.
        seed: Seed of all random choices.
    """
    plan: list[Clip] = []
    for order, (partition, clips) in enumerate(pieces_of.items()):
        rng = np.random.default_rng([seed, order])
        here = [attack_id for attack_id, attack in attacks.items() if partition in attack.partitions]
        n_each = max(1, round(_SPOOF_PER_BONA_FIDE * len(clips) / len(here)))
        starts = {attack_id: np.resize(rng.permutation(len(clips)), n_each) for attack_id in here}
        sources = [(attack_id, start) for attack_id in here for start in starts[attack_id]]
        numbers = rng.permutation(len(clips) + len(sources))
        drafts = [("-", ((clip, clip),), ()) for clip in clips] + [
            (attack_id, *_material(attacks[attack_id], clips, int(start), rng)) for attack_id, start in sources
        ]
        for place, (number, (attack_id, pairs, bank)) in enumerate(zip(numbers, drafts, strict=True)):
            name = f"QS_{partition[0].upper()}_{number + 1:07d}"
            plan.append(Clip(name, partition, attack_id, pairs, bank, (seed, order, place)))
    return plan


def _material(
    attack: Attack, clips: list[Piece], start: int, rng: np.random.Generator
) -> tuple[tuple[tuple[Piece, Piece], ...], tuple[Piece, ...]]:
    """Pairs (source, target) for a clip, starting at the piece `start`, and other pieces of the first target's speaker.

    The target is the source itself. For a conversion it is a piece of another speaker of the partition, if one exists.
    """
    pairs = []
    for step in range(min(_TRIES, len(clips))):
        source = clips[(start + step) % len(clips)]
        others = [clip for clip in clips if clip.recording.speaker_id != source.recording.speaker_id]
        convert = attack.kind == "conversion" and others
        pairs.append((source, others[rng.integers(len(others))] if convert else source))
    target = pairs[0][1]
    same = [clip for clip in clips if clip.recording.speaker_id == target.recording.speaker_id and clip != target]
    same = same or [clip for clip in clips if clip != target] or [target]
    return tuple(pairs), tuple(same[index] for index in rng.permutation(len(same))[:_BANK_SIZE])
