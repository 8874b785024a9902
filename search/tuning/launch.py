"""Starts or resumes a search: feature stores, Ray, trials, confirmation."""

import dataclasses

from core.errors import InputError
from core.versions import versions
from search.cluster.jobs import announce_start
from search.cluster.ray_session import start_ray
from search.prepare.identity import check_identity, record_identity
from search.prepare.plan import Plan
from search.prepare.stores import build_stores
from search.runs.journal import now
from search.runs.output import Output
from search.runs.run import Run, this_process
from search.space.configurations import n_configurations
from search.space.parameter import Values
from search.space.reader import read_space
from search.space.sections import limit_problem
from search.space.space import Space
from search.tuning.confirm import confirm_trials, confirmation_left
from search.tuning.tuner import tune_trials


def run_search(plan: Plan, run: Run, *, address: str | None, output: Output) -> str:
    """Runs the trials of a new run and confirms the best.

    Args:
        plan: Plan of the search.
        run: The new run; its folder exists.
        address: Address of the cluster to which this process is connected; None: a Ray is started on this machine.
        output: Where the progress is shown.

    Returns:
        The final state: `finished`, `interrupted` (by the user), `out of time`, `out of GPU hours` or `no progress`.

    Raises:
        InputError: A recording cannot be used, or no node has the CPUs and GPUs of a trial.
        Unavailable: Ray cannot be reached, or the storage was lost.
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
    announce_start()
    plan = plan.sealed()
    record_identity(run, plan)
    folders = build_stores(plan, output.console, distributed=address is not None)
    run.update(state="running", stores=folders)
    if address is None:
        start_ray(None)
    state = tune_trials(plan, run, folders=folders, shared=address is not None, output=output)
    return confirm_trials(plan, run, state, folders=folders, output=output, shared=address is not None)


def check_limits(*, n_trials: int | None, hours: float | None, gpu_hours: float | None) -> None:
    """Checks the limits of a resumed search; None: the limit stays as it was.

    Raises:
        InputError: Limits are not above 0.
    """
    limits = {"trials": n_trials, "hours": hours, "gpu_hours": gpu_hours}
    problems = [limit_problem(f"--{key.replace('_', '-')}", key, value) for key, value in limits.items()]
    if any(problems):
        raise InputError(filter(None, problems))


def resume_search(
    plan: Plan,
    run: Run,
    *,
    n_trials: int | None,
    hours: float | None,
    gpu_hours: float | None,
    retry_failed: bool,
    address: str | None,
    output: Output,
    former: Space | None = None,
) -> str:
    """Resumes a run that stopped, or extends a run that ended.

    Ended trials are kept, and the sampler learns from them. Unfinished trials keep their numbers and continue from
    their last checkpoint. With `asha` and `median`, the scheduler still knows their reports.

    Args:
        plan: Plan of the run's own space, or of a changed space.
        run: The run, which this process owns.
        n_trials: Trials in total, kept ones included; None: as many as before.
        hours: Limit of wall-clock hours from now; None: the limit of the space.
        gpu_hours: Limit of GPU-hours from now; None: the limit of the space.
        retry_failed: Whether failed trials are run again.
        address: Address of the cluster to which this process is connected; None: a Ray is started on this machine.
        output: Where the progress is shown.
        former: The run's own space, if `plan` has a changed space; None: only places of corpus or weights differ.

    Returns:
        The final state, as for `run_search`.

    Raises:
        InputError: Corpus or weights are not those of the launch, a limit is not positive, there is nothing to do, a
            recording cannot be used, or no node has the CPUs and GPUs of a trial.
        Unavailable: Ray cannot be reached, or the storage or the lease of the run was lost.
    """
    check_limits(n_trials=n_trials, hours=hours, gpu_hours=gpu_hours)
    info, records = run.info(), run.journal.trials()
    total = n_trials if n_trials is not None else int(info["n_trials"])
    if total < len(records):
        raise InputError(f"--trials {total}: run {run.name} has already started {len(records)} trials")
    to_run = ("running", "interrupted", "failed") if retry_failed else ("running", "interrupted")
    unfinished = [record for record in records if record.status in to_run]
    if former is not None:
        changed = [record for record in unfinished if not _trains_the_same(record.values, former, plan.space)]
        for record in changed:
            line = f"trial {record.number} is not resumed: the changed space would train it differently"
            output.say(line)
        unfinished = [record for record in unfinished if record not in changed]
    possible = n_configurations(plan.space) if plan.space.search.sampler.name == "grid" else None
    total = total if possible is None else min(total, possible)
    searched = not unfinished and len(records) >= total
    if searched and not confirmation_left(plan.space, run):
        n_failed = sum(record.status == "failed" for record in records)
        retry = f", --retry-failed repeats {n_failed} failed ones" if n_failed else ""
        raise InputError(f"run {run.name}: all {total} trials have ended; --trials N extends it{retry}")
    options = dataclasses.replace(
        plan.space.search,
        hours=plan.space.search.hours if hours is None else hours,
        gpu_hours=plan.space.search.gpu_hours if gpu_hours is None else gpu_hours,
    )
    plan = dataclasses.replace(plan, space=dataclasses.replace(plan.space, search=options), n_trials=total).sealed()
    check_identity(run, plan, new_weights=former is not None)
    record_identity(run, plan)
    folders = build_stores(plan, output.console, distributed=address is not None)
    if former is not None or plan.space.plain != read_space(run.path / "space.yaml").plain:
        run.change_space(plan.space)
    run.update(
        state="running",
        stores=folders,
        **this_process(),
        n_trials=total,
        resumed=now(),
        versions=versions(),
    )
    n_kept, n_new = len(records) - len(unfinished), total - len(records)
    counts = f"{n_kept} trials kept, {len(unfinished)} resumed, {n_new} new"
    output.say(f"run {run.name} resumed: {counts}")
    announce_start()
    if address is None:
        start_ray(None)
    shared, state = address is not None, "finished"
    if not searched:
        state = tune_trials(plan, run, folders=folders, unfinished=unfinished, shared=shared, output=output)
    return confirm_trials(plan, run, state, folders=folders, output=output, shared=shared)


def _trains_the_same(values: Values, former: Space, space: Space) -> bool:
    """Whether both spaces train a configuration in the same way."""
    return space.contains(values) and space.experiment(values) == former.experiment(values)
