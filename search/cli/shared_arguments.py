"""Arguments that several commands share, and functions that open the space, storage or run that they name."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from search.prepare.plan import Plan
    from search.runs.lease import Lease
    from search.runs.output import Output
    from search.runs.run import Run
    from search.runs.storage import Storage

STORAGE = "storage"
"""Folder of runs and feature stores if neither the command line nor a space names one."""


def run_names(context: typer.Context, incomplete: str) -> list[str]:
    """Names of runs that begin with `incomplete`, for shell completion."""
    runs = Path(context.params.get("storage") or STORAGE) / "runs"
    return sorted(path.parent.name for path in runs.glob(f"{incomplete}*/run.json"))


def space_names(incomplete: str) -> list[str]:
    """Names of spaces that come with spooftune and begin with `incomplete`, and files, for shell completion."""
    from search.space.shipped import shipped_spaces

    files = sorted(path.as_posix() for path in Path().glob(f"{incomplete}*") if path.is_dir() or path.suffix == ".yaml")
    return [*files, *(name for name in shipped_spaces() if name.startswith(incomplete))]


SpaceFile = Annotated[
    Path,
    typer.Argument(
        metavar="SPACE",
        help="YAML file of the search space, or the name of one that comes with spooftune, such as quickstart.",
        autocompletion=space_names,
    ),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name of the run.", autocompletion=run_names)]
Places = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=PATH",
        help="Name the place of the corpus or of weights again, for example corpus.path=/data/LA. May be repeated.",
        default_factory=list,
        show_default="as at the launch",
    ),
]
Changes = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the YAML file, for example corpus.path=/data/LA. May be repeated.",
        default_factory=list,
        show_default="no change",
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
        show_default=f"the folder {STORAGE}; with --cluster, the storage of the run on the cluster",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Address of the Ray cluster that this node belongs to, or auto: run there.",
        show_default="only this machine",
    ),
]
ScoreEval = Annotated[
    bool,
    typer.Option(
        "--eval",
        help="Score the exported detector on eval once the search has ended, not if it is interrupted. The run "
        "records every look at eval.",
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

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the folder of the bundle only, and errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show whole configurations, and in a file a line after every epoch.")
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object per line (docs/json-lines.md); everything else is on stderr."),
]


def read_plan(
    space: Path | Mapping[str, Any],
    changes: list[str],
    storage: str | None,
    *,
    embedded: bool = False,
    name: str | None = None,
) -> "Plan":
    """The plan of a search of a space, after every later stage was asked whether it can do its part.

    Args:
        space: YAML file of the space, or the space as plain data.
        changes: `KEY=VALUE`, applied to the space.
        storage: Folder or URL of runs and feature stores; None = the storage of the space.
        embedded: Whether Ray is started on this machine. Its CPUs and GPUs must then suffice.
        name: Name of the run that will be created, if the user gave one.

    Raises:
        InputError: The space has mistakes, or cannot run here.
    """
    from search.prepare.early import Launch, check_early
    from search.space.places import make_absolute
    from search.space.yaml_file import of_data, read

    yaml_file = read(space, changes) if isinstance(space, Path) else of_data(space, changes)
    make_absolute(yaml_file.data, space.parent if isinstance(space, Path) else Path())
    search = yaml_file.data.get("search")
    of_space = search.get("storage") if isinstance(search, dict) else None
    place = storage or (of_space if isinstance(of_space, str) else STORAGE)
    check_early(Launch(yaml_file.data, place, name, embedded), yaml_file)

    from search.prepare.plan import make_plan
    from search.runs.storage import Storage
    from search.runs.warm_start import warm_start_trials
    from search.space.reader import space_from_yaml

    checked = space_from_yaml(yaml_file)
    opened = Storage(place)
    warm_start_trials(checked, opened)
    return make_plan(checked, opened, embedded=embedded)


def check_output(path: Path | None, *, empty_folder: bool = False) -> None:
    """Checks the argument of --output, before the work of which it would receive the result.

    Args:
        path: The argument; None: it was not given.
        empty_folder: Whether an empty folder may be there.

    Raises:
        InputError: Something is there already, or cannot be written there.
    """
    from search.prepare.early import unwritable

    if path is None:
        return
    empty = empty_folder and path.is_dir() and not any(path.iterdir())
    if path.exists() and not empty:
        raise InputError(f"--output {path}: exists already and was not changed; choose another --output")
    problem = unwritable(path.parent)
    if problem:
        raise InputError(f"--output {path}: {problem}")


def open_run(name: str, storage: "str | Storage | None", changes: list[str] | None = None) -> "tuple[Run, Plan]":
    """A run and its plan.

    Args:
        name: Name of the run.
        storage: The storage, or its folder or URL; None = the folder STORAGE.
        changes: `KEY=VALUE`: new places of the run's corpus or weights.

    Raises:
        InputError: A change is not of a place, the run is missing, or its space is not valid here.
    """
    from search.prepare.plan import make_plan
    from search.runs.run import Run
    from search.space.places import is_place
    from search.space.reader import read_space

    for change in changes or []:
        if not is_place(change.partition("=")[0].strip()):
            valid = "corpus.path, or the path of weights in experiment.front_end"
            raise InputError(f"--set {change}: of a run that exists, only places can be named again: {valid}")
    place = open_storage(storage) if storage is None or isinstance(storage, str) else storage
    run = Run.open(place, name)
    space = read_space(run.path / "space.yaml", changes, absolute=bool(changes))
    try:
        return run, make_plan(space, place)
    except InputError as error:
        if Path(space.corpus.path).exists():
            raise
        hint = "if the corpus has moved, name its new place with --set corpus.path=PATH"
        raise InputError([*error.problems, hint]) from error


def open_storage(place: str | None) -> "Storage":
    """The storage at a folder or URL; None = the folder STORAGE."""
    from search.runs.storage import Storage

    return Storage(place or STORAGE)


def pushing_run(run: "Run", plan: "Plan") -> "AbstractContextManager[None]":
    """Copies the folder of a run to its URL while a command works on it. Ray Tune copies its own folders itself.

    Raises:
        InputError: The folder of the run cannot be written, so that the results of the command would be lost.
    """
    from search.prepare.early import unwritable
    from search.runs.run import LEASE

    problem = unwritable(run.path)
    if problem:
        raise InputError(f"run {run.name}: {problem}")
    before = functools.partial(run.check_lease, look=True)
    return plan.storage.pushing(f"runs/{run.name}", skip=("tune", LEASE), before=before)


@contextlib.contextmanager
def owning_run(storage: "Storage", name: str, command: str, *, force: bool = False) -> "Iterator[Lease]":
    """Owns a run during the block, from before its first write; arguments and exceptions as for `lease.owning`.

    Raises:
        InputError: The storage has no such run.
    """
    from search.runs.lease import owning
    from search.runs.run import Run

    if not Run.exists(storage, name):
        Run.open(storage, name)  # raises the error that lists the runs
    with owning(storage, name, command=command, force=force) as lease:
        yield lease


@contextlib.contextmanager
def open_output(*, quiet: bool = False, verbose: bool = False, as_json: bool = False) -> "Iterator[Output]":
    """The output of a command during the block.

    Args:
        quiet: Whether text is left out.
        verbose: Whether text is detailed.
        as_json: Whether stdout has lines of JSON and nothing else; text is on stderr.

    Raises:
        InputError: Two of these exclude each other.
    """
    from search.cli.json_lines import json_on_stdout
    from search.cli.terminal import console
    from search.runs.output import Output

    if quiet and verbose:
        raise InputError("--quiet and --verbose exclude each other")
    if not as_json:
        yield Output(console(quiet=quiet), verbose)
        return
    with json_on_stdout() as emit:
        yield Output(console(stderr=True, quiet=quiet), verbose, emit)


def open_console(*, stderr: bool = False) -> "Console":
    """The console for tables and progress of a command."""
    from search.cli.terminal import console

    return console(stderr=stderr)
