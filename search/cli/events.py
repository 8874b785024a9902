"""Events of a run on the terminal, one line per event, and further ones as they are recorded."""

import time
from collections.abc import Iterator
from typing import Any

from core.errors import InputError
from search.cli.json_lines import emit_event
from search.runs.output import Output
from search.runs.run import LEASE, Run
from search.runs.storage import Storage
from search.runs.trial_folder import TRIALS

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_COPIES = 10.0
"""The same for a storage that is a URL, whose record is copied at every look."""


def show_events(storage: Storage, name: str, output: Output, *, number: int | None, follow: bool) -> None:
    """Prints the events of a run: those of its search, and those of its confirmation.

    Args:
        storage: Storage of the run.
        name: Name of the run.
        output: Where they are printed.
        number: Number of a trial: only its events, with the text of its error; None = all trials.
        follow: Whether to wait for further events until the search ends.

    Raises:
        InputError: The storage has no such run, or the run has no such trial.
    """
    run = Run.open(storage, name)
    if number is not None:
        _check_number(run, number)
    for part, event in _events(storage, run, follow=follow):
        if number is not None and event["trial"] != number:
            continue
        if output.emit:
            emit_event(event, run.name, part, output.emit)
        else:
            output.say(describe_event(event, part, verbose=output.verbose))
    folder = run.path if number is None or number in _numbers(run)["search"] else run.confirmation().path
    error = folder / "errors" / f"{number:05d}.txt" if number is not None else None
    if error and error.is_file() and not output.emit:
        output.say(error.read_text(encoding="utf-8"))


def describe_event(event: dict[str, Any], part: str, *, verbose: bool) -> str:
    """An event of a journal as one line; with `verbose`, metrics have all digits."""
    kind, metrics = event["event"], event.get("metrics") or {}
    if kind == "start":
        details = str(event.get("values", ""))
    elif kind == "epoch":
        digits = "" if verbose else ".4g"
        known = (f"{name} {value:{digits}}" for name, value in metrics.items() if isinstance(value, float))
        details = f"{event.get('epoch')}: {', '.join(known)}"
    else:
        details = f"{event.get('status')}{': ' + event['error'] if event.get('error') else ''}"
    where = "" if part == "search" else f"{part} "
    return f"{str(event['time'])[:19]} {where}trial {event['trial']} {kind} {details}"


def _events(storage: Storage, run: Run, *, follow: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Part of the run and event, in the order of their times at every look."""
    journals = {"search": run.journal, "confirmation": run.confirmation().journal}
    positions = dict.fromkeys(journals, 0)
    while True:
        more = follow and run.alive()  # asked first: the last events are recorded before the process ends
        news = []
        for part, journal in journals.items():
            events, positions[part] = journal.events_after(positions[part])
            news += [(part, event) for event in events]
        yield from news
        if not more:
            return
        time.sleep(SECONDS_BETWEEN_COPIES if storage.remote else SECONDS_BETWEEN_LOOKS)
        storage.pull(run.place, only=("run.json", TRIALS))
        storage.pull(f"{run.place}/{LEASE}")


def _numbers(run: Run) -> dict[str, list[int]]:
    parts = {"search": run.journal, "confirmation": run.confirmation().journal}
    return {part: [record.number for record in journal.trials()] for part, journal in parts.items()}


def _check_number(run: Run, number: int) -> None:
    numbers = _numbers(run)
    if number in numbers["search"] or number in numbers["confirmation"]:
        return
    known = ", ".join(
        f"{'' if part == 'search' else part + ' '}{_ranges(of_part)}" for part, of_part in numbers.items() if of_part
    )
    raise InputError(f"run {run.name}: no trial {number}; there are: {known or 'none yet'}")


def _ranges(numbers: list[int]) -> str:
    """Sorted numbers in few words, such as `0 to 5, 7`."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and groups[-1][1] == number - 1:
            groups[-1][1] = number
        else:
            groups.append([number, number])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in groups)
