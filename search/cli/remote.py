"""Commands with `--cluster`: they run on the head of a cluster, and their output is shown here."""

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from core.errors import InputError
from search.cli.json_lines import emit_jobs, passing_on
from search.cli.results import trial_label
from search.cli.tensorboard import show_folder
from search.cli.terminal import show_jobs
from search.cluster.connection import require_token
from search.cluster.jobs import Cluster, Job, check_for_cluster, connect, launch_on
from search.runs.journal import now
from search.runs.output import Output
from search.runs.run import check_name
from search.runs.scratch import scratch_folder

# In this module `place` is the YAML file of the cluster or the URL of its Jobs API. `storage` is the folder or URL of
# runs; None means that the cluster knows the storage of the run.

say = functools.partial(print, flush=True)


def launch(
    place: str,
    space_file: Path,
    output: Output,
    *,
    changes: list[str],
    storage: str | None,
    name: str | None,
    score_eval: bool,
    wait: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Submits a search; shows its output until it has started or, with `wait`, until it ends."""
    require_token()  # before the space is read, which imports Ray
    from search.space.reader import read_space

    space = read_space(space_file, changes)
    storage = storage or space.search.storage
    check_for_cluster(space, storage)
    if name is not None:
        check_name(name)
    with _head(place) as cluster:
        options = flags(eval=score_eval, quiet=quiet, verbose=verbose, json=output.emit is not None)
        job, state = launch_on(cluster, space, storage, name, _say(output), options=options, wait=wait)
    return _submitted(place, job, state, output)


def resume(
    place: str,
    run: str,
    output: Output,
    *,
    storage: str | None,
    space_file: Path | None,
    changes: list[str],
    options: dict[str, object],
) -> int:
    """Submits the resumption of a run; shows its output until it has started.

    Args:
        place: The cluster.
        run: Name of the run.
        output: Where the output of the job is shown.
        storage: Storage of the run.
        space_file: YAML file of another space with which the run continues; None = the run's own space.
        changes: `KEY=VALUE`, applied to that file.
        options: Further options of `spooftune resume`, for `flags`.
    """
    require_token()
    from search.space.reader import read_space

    space = read_space(space_file, changes) if space_file else None
    with _head(place) as cluster:
        storage = cluster.storage_of(run, storage)
        arguments = [run, "--storage", storage, "--address", "auto", *flags(**options, json=output.emit is not None)]
        job = cluster.submit("resume", run, storage, arguments, space)
        state = cluster.follow(job, _say(output), until_started=True)
    return _submitted(place, job, state, output)


def list_jobs(place: str, output: Output, *, quiet: bool) -> int:
    """Lists the searches that a cluster remembers; with `quiet`, only the names of their runs."""
    with _head(place) as cluster:
        jobs = cluster.jobs()
    if output.emit:
        emit_jobs(jobs, output.emit)
    elif quiet:
        for run in dict.fromkeys(job.run for job in jobs):
            output.say(run)
    else:
        show_jobs(jobs, output.console)
    return 0


def logs(
    place: str, run: str, output: Output, *, storage: str | None, trial: int | None, follow: bool, verbose: bool
) -> int:
    """Shows the output of a search, or the events of one trial; as JSON, the events of all trials."""
    if trial is not None or output.emit:
        options = {"trial": trial, "follow": follow, "verbose": verbose}
        return ask(place, "logs", run, output, storage=storage, **options)
    with _head(place) as cluster:
        job = cluster.job_of(run)
        if follow:
            cluster.follow(job, say)
        else:
            print(cluster.log(job), end="")
    return 0


def ask(place: str, command: str, run: str, output: Output, *, storage: str | None, **options: object) -> int:
    """Runs a short command about a run on the head, with the given options; returns its exit code."""
    with _head(place) as cluster:
        storage = cluster.storage_of(run, storage)
        words = flags(**options, json=output.emit is not None)
        return cluster.ask(command, run, storage, [run, "--storage", storage, *words], _say(output))


def tensorboard(place: str, run: str, *, storage: str | None, port: int) -> int:
    """Copies the event files of a run every few seconds, and runs TensorBoard on them until Ctrl-C."""
    with _head(place) as cluster, scratch_folder() as folder:
        source = f"{cluster.storage_of(run, storage)}/runs/{run}/tensorboard"
        cluster.fetch(source, folder)

        def refresh() -> None:
            try:
                cluster.fetch(source, folder)
            except InputError as error:  # the cluster may be reachable again at the next copy
                print(f"spooftune: {error}", file=sys.stderr)

        return show_folder(folder, port=port, refresh=refresh)


def export(
    place: str,
    run: str,
    *,
    storage: str | None,
    rank: int,
    trial: int | None,
    output: Path | None,
    with_weights: bool,
    score_eval: bool,
) -> int:
    """Exports a bundle on the head and copies it here.

    Raises:
        InputError: the folder exists here, or the bundle cannot be copied.
    """
    target = output or Path(f"{run}-{trial_label(rank, trial)}")
    if target.exists():
        raise InputError(f"{target}: exists already and was not changed; choose another --output")
    with _head(place) as cluster:
        storage = cluster.storage_of(run, storage)
        folder = f"{storage}/runs/{run}/export-{now()[:19].replace(':', '')}"
        options = flags(output=folder, rank=rank, trial=trial, with_weights=with_weights, eval=score_eval)
        if cluster.ask("export", run, storage, [run, "--storage", storage, *options], say):
            return 1
        cluster.fetch(folder, target)
    print(f"copied to {target}")
    return 0


def flags(**options: object) -> list[str]:
    """Options as words of a command line, such as `--gpu-hours 2 --force`; None and False are left out."""
    words = []
    for name, value in options.items():
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return words


@contextlib.contextmanager
def _head(place: str) -> Iterator[Cluster]:
    """A connection to the cluster. The token is required first: Ray reads it when it is imported."""
    require_token()
    with connect(place) as cluster:
        yield cluster


def _say(output: Output) -> Callable[[str], None]:
    """What is done with a line of a job."""
    return passing_on(output.emit) if output.emit else say


def _submitted(place: str, job: Job, state: str, output: Output) -> int:
    if output.emit:
        emit_jobs([replace(job, state=state)], output.emit)
    if state in ("FAILED", "STOPPED"):
        print(f"spooftune: job {job.id} {state.lower()}", file=sys.stderr)
        return 1
    if state == "RUNNING":
        output.say(f"job {job.id} runs on the cluster and no longer needs this machine. From any machine:")
        for command in ("status", "logs", "tensorboard", "stop", "resume", "export"):
            output.say(f"  spooftune {command} {job.run} --cluster {place}")
    return 0
