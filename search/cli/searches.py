"""Commands that prepare and run a search: check, extract, launch, resume."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.local import conclude, launch_here
from search.cli.results import check_eval
from search.cli.shared_arguments import (
    Changes,
    ClusterPlace,
    RayAddress,
    RunName,
    RunStorage,
    ScoreEval,
    SpaceFile,
    SpaceStorage,
    open_console,
    open_run,
    open_storage,
    owning_run,
    pushing_run,
    read_plan,
)

if TYPE_CHECKING:
    from search.prepare.plan import Plan
    from search.runs.run import Run
    from search.runs.storage import Storage
    from search.space.space import Space

# Every command imports what it needs, so that commands that need no torch and no Ray start without them.


def check(
    space: SpaceFile,
    *,
    samples: Annotated[
        int, typer.Option("--samples", metavar="K", help="Number of sampled configurations to show.")
    ] = 3,
    changes: Changes,
    storage: SpaceStorage = None,
) -> int:
    """Validate a search space and show what a search would run."""
    plan = read_plan(space, changes, storage)

    from search.cli.terminal import show_plan

    show_plan(plan, open_console(), n_samples=samples)
    return 0


def extract(space: SpaceFile, *, changes: Changes, storage: SpaceStorage = None, address: RayAddress = None) -> int:
    """Extract the features of a space into its feature stores.

    Cached features are kept. With --address, all nodes of the cluster extract.
    """
    plan = read_plan(space, changes, storage)

    from search.prepare.preflight import join_cluster
    from search.prepare.stores import build_stores

    console = open_console()
    if address:
        join_cluster(plan, address, console)
    build_stores(plan, console, distributed=address is not None)
    return 0


def launch(
    space: SpaceFile,
    *,
    changes: Changes,
    storage: SpaceStorage = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the run.", show_default="name of the space, and a number"),
    ] = None,
    score_eval: ScoreEval = False,
    address: RayAddress = None,
    cluster: ClusterPlace = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="With --cluster: show the output of the search until it ends.")
    ] = False,
) -> int:
    """Run a search: extract features, train the trials, export the best detector."""
    if cluster:
        from search.cli import remote

        return remote.launch(
            cluster, space, changes=changes, storage=storage, name=name, score_eval=score_eval, wait=wait
        )

    _, code = launch_here(space, changes=changes, storage=storage, name=name, score_eval=score_eval, address=address)
    return code


def resume(
    run: RunName,
    *,
    storage: RunStorage = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", metavar="N", help="Number of trials, including earlier ones.", show_default="as before"
        ),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(
            "--hours", metavar="H", help="Wall-clock hours from now on.", show_default="search.hours of the space"
        ),
    ] = None,
    gpu_hours: Annotated[
        float | None,
        typer.Option(
            "--gpu-hours", metavar="H", help="GPU-hours from now on.", show_default="search.gpu_hours of the space"
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            "--space",
            metavar="FILE",
            help="YAML file of the space with which the run continues.",
            show_default="the run's own",
        ),
    ] = None,
    changes: Changes,
    allow_changed_space: Annotated[
        bool,
        typer.Option(
            "--allow-changed-space",
            help="Continue with a changed space. The sampler learns from the earlier trials that this space contains.",
        ),
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed trials again.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Take the run over although another process owns it, on a host that no longer exists."
        ),
    ] = False,
    score_eval: ScoreEval = False,
    address: RayAddress = None,
    cluster: ClusterPlace = None,
) -> int:
    """Continue a search that was interrupted, or extend one that ended.

    --set changes values of the file that --space names; without --space, it names the place of corpus or weights again.
    """
    if cluster:
        from search.cli import remote

        return remote.resume(
            cluster,
            run,
            storage=storage,
            space_file=space,
            changes=changes,
            options={
                "trials": trials,
                "hours": hours,
                "gpu_hours": gpu_hours,
                "retry_failed": retry_failed,
                "force": force,
                "allow_changed_space": allow_changed_space,
                "eval": score_eval,
            },
        )

    from search.prepare.early import check_machine
    from search.prepare.preflight import join_cluster
    from search.runs.interruption import resumable
    from search.tuning.launch import check_limits, resume_search

    check_limits(n_trials=trials, hours=hours, gpu_hours=gpu_hours)
    place = open_storage(storage)
    with owning_run(place, run, "spooftune resume", force=force) as lease:
        former = None
        if space:
            opened, former, plan = _changed(run, place, space, changes, allowed=allow_changed_space)
        else:
            opened, plan = open_run(run, place, changes)
        if lease.first and not force:
            opened.refuse_former_owner()
        opened.hold(lease)
        eval_command = "spooftune resume --eval" if score_eval else None
        check_eval(plan, eval_command)
        console = open_console()
        if address:
            join_cluster(plan, address, console)
        else:
            check_machine(plan.storage.place)
        with resumable(opened, place.option), pushing_run(opened, plan):
            state = resume_search(
                plan,
                opened,
                n_trials=trials,
                hours=hours,
                gpu_hours=gpu_hours,
                retry_failed=retry_failed,
                address=address,
                console=console,
                former=former,
            )
            return conclude(opened, plan, state, eval_command)


def _changed(
    name: str, storage: "Storage", path: Path, changes: list[str], *, allowed: bool
) -> "tuple[Run, Space | None, Plan]":
    """A run, its own space and the plan of a changed space with which it continues; prints the changes.

    The own space is None if only the places of corpus or weights differ.
    """
    from search.prepare.plan import make_plan
    from search.runs.run import Run
    from search.space.diff import check_change
    from search.space.reader import read_space

    run = Run.open(storage, name)
    former, space = read_space(run.path / "space.yaml"), read_space(path, changes, absolute=True)
    lines = check_change(run.name, former, space, allowed=allowed)
    for line in lines:
        print(f"changed: {line}", flush=True)
    return run, former if lines else None, make_plan(space, storage)
