"""Commands that show or stop runs: list, status, logs, stop, tensorboard. They need no torch and no Ray."""

from typing import Annotated

import typer

from search.cli.shared_arguments import AsJson, ClusterPlace, RunName, RunStorage, open_output, open_storage, run_names


def list_runs(
    *,
    storage: RunStorage = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the names only.")] = False,
    as_json: AsJson = False,
    cluster: ClusterPlace = None,
) -> int:
    """List the runs of a storage, or the searches of a cluster."""
    with open_output(as_json=as_json) as output:
        if cluster:
            from search.cli import remote

            return remote.list_jobs(cluster, output, quiet=quiet)

        from search.cli.terminal import show_runs
        from search.runs.facts import run_facts
        from search.runs.run import Run

        place = open_storage(storage)
        runs = Run.all(place)
        if output.emit:
            for run in runs:
                output.emit(run_facts(run))
        elif quiet:
            for run in runs:
                output.say(run.name)
        else:
            show_runs(place, runs, output.console)
        return 0


def status(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Name of the run.", show_default="list all runs", autocompletion=run_names),
    ] = None,
    *,
    storage: RunStorage = None,
    limit: Annotated[int, typer.Option("--limit", metavar="K", help="Number of trials to show.")] = 20,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the state of the run only.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show whole configurations, also where they need several lines.")
    ] = False,
    as_json: AsJson = False,
    cluster: ClusterPlace = None,
) -> int:
    """Show the trials of a run, best first. Without RUN: list the runs."""
    if run is None:
        return list_runs(storage=storage, quiet=quiet, as_json=as_json, cluster=cluster)
    with open_output(verbose=verbose, as_json=as_json) as output:
        if cluster:
            from search.cli import remote

            options = {"limit": limit, "quiet": quiet, "verbose": verbose}
            return remote.ask(cluster, "status", run, output, storage=storage, **options)

        from search.cli.json_lines import emit_run
        from search.cli.terminal import show_run
        from search.runs.run import Run

        opened = Run.open(open_storage(storage), run)
        if output.emit:
            emit_run(opened, output.emit, limit=limit)
        elif quiet:
            output.say(opened.state())
        else:
            show_run(opened, output, limit=limit)
        return 0


def logs(
    run: RunName,
    *,
    storage: RunStorage = None,
    trial: Annotated[
        int | None,
        typer.Option(
            "--trial",
            metavar="N",
            help="Show only one trial, with the error that ended it.",
            show_default="all trials",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show further events until the search ends.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show all digits of the metrics.")] = False,
    as_json: AsJson = False,
    cluster: ClusterPlace = None,
) -> int:
    """Show the events of a run so far, or why a trial failed."""
    with open_output(verbose=verbose, as_json=as_json) as output:
        if cluster:
            from search.cli import remote

            return remote.logs(cluster, run, output, storage=storage, trial=trial, follow=follow, verbose=verbose)

        from search.cli.events import show_events

        show_events(open_storage(storage), run, output, number=trial, follow=follow)
        return 0


def stop(run: RunName, *, storage: RunStorage = None, cluster: ClusterPlace = None) -> int:
    """Stop a search as Ctrl-C does, and export the best detector so far. The search can be resumed."""
    if cluster:
        from search.cli import remote

        with open_output() as output:
            return remote.ask(cluster, "stop", run, output, storage=storage)

    from search.runs.run import Run

    place = open_storage(storage)
    opened = Run.open(place, run)
    opened.stop()
    print(
        f"run {opened.name} is stopping; spooftune status {opened.name}{place.option} shows when it has stopped, "
        f"spooftune resume {opened.name}{place.option} continues it"
    )
    return 0


def tensorboard(
    run: RunName,
    *,
    storage: RunStorage = None,
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="TensorBoard port.")] = 6006,
    cluster: ClusterPlace = None,
) -> int:
    """Show a run in TensorBoard until Ctrl-C. Only this machine can reach it."""
    if cluster:
        from search.cli import remote

        return remote.tensorboard(cluster, run, storage=storage, port=port)

    from search.cli.tensorboard import show_folder
    from search.runs.run import Run

    return show_folder(Run.open(open_storage(storage), run).tensorboard, port=port)
