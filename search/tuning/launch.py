"""Begins a search or goes on with one: stores, Ray, trials, confirmation."""

import dataclasses

from rich.console import Console

from core.bundle import versions
from core.errors import InputError, Unavailable
from search.cluster.jobs import tell_client
from search.cluster.ray_session import start_ray
from search.prepare.plan import Plan
from search.prepare.stores import build_stores
from search.runs.journal import now
from search.runs.run import Run, this_process
from search.space.configurations import n_configurations
from search.space.parameter import Values
from search.space.sections import limit_problem
from search.space.space import Space
from search.tuning.confirm import confirm_trials, confirmation_left
from search.tuning.tuner import tune_trials


def run_search(plan: Plan, run: Run, *, address: str | None, console: Console) -> str:
    """Runs the trials of a new run, whose folder exists, and confirms the best; returns the state in which it ended.

    Args:
        plan: What to run.
        run: Where it is recorded.
        address: Of the cluster that was joined; None = a Ray of our own is started.
        console: Where progress is shown.

    Returns:
        `finished`, `interrupted` (by the user), `out of time`, `out of GPU hours` or `no progress`.

    Raises:
        Unavailable: Ray cannot be reached, or a storage was lost.
    """
    space = plan.space
    run.update(
        name=run.name,
        state="extracting",
        created=now(),
        **this_process(),
        versions=versions(),
        seed=space.search.seed,
        n_trials=plan.n_trials,
        objective=space.metric,
        proxy=space.search.proxy.name,
    )
    run.change_space(space)
    tell_client()
    plan = plan.sealed()
    folders = build_stores(plan, console, spread=address is not None)
    run.update(state="running", stores=folders)
    if address is None:
        start_ray(None)
    state = tune_trials(plan, run, folders=folders, shared=address is not None)
    return confirm_trials(plan, run, state, folders=folders, console=console, shared=address is not None)


def resume_search(
    plan: Plan,
    run: Run,
    *,
    n_trials: int | None,
    hours: float | None,
    gpu_hours: float | None,
    retry_failed: bool,
    force: bool,
    address: str | None,
    console: Console,
    former: Space | None = None,
) -> str:
    """Goes on with a run that stopped, or extends one that ended; returns the state in which it ends now.

    Trials that had ended stay as they are, and the sampler knows them; those that were cut off go on from their last
    checkpoint, under their numbers, and with `asha` keep their places in its rungs.

    Args:
        plan: Of the run's own space, or of the one with which it goes on.
        run: The run.
        n_trials: Trials in all; None = as many as before.
        hours: Wall-clock limit of this part; None = the space's.
        gpu_hours: Limit of the GPU-hours of this part; None = the space's.
        retry_failed: Whether failed trials are run again, too.
        force: Whether to believe that a search which seems to run is gone.
        address: Of the cluster that was joined; None = a Ray of our own is started.
        console: Where progress is shown.
        former: The run's own space, where `plan` is of another one.

    Raises:
        InputError: a limit is not above 0, or there is nothing to do.
        Unavailable: the run goes on still, or Ray cannot be reached.
    """
    limits = {"trials": n_trials, "hours": hours, "gpu_hours": gpu_hours}
    problems = [limit_problem(f"--{key.replace('_', '-')}", key, value) for key, value in limits.items()]
    if any(problems):
        raise InputError(filter(None, problems))
    info, records = run.info(), run.journal.trials()
    if run.alive() and not force:
        where = f"in process {info['pid']} on host {info.get('host', 'unknown')}"
        raise Unavailable(f"run {run.name}: goes on still, {where}; stop that first. If it is gone: --force")
    total = n_trials if n_trials is not None else int(info["n_trials"])
    if total < len(records):
        raise InputError(f"--trials {total}: run {run.name} has begun {len(records)} trials already")
    again = ("running", "interrupted", "failed") if retry_failed else ("running", "interrupted")
    unfinished = [each for each in records if each.status in again]
    if former is not None:
        left = [each for each in unfinished if not _the_same_in(each.values, former, plan.space)]
        for each in left:
            console.print(f"trial {each.number} stays as it is: this space would train it otherwise", highlight=False)
        unfinished = [each for each in unfinished if each not in left]
    possible = n_configurations(plan.space) if plan.space.search.sampler.name == "grid" else None
    total = total if possible is None else min(total, possible)
    searched = not unfinished and len(records) >= total
    if searched and not confirmation_left(plan.space, run):
        n_failed = sum(each.status == "failed" for each in records)
        more = f", --retry-failed runs {n_failed} failed ones again" if n_failed else ""
        raise InputError(f"run {run.name}: all {total} trials have ended; --trials N extends it{more}")
    options = dataclasses.replace(
        plan.space.search,
        hours=plan.space.search.hours if hours is None else hours,
        gpu_hours=plan.space.search.gpu_hours if gpu_hours is None else gpu_hours,
    )
    plan = dataclasses.replace(plan, space=dataclasses.replace(plan.space, search=options), n_trials=total).sealed()
    folders = build_stores(plan, console, spread=address is not None)
    if former is not None:
        run.change_space(plan.space)
    run.update(
        state="running",
        stores=folders,
        **this_process(),
        n_trials=total,
        resumed=now(),
        versions=versions(),
    )
    begun = len(records) - len(unfinished)
    new = total - len(records)
    what = f"{begun} trials kept, {len(unfinished)} resumed, {new} new"
    console.print(f"run {run.name} goes on: {what}", highlight=False)
    tell_client()
    if address is None:
        start_ray(None)
    shared, state = address is not None, "finished"
    if not searched:
        state = tune_trials(plan, run, folders=folders, unfinished=unfinished, shared=shared)
    return confirm_trials(plan, run, state, folders=folders, console=console, shared=shared)


def _the_same_in(values: Values, former: Space, space: Space) -> bool:
    """Whether two spaces train a configuration in the same way."""
    return space.contains(values) and space.experiment(values) == former.experiment(values)
