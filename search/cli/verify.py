"""The command that looks for damaged files: verify."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.shared_arguments import RunStorage, open_storage


def verify(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="PLACE...",
            help="Names of runs, or paths: folders of runs, bundles, stores or whole storages, and checkpoint files.",
        ),
    ],
    *,
    storage: RunStorage = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the damaged files only.")] = False,
) -> int:
    """Compare files with the checksums with which they were written. Exit code 1: a file is damaged or missing."""
    from search.runs.run import Run
    from search.runs.verification import parts_of, problems_of

    parts: list[Path] = []
    for name in what:
        parts += parts_of(Path(name)) or [Run.open(open_storage(storage), name).path]
    damaged = False
    for part in parts:
        problems = problems_of(part)
        damaged = damaged or bool(problems)
        for problem in problems:
            print(problem)
        if not problems and not quiet:
            print(f"{part}: whole")
    return 1 if damaged else 0
