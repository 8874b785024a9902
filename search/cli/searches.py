"""Commands that prepare and run a search: check, extract, launch, resume."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.results import check_eval, export_trial
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

    plan = read_plan(space, changes, storage, embedded=address is None, name=name)

    from search.cli.terminal import show_corpus
    from search.prepare.preflight import join_cluster
    from search.runs.interruption import resumable
    from search.runs.lease import owning
    from search.runs.run import Run
    from search.tuning.launch import run_search

    console = open_console()
    if address:
        join_cluster(plan, address, console)
    eval_command = "spooftune launch --eval" if score_eval else None
    check_eval(plan, eval_command)
    run = Run.create(plan.storage, prefix=plan.space.name, name=name)
    print(f"run {run.name} in {plan.storage}/runs/{run.name}", flush=True)
    with owning(plan.storage, run.name, command="spooftune launch") as lease:
        run.hold(lease)
        with resumable(run, plan.storage.option), pushing_run(run, plan):
            show_corpus(plan.sealed(), console)
            state = run_search(plan, run, address=address, console=console)
            return _conclude(run, plan, state, eval_command)


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
            return _conclude(opened, plan, state, eval_command)


def _conclude(run: "Run", plan: "Plan", state: str, eval_command: str | None) -> int:
    """Shows the trials and exports the best one; returns the exit code.

    Args:
        run: The run.
        plan: Plan of the run.
        state: Final state of the search.
        eval_command: Command that asks for eval; None: eval is not opened. It is not opened after an interruption.
    """
    from search.cli.terminal import show_run

    show_run(run, open_console())
    n_failed = sum(trial.status == "failed" for trial in run.journal.trials())
    if n_failed:
        print(f"{n_failed} trials failed; the reasons are in {run.path / 'errors'}", flush=True)
    if not run.ranked():
        print(f"spooftune: run {run.name}: no trial produced a detector", file=sys.stderr)
        return 130 if state == "interrupted" else 1
    bundle = run.free_folder("export")
    ended = state != "interrupted"
    code = export_trial(run, plan, bundle, rank=1, eval_command=eval_command if ended else None)
    print(f"TensorBoard: tensorboard --logdir {shlex.quote(str(run.tensorboard))}")
    print(f"to score recordings: spooftune score {shlex.quote(str(bundle))} RECORDING.flac")
    if not ended:
        command = f"spooftune resume {run.name}{plan.storage.option}"
        hint = f"the best detector so far is exported; {command} continues the search"
        hint += ", and eval was not scored" if eval_command else ""
        print(f"spooftune: run {run.name} was interrupted; {hint}", file=sys.stderr)
        return 130
    return code


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
