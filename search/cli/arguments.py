"""Arguments that several commands share, and what they open: a space, a storage, a run."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from search.prepare.plan import Plan
    from search.runs.run import Run
    from search.runs.storage import Storage

STORAGE = "storage"
"""Folder of runs and feature stores where neither the command line nor a space names one."""


def run_names(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the runs of the storage so far typed, for the shell to complete."""
    runs = Path(context.params.get("storage") or STORAGE) / "runs"
    return sorted(path.parent.name for path in runs.glob(f"{incomplete}*/run.json"))


SpaceFile = Annotated[Path, typer.Argument(metavar="SPACE", help="YAML file of the search space.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name of the run.", autocompletion=run_names)]
Changes = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the YAML file, for example corpus.path=/data/LA. May be repeated.",
        default_factory=list,
        show_default="the file as it is",
    ),
]
SpaceStorage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="DIR|URL",
        help="Folder or URL that holds runs and feature stores.",
        show_default="search.storage of the space",
    ),
]
RunStorage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="DIR|URL",
        help="Folder or URL that holds runs and feature stores.",
        show_default=f"the folder {STORAGE}; with --cluster, where the cluster keeps the run",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Run on the Ray cluster that this node belongs to: its address, or auto.",
        show_default="this machine alone",
    ),
]
ClusterPlace = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="FILE|URL",
        help="Run the command on a Ray cluster: its YAML file, or the URL of its Jobs API.",
        show_default="this machine",
    ),
]


def read_plan(space: Path, changes: list[str], storage: str | None, *, embedded: bool = False) -> "Plan":
    """What a space would run here.

    Args:
        space: Its YAML file.
        changes: `KEY=VALUE`, laid over the file.
        storage: Folder or URL of runs and feature stores; None = the space's.
        embedded: Whether Ray is started on this machine, whose CPUs and GPUs must then suffice.

    Raises:
        InputError: the space has mistakes, or cannot run here.
    """
    from search.prepare.plan import make_plan
    from search.runs.storage import Storage
    from search.space.reader import read_space

    known = read_space(space, changes)
    return make_plan(known, Storage(storage or known.search.storage), embedded=embedded)


def open_run(name: str, storage: str | None) -> "tuple[Run, Plan]":
    """A run and what its space would run.

    Raises:
        InputError: there is no such run, or its space is no longer valid here.
    """
    from search.prepare.plan import make_plan
    from search.runs.run import Run
    from search.space.reader import read_space

    place = open_storage(storage)
    run = Run.open(place, name)
    return run, make_plan(read_space(run.path / "space.yaml"), place)


def open_storage(place: str | None) -> "Storage":
    """The storage at a folder or URL; None = the folder STORAGE."""
    from search.runs.storage import Storage

    return Storage(place or STORAGE)


def kept(run: "Run", plan: "Plan") -> "AbstractContextManager[None]":
    """Keeps a run's folder at its URL up to date; what Tune wrote is there already."""
    return plan.storage.pushing(f"runs/{run.name}", skip=("tune",))


def open_console(*, stderr: bool = False) -> "Console":
    """Where a command shows tables and progress."""
    from search.cli.terminal import console

    return console(stderr=stderr)
