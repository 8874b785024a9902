"""Commands that show or stop runs: list, status, logs, stop, tensorboard. They need no torch and no Ray."""

from typing import Annotated

import typer

from search.cli.shared_arguments import ClusterPlace, RunName, RunStorage, open_console, open_storage, run_names


def list_runs(*, storage: RunStorage = None, cluster: ClusterPlace = None) -> int:
    """List the runs of a storage, or the searches of a cluster."""
    if cluster:
        from search.cli import remote

        return remote.list_jobs(cluster)

    from search.cli.terminal import show_runs
    from search.runs.run import Run

    place = open_storage(storage)
    show_runs(place, Run.all(place), open_console())
    return 0


def status(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Name of the run.", show_default="list all runs", autocompletion=run_names),
    ] = None,
    *,
    storage: RunStorage = None,
    limit: Annotated[int, typer.Option("--limit", metavar="K", help="Number of trials to show.")] = 20,
    cluster: ClusterPlace = None,
) -> int:
    """Show the trials of a run, best first. Without RUN: list the runs."""
    if run is None:
        return list_runs(storage=storage, cluster=cluster)
    if cluster:
        from search.cli import remote

        return remote.ask(cluster, "status", run, storage=storage, limit=limit)

    from search.cli.terminal import show_run
    from search.runs.run import Run

    show_run(Run.open(open_storage(storage), run), open_console(), limit=limit)
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
    follow: Annotated[
        bool, typer.Option("--follow", help="With --cluster: show further output until the search ends.")
    ] = False,
    cluster: ClusterPlace = None,
) -> int:
    """Show the events of a run so far, or why a trial failed."""
    if cluster:
        from search.cli import remote

        return remote.logs(cluster, run, storage=storage, trial=trial, follow=follow)

    from search.cli.terminal import show_events
    from search.runs.run import Run

    show_events(Run.open(open_storage(storage), run), trial, open_console())
    return 0


def stop(run: RunName, *, storage: RunStorage = None, cluster: ClusterPlace = None) -> int:
    """Stop a search as Ctrl-C does, and export the best detector so far. The search can be resumed."""
    if cluster:
        from search.cli import remote

        return remote.ask(cluster, "stop", run, storage=storage)

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
