"""Commands with `--cluster`: they run on the head of a cluster, and their output is shown here."""

import contextlib
import functools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from core.errors import InputError
from search.cli.results import trial_label
from search.cli.tensorboard import show_folder
from search.cli.terminal import console, show_jobs
from search.cluster.connection import require_token
from search.cluster.jobs import Cluster, Job, check_for_cluster, connect, launch_on
from search.runs.journal import now
from search.runs.run import check_name

# Everywhere below, `place` is the cluster's YAML file or the URL of its Jobs API, and `storage` is None where the
# cluster itself remembers where the run lies.

say = functools.partial(print, flush=True)


def launch(
    place: str, space_file: Path, *, changes: list[str], storage: str | None, name: str | None, wait: bool
) -> int:
    """Submits a search; shows what it prints until it has begun or, with `wait`, until it ends."""
    require_token()  # before the space is read, which imports Ray
    from search.space.reader import read_space

    space = read_space(space_file, changes)
    lies = storage or space.search.storage
    check_for_cluster(space, lies)
    if name is not None:
        check_name(name)
    with _head(place) as cluster:
        job, state = launch_on(cluster, space, lies, name, say, wait=wait)
    return _submitted(place, job, state)


def resume(
    place: str,
    run: str,
    *,
    storage: str | None,
    space_file: Path | None,
    changes: list[str],
    options: dict[str, object],
) -> int:
    """Submits the resumption of a run; shows what it prints until it has begun.

    Args:
        place: The cluster.
        run: Name of the run.
        storage: Where the run lies.
        space_file: Another space with which the run continues.
        changes: Of that space.
        options: Further options of `spooftune resume`, for `flags`.
    """
    require_token()
    from search.space.reader import read_space

    space = read_space(space_file, changes) if space_file else None
    with _head(place) as cluster:
        lies = cluster.storage_of(run, storage)
        arguments = [run, "--storage", lies, "--address", "auto", *flags(**options)]
        job = cluster.submit("resume", run, lies, arguments, space)
        state = cluster.follow(job, say, until_started=True)
    return _submitted(place, job, state)


def list_jobs(place: str) -> int:
    """Lists the searches that a cluster remembers."""
    with _head(place) as cluster:
        show_jobs(cluster.jobs(), console())
    return 0


def logs(place: str, run: str, *, storage: str | None, trial: int | None, follow: bool) -> int:
    """Shows the output of a search, or what happened in one trial."""
    if trial is not None:
        return ask(place, "logs", run, storage=storage, trial=trial)
    with _head(place) as cluster:
        job = cluster.job_of(run)
        if follow:
            cluster.follow(job, say)
        else:
            print(cluster.log(job), end="")
    return 0


def ask(place: str, command: str, run: str, *, storage: str | None, **options: object) -> int:
    """Runs a short command about a run on the head, with the given options."""
    with _head(place) as cluster:
        lies = cluster.storage_of(run, storage)
        return cluster.ask(command, run, lies, [run, "--storage", lies, *flags(**options)], say)


def tensorboard(place: str, run: str, *, storage: str | None, port: int) -> int:
    """Copies the event files of a run every few seconds, and runs TensorBoard on them until Ctrl-C."""
    with _head(place) as cluster, tempfile.TemporaryDirectory(prefix="spooftune-") as folder:
        source = f"{cluster.storage_of(run, storage)}/runs/{run}/tensorboard"
        cluster.fetch(source, Path(folder))

        def refresh() -> None:
            try:
                cluster.fetch(source, Path(folder))
            except InputError as error:  # the cluster may be back at the next look
                print(f"spooftune: {error}", file=sys.stderr)

        return show_folder(Path(folder), port=port, refresh=refresh)


def export(
    place: str, run: str, *, storage: str | None, rank: int, trial: int | None, output: Path | None, no_eval: bool
) -> int:
    """Exports a bundle on the head and copies it here.

    Raises:
        InputError: the folder exists here, or the bundle cannot be copied.
    """
    target = output or Path(f"{run}-{trial_label(rank, trial)}")
    if target.exists():
        raise InputError(f"{target}: exists already; nothing of it was touched. Choose another --output")
    with _head(place) as cluster:
        lies = cluster.storage_of(run, storage)
        folder = f"{lies}/runs/{run}/export-{now()[:19].replace(':', '')}"
        options = flags(output=folder, rank=rank, trial=trial, no_eval=no_eval)
        if cluster.ask("export", run, lies, [run, "--storage", lies, *options], say):
            return 1
        cluster.fetch(folder, target)
    print(f"copied to {target}")
    return 0


def flags(**options: object) -> list[str]:
    """Options as they stand on a command line, such as `--gpu-hours 2 --force`; those that are None or False do not."""
    words = []
    for name, value in options.items():
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return words


@contextlib.contextmanager
def _head(place: str) -> Iterator[Cluster]:
    """The cluster, while its head is reached. The token is required first: Ray reads it when it is imported."""
    require_token()
    with connect(place) as cluster:
        yield cluster


def _submitted(place: str, job: Job, state: str) -> int:
    if state in ("FAILED", "STOPPED"):
        print(f"spooftune: job {job.id} {state.lower()}", file=sys.stderr)
        return 1
    if state == "RUNNING":
        print(f"job {job.id} runs on the cluster and needs this machine no more. From any machine:")
        for command in ("status", "logs", "tensorboard", "stop", "resume", "export"):
            print(f"  spooftune {command} {job.run} --cluster {place}")
    return 0
