"""WIDENERS: copies of training utterances: vocoded copies as new attacks, distorted copies, coded copies.

`widen` makes the copies once, as recordings with a table of originals and copies. `experiment.widen` names the copies
that a training uses, so that a search can choose them. Dev and eval stay unchanged.
"""

import csv
import hashlib
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
import soundfile

from core.audio import SAMPLE_RATE, AudioOptions, load
from core.corpora.corpus import Corpus, Utterance
from core.corpora.generic import CSV_OPTIONAL
from core.errors import InputError, Unavailable
from core.seeds import derived_seed
from core.table import did_you_mean
from core.vocoders import VOCODERS
from core.vocoders.material import Material
from core.vocoders.signal_chain import (
    Waveform,
    as_int16,
    coloured_noise,
    resampled,
    rms,
    through_codec,
    with_spectrum_of,
)

TABLE = "corpus.csv"
LABELS = ("spoof", "bonafide")


@dataclass(frozen=True)
class Widener:
    """A row of WIDENERS.

    Attributes:
        make: Function of a waveform `(time,)` at 16 kHz and a generator, which returns the copy.
        spoofs: Whether the copy is spoofed. True (vocoders): only bona fide speech is copied, and the copies are a new
            attack. False: both classes are copied, and a copy keeps the label and attack of its original.
    """

    make: Callable[[Waveform, np.random.Generator], Waveform]
    spoofs: bool


