"""Commands that prepare and run a search: check, extract, launch, resume."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.local import conclude, launch_here
from search.cli.results import check_eval
from search.cli.shared_arguments import (
    AsJson,
    Changes,
    ClusterPlace,
    Quiet,
    RayAddress,
    RunName,
    RunStorage,
    ScoreEval,
    SpaceFile,
    SpaceStorage,
    Verbose,
    open_console,
    open_output,
    open_run,
    open_storage,
    owning_run,
    pushing_run,
    read_plan,
)

if TYPE_CHECKING:
    from search.prepare.plan import Plan
    from search.runs.output import Output
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing if the space is valid.")] = False,
    as_json: AsJson = False,
) -> int:
    """Validate a search space and show what a search would run."""
    with open_output(quiet=quiet, as_json=as_json) as output:
        plan = read_plan(space, changes, storage)

        from search.cli.json_lines import emit_plan
        from search.cli.terminal import show_plan

        if output.emit:
            emit_plan(plan, output.emit, n_samples=samples)
        else:
            show_plan(plan, output.console, n_samples=samples)
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
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> int:
    """Run a search: extract features, train the trials, export the best detector."""
    with open_output(quiet=quiet, verbose=verbose, as_json=as_json) as output:
        if cluster:
            from search.cli import remote

            return remote.launch(
                cluster,
                space,
                output,
                changes=changes,
                storage=storage,
                name=name,
                score_eval=score_eval,
                wait=wait,
                quiet=quiet,
                verbose=verbose,
            )

        _, code = launch_here(
            space,
            changes=changes,
            storage=storage,
            name=name,
            score_eval=score_eval,
            address=address,
            output=output,
        )
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
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> int:
    """Continue a search that was interrupted, or extend one that ended.

    --set changes values of the file that --space names; without --space, it names the place of corpus or weights again.
    """
    with open_output(quiet=quiet, verbose=verbose, as_json=as_json) as output:
        if cluster:
            from search.cli import remote

            return remote.resume(
                cluster,
                run,
                output,
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
                    "quiet": quiet,
                    "verbose": verbose,
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
                opened, former, plan = _changed(run, place, space, changes, output, allowed=allow_changed_space)
            else:
                opened, plan = open_run(run, place, changes)
            if lease.first and not force:
                opened.refuse_former_owner()
            opened.hold(lease)
            eval_command = "spooftune resume --eval" if score_eval else None
            check_eval(plan, eval_command)
            if address:
                join_cluster(plan, address, output.console)
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
                    output=output,
                    former=former,
                )
                return conclude(opened, plan, state, eval_command, output)


def _changed(
    name: str, storage: "Storage", path: Path, changes: list[str], output: "Output", *, allowed: bool
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
        output.say(f"changed: {line}")
    return run, former if lines else None, make_plan(space, storage)
