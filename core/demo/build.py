"""The quickstart corpus from end to end."""

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
"""Grows when the same seed gives other clips."""

MIN_BONA_FIDE = 30


def _silent(message: str) -> None:
    """Takes a line of progress and drops it."""


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
    """Summary of the quickstart corpus at `output`, which is built unless it is there already.

    The folder appears complete or not at all; what an interrupted run had downloaded is used again.

    Args:
        output: Folder of the corpus, in the layout of ASVspoof 2019 LA.
        speech: Folder of the user's own recordings instead of the Debian packages.
        seed: Decides which recordings are taken and everything drawn at random; same seed and sources, same bytes.
        n_bona_fide: Bona fide clips in all, half of them in train, a fifth in dev; fewer where there are not as many.
        engines: Ids of optional attacks to add (rows of `ATTACKS` with `optional`).
        cache: Folder for downloads; `.demo-downloads` beside `output` by default.
        workers: Processes; 1 = this one.
        report: Gets a line of progress now and then, and each source with its licence.

    Raises:
        InputError: `output` holds something else, the recordings cannot be had or are too few, an engine is missing, a
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
        shutil.rmtree(building, ignore_errors=True)  # of a run that was killed
        work = building / "pieces"
        work.mkdir(parents=True)
        try:
            if speech:
                recordings, notes = own_recordings(speech, seed, report)
            else:
                recordings, notes = debian_recordings(cache or output.parent / ".demo-downloads", report)
            for note in notes:
                report(f"source: {note.name} {note.version}, {note.licence}, {note.credit}")
            found = collected(recordings, work, n_bona_fide=n_bona_fide, seed=seed, report=report)
            _check_enough(found, speech)
            rows = rendered(planned(found, attacks, seed=seed), building, workers=workers, report=report)
            summary = summarised(output, seed, rows, notes)
            shutil.rmtree(work)
            write_texts(building, rows, summary, request)
            if output.exists():
                output.rmdir()
            building.rename(output)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return summary


def _check_enough(found: dict[str, list[Piece]], speech: Path | None) -> None:
    """Refuses a corpus that would be too small.

    Raises:
        InputError: fewer than 30 pieces, or none in a partition.
    """
    total = sum(map(len, found.values()))
    if total >= MIN_BONA_FIDE and all(found.values()):
        return
    where = f"--speech {speech}" if speech else "the Debian packages"
    each = ", ".join(f"{len(clips)} for {partition}" for partition, clips in found.items())
    raise InputError(
        f"{where}: {total} usable clips ({each}); at least {MIN_BONA_FIDE} with 1.2 s of speech or more are needed, "
        "and one in each partition"
    )