def rawboost(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Distortions after RawBoost (Tak 2022): a filter with notches and harmonics, impulses, coloured noise."""
    boosted = np.zeros_like(waveform)
    for order in range(1, 4):  # every power of the signal has its own random notches; higher powers are fainter
        taps = np.ones(1)
        for centre in rng.uniform(100, 7000, size=rng.integers(1, 4)):
            width = rng.uniform(100, 1000)
            low, high = max(centre - width / 2, 20.0), min(centre + width / 2, SAMPLE_RATE / 2 - 20)
            taps = np.convolve(taps, scipy.signal.firwin(65, [low, high], fs=SAMPLE_RATE, pass_zero="bandstop"))
        part = np.convolve(waveform**order, taps, mode="same")
        boosted += part * rms(waveform) / max(rms(part), 1e-9) * 10 ** (-rng.uniform(5, 20) * (order > 1) / 20)
    hit = rng.random(len(waveform)) < rng.uniform(0, 0.1)
    boosted += hit * rng.uniform(-1, 1, len(waveform)) * 0.5 * waveform
    return boosted + coloured_noise(len(waveform), rng.uniform(0, 2), rng) * rms(waveform) * 10 ** (
        -rng.uniform(10, 40) / 20
    )


def mulaw(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """A telephone call: 300 to 3400 Hz, 8 kHz sample rate, 8 bits (G.711 mu-law, the continuous formula)."""
    band = scipy.signal.butter(4, [300, 3400], "bandpass", fs=SAMPLE_RATE, output="sos")
    narrow = np.clip(resampled(scipy.signal.sosfilt(band, waveform), SAMPLE_RATE, 8000), -1, 1)
    code = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
    return resampled(np.sign(code) * (256 ** np.abs(code) - 1) / 255, 8000, SAMPLE_RATE)


def g722(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """A wideband telephone call: G.722 at 64 kbit/s."""
    return through_codec(waveform, "g722", SAMPLE_RATE)


def vorbis(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Lossy compression as on the web: Ogg Vorbis at 22.05 kHz."""
    return through_codec(waveform, "vorbis", 22050)


def _vocoder(engine: Callable[[Material, np.random.Generator], Waveform]) -> Widener:
    """The row of an engine: copy synthesis of bona fide speech."""

    def make(waveform: Waveform, rng: np.random.Generator) -> Waveform:
        # The copy has the level and long-term spectrum of the original, so only the vocoder distinguishes them.
        return with_spectrum_of(engine(Material(waveform, waveform), rng), waveform)

    return Widener(make, spoofs=True)


WIDENERS: dict[str, Widener] = {
    **{name: _vocoder(engine) for name, engine in VOCODERS.items()},
    "rawboost": Widener(rawboost, spoofs=False),
    "mulaw": Widener(mulaw, spoofs=False),
    "g722": Widener(g722, spoofs=False),
    "vorbis": Widener(vorbis, spoofs=False),
}


def widen(
    corpus: Corpus,
    folder: Path,
    names: Sequence[str],
    *,
    seed: int = 0,
    workers: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Makes copies of train's utterances and the table of all partitions for the `csv` layout; returns its path.

    Existing copies are kept unless their original is newer, so that an interrupted call resumes and a later call can
    add other names.

    Args:
        corpus: Corpus of the originals; its recordings are not moved.
        folder: Folder of the copies and the table.
        names: Rows of WIDENERS.
        seed: Seed of the random parts of the copies.
        workers: Number of processes.
        report: Function that is called with a line of progress.

    Raises:
        InputError: A name is unknown.
        AudioError: A recording cannot be read.
        OSError: The folder cannot be written.
    """
    for name in names:
        if name not in WIDENERS:
            raise InputError(f"no {name!r}; there are {', '.join(WIDENERS)}{did_you_mean(name, WIDENERS)}")
    jobs = []
    rows = []
    files = _file_names(corpus.partition("train"))
    for partition in filter(corpus.lists, corpus.partitions()):
        for original in corpus.partition(partition):
            rows.append(_row(original, path=str(original.path.resolve())))
            for name in names if partition == "train" else ():
                spoofs = WIDENERS[name].spoofs
                if spoofs and not original.label:
                    continue
                utterance_id, path = f"{original.utterance_id}+{name}", Path(name) / files[original.utterance_id]
                changed = {"label": LABELS[0], "attack": f"X-{name}", "kind": f"X-{name}"} if spoofs else {}
                rows.append(_row(original, path=str(path), utterance=utterance_id, copy=name, **changed))
                if not _is_made(folder / path, original.path):
                    jobs.append((original.path, folder / path, name, derived_seed(seed, name, original.utterance_id)))
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, _ in enumerate(_made(jobs, workers), start=1):
        if number % 100 == 0 or number == len(jobs):
            report(f"{number} of {len(jobs)} copies")
    table = folder / TABLE
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "partition", *CSV_OPTIONAL])
        writer.writeheader()
        writer.writerows(rows)
    return table


def _file_names(utterances: Sequence[Utterance]) -> dict[str, str]:
    """File name of the copies of every utterance, by its id: no two utterances share one.

    It is the name of the recording. Recordings of one name, from several folders or of several formats, also get a
    digest of the id. Some file systems do not tell upper from lower case.
    """
    counts = Counter(utterance.path.stem.casefold() for utterance in utterances)
    names = {}
    for utterance in utterances:
        stem = utterance.path.stem
        digest = hashlib.sha256(utterance.utterance_id.encode()).hexdigest()[:12]
        names[utterance.utterance_id] = f"{stem}.flac" if counts[stem.casefold()] == 1 else f"{stem}-{digest}.flac"
    return names


def _is_made(copy: Path, original: Path) -> bool:
    """Whether a copy exists and is not older than its original."""
    return copy.exists() and (not original.exists() or copy.stat().st_mtime_ns >= original.stat().st_mtime_ns)


Job = tuple[Path, Path, str, int]
"""Path of the original, path of the copy, row of WIDENERS, seed."""


def _row(utterance: Utterance, /, **changed: str) -> dict[str, str]:
    """The row of an utterance in the table, with some cells changed."""
    return {
        "label": LABELS[utterance.label],
        "partition": utterance.partition,
        "attack": utterance.attack_id,
        "speaker": utterance.speaker_id,
        "kind": utterance.kind,
        "source": utterance.source if utterance.source != "-" else utterance.utterance_id,
        "corpus": utterance.corpus,
        "utterance": utterance.utterance_id,
        "copy": utterance.copy or "",
        **changed,
    }


def _made(jobs: list[Job], workers: int) -> Iterator[None]:
    """Makes copies in some processes, and yields after each copy."""
    if workers == 1:
        yield from map(_make, jobs)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process that has used torch may hang
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield from pool.map(_make, jobs, chunksize=8)
    except BrokenProcessPool as error:
        text = "a process that makes copies died, for example for want of memory; what it had finished is kept"
        raise Unavailable(f"{text}; --workers 1 shows at which recording") from error


def _make(job: Job) -> None:
    """Writes one copy, no longer than its original; a copy that would clip is scaled down."""
    source, target, name, seed = job
    waveform = load(source, AudioOptions()).astype(np.float64)
    made = WIDENERS[name].make(waveform, np.random.default_rng(seed))[: len(waveform)]
    peak = float(np.max(np.abs(made)))
    temporary = target.with_suffix(".part")
    soundfile.write(temporary, as_int16(made / max(peak, 1.0)), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    temporary.replace(target)
