"""What the quickstart corpus will hold: pieces of recordings, and the clips to make of them."""

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
    """A usable stretch of a recording, kept as a NumPy file while the corpus is built."""

    array: Path
    recording: Recording
    codec: Codec
    sample_rate: int
    number: int


@dataclass(frozen=True)
class Clip:
    """One clip to make, bona fide where `attack_id` is `-`.

    `pairs` are (source, target) as in `Material`; the first one counts, the next stand in where it gives less than 1 s.
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
    """Pieces of each partition up to its share of `n_bona_fide`, drawn in turn from its speakers until they run out.

    The same recording under two names counts once, a file that is no audio is reported and left out.
    """
    rng = np.random.default_rng(seed)
    queues: dict[str, dict[str, list[Recording]]] = {partition: defaultdict(list) for partition in PARTITIONS}
    for recording in recordings:
        queues[recording.partition][recording.speaker_id].append(recording)
    seen: set[bytes] = set()
    found: dict[str, list[Piece]] = {}
    for partition, of_speaker in queues.items():
        wanted = round(_SHARE[partition] * n_bona_fide)
        drawn: list[Piece] = []
        turns = [
            _stored([queue[index] for index in rng.permutation(len(queue))], folder, seen, report)
            for queue in of_speaker.values()
        ]
        while turns and len(drawn) < wanted:
            turn = turns.pop(0)
            piece = next(turn, None)
            if piece:
                drawn.append(piece)
                turns.append(turn)
        found[partition] = drawn
    return found


def _stored(
    recordings: list[Recording], folder: Path, seen: set[bytes], report: Callable[[str], None]
) -> Iterator[Piece]:
    """Pieces of the recordings, each saved in `folder` when it is asked for."""
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


def planned(found: dict[str, list[Piece]], attacks: dict[str, Attack], *, seed: int) -> list[Clip]:
    """Every clip of the corpus; ids are dealt at random, so that they tell nothing about the class.

    Each piece is a bona fide clip, and the source of spoofed ones in the same partition.
    """
    plan: list[Clip] = []
    for order, (partition, clips) in enumerate(found.items()):
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
    """Pairs (source, target) from `start` on, and other pieces of the first target's speaker.

    The target is the source itself, or for a conversion a piece of another speaker of the partition, if there is one.
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
