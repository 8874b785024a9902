"""Building the quickstart corpus, from the recordings to the complete folder."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from core.demo.attacks import chosen_attacks
from core.demo.plan import Piece, collected, planned
from core.demo.render import rendered
from core.demo.sources import debian_recordings, own_recordings
from core.demo.summary import Summary, existing, summarised, write_texts
from core.errors import InputError

VERSION = 1
"""Increases whenever the same seed gives different clips than before."""

MIN_BONA_FIDE = 30


def _silent(message: str) -> None:
    """Ignores a line of progress."""


def build_demo_corpus(
    output: Path,
    *,
    speech: Path | None = None,
    seed: int = 0,
    n_bona_fide: int = 400,
    engines: Sequence[str] = (),
    cache: Path | None = None,
    workers: int = 2,
    report: Callable[[str], None] = _silent,
) -> Summary:
    """Summary of the quickstart corpus at `output`, which is built if it does not exist.

    The folder appears when it is complete. A build that was interrupted leaves its downloads for the next one.

    Args:
        output: Folder of the corpus, in the layout of ASVspoof 2019 LA.
        speech: Folder of the user's own recordings. None: recordings from Debian packages.
        seed: Seed of all random choices, 0 or more. The same seed and sources give the same bytes.
        n_bona_fide: Total number of bona fide clips, 30 or more: half in train, a fifth in dev, the rest in eval. There
            are fewer if the recordings do not suffice.
        engines: Ids of optional attacks to add (rows of `ATTACKS` with `optional`).
        cache: Folder for downloads. None: `.demo-downloads` beside `output`.
        workers: Number of processes; 1: only the calling process.
        report: Function that receives lines of progress and a line about every source with its licence.

    Raises:
        InputError: `output` holds something else, the recordings are unavailable or too few, an engine is missing, or a
            number is out of range.
    """
    attacks = chosen_attacks(tuple(engines))
    if n_bona_fide < MIN_BONA_FIDE or seed < 0:
        raise InputError(f"n_bona_fide is {n_bona_fide}, seed {seed}; at least {MIN_BONA_FIDE} and 0 are needed")
    output = output.resolve()
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
            return existing(output, request)
        building = output.with_name(f".{output.name}.building")
        shutil.rmtree(building, ignore_errors=True)  # the remains of a build that was killed
        work = building / "pieces"
        work.mkdir(parents=True)
        try:
            if speech:
                recordings, notes = own_recordings(speech, seed, report)
            else:
                recordings, notes = debian_recordings(cache or output.parent / ".demo-downloads", report)
            for note in notes:
                report(f"source: {note.name} {note.version}, {note.licence}, {note.credit}")
            pieces = collected(recordings, work, n_bona_fide=n_bona_fide, seed=seed, report=report)
            _check_enough(pieces, speech)
            rows = rendered(planned(pieces, attacks, seed=seed), building, workers=workers, report=report)
            summary = summarised(output, seed, rows, notes)
            shutil.rmtree(work)
            write_texts(building, rows, summary, request)
            if output.exists():
                output.rmdir()
            building.rename(output)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return summary


def _check_enough(pieces: dict[str, list[Piece]], speech: Path | None) -> None:
    """Checks that the corpus is not too small.

    Raises:
        InputError: There are fewer than 30 pieces, or a partition has none.
    """
    total = sum(map(len, pieces.values()))
    if total >= MIN_BONA_FIDE and all(pieces.values()):
        return
    where = f"--speech {speech}" if speech else "the Debian packages"
    counts = ", ".join(f"{len(clips)} for {partition}" for partition, clips in pieces.items())
    raise InputError(
        f"{where}: {total} usable clips ({counts}); at least {MIN_BONA_FIDE} with 1.2 s of speech or more are needed, "
        "and one in each partition"
    )
