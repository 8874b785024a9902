"""Runs a search: plan, feature stores, Ray Tune with Optuna, the exported best."""

import contextlib
import dataclasses
import logging
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from rich.console import Console

from core import table
from core.bundle import versions
from core.errors import InputError
from core.table import Block
from search.confirmation import CONFIRMATIONS, PROXIES, to_train
from search.patience import StorageLost
from search.plan import Plan
from search.preflight import places, preflight
from search.report import show_corpus
from search.run import Run, TrialRecord, now, this_process
from search.schedulers import SCHEDULERS, replay
from search.space import SearchOptions, Space, Values
from search.stores import build_stores

METRIC = "objective"


def join_cluster(plan: Plan, address: str, console: Console) -> None:
    """Connects to a cluster and checks what a search needs of it.

    Raises:
        InputError: it cannot be reached, or a node cannot do what a search needs of it.
    """
    start_ray(plan.space, address)
    for line in preflight(plan):
        console.print(line, highlight=False)


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
        InputError: Ray cannot be reached.
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
    plan = plan.sealed()
    show_corpus(plan, console)
    folders = build_stores(plan, console, spread=address is not None)
    run.update(state="running", stores=folders)
    if address is None:
        start_ray(space, None)
    state = tune_trials(plan, run, folders, console, shared=address is not None)
    return confirm_trials(plan, run, folders, console, state, shared=address is not None)


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
        InputError: the run goes on still, there is nothing to do, or Ray cannot be reached.
    """
    info, records = run.info(), run.trials()
    if run.alive() and not force:
        where = f"in process {info['pid']} on host {info.get('host', 'unknown')}"
        raise InputError(f"run {run.name}: goes on still, {where}; stop that first. If it is gone: --force")
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
    possible = plan.space.n_configurations() if plan.space.search.sampler.name == "grid" else None
    total = total if possible is None else min(total, possible)
    searched = not unfinished and len(records) >= total
    if searched and not confirmation_left(plan.space, run):
        n_failed = sum(each.status == "failed" for each in records)
        more = f", --retry-failed runs {n_failed} failed ones again" if n_failed else ""
        raise InputError(f"run {run.name}: all {total} trials have ended; --trials N extends it{more}")
    options = dataclasses.replace(
        plan.space.search,
        hours=hours or plan.space.search.hours,
        gpu_hours=gpu_hours or plan.space.search.gpu_hours,
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
    what = f"{begun} trials stand, {len(unfinished)} continue, {new} are new"
    console.print(f"run {run.name} goes on: {what}", highlight=False)
    if address is None:
        start_ray(plan.space, None)
    shared, state = address is not None, "finished"
    if not searched:
        state = tune_trials(plan, run, folders, console, unfinished=unfinished, shared=shared)
    return confirm_trials(plan, run, folders, console, state, shared=shared)


def _the_same_in(values: Values, former: Space, space: Space) -> bool:
    """Whether two spaces train a configuration in the same way."""
    return space.holds(values) and space.experiment(values) == former.experiment(values)


def start_ray(space: Space, address: str | None) -> None:
    """Starts a Ray of our own, or joins the cluster at `address`."""
    # A token of this run alone: without one Ray would write a lasting one, readable by all, into the home folder.
    if address is None:
        os.environ.pop("RAY_ADDRESS", None)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # Ray's ports listen on every interface and ask for the token, but for those of its metrics: these stay closed.
        os.environ.setdefault("RAY_enable_metrics_collection", "0")
        os.environ.setdefault("AUTOSCALER_METRIC_PORT", "-1")
        os.environ.setdefault("DASHBOARD_METRIC_PORT", "-1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # paths in a space are relative to where it was launched
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # the run's folder has it all once
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the table is ours; the new output prints even when told not to
    import ray

    try:
        ray.init(
            address=address or "local",
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            num_gpus=torch.cuda.device_count() if address is None else None,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address is None:
            raise InputError(f"Ray did not start: {error}") from error
        hint = "a cluster with a token is reached with RAY_AUTH_MODE=token in the environment"
        raise InputError(f"--address {address}: Ray cannot be reached there: {error}; {hint}") from error
    # A failed trial is no failure of the search: the run's folder and the table have it without a traceback.
    logging.getLogger("ray").setLevel(logging.CRITICAL)


def tune_trials(
    plan: Plan,
    run: Run,
    folders: dict[str, dict[str, str]],
    console: Console,
    *,
    unfinished: Sequence[TrialRecord] = (),
    shared: bool = False,
) -> str:
    """Runs the trials on the Ray that is connected; returns the state in which the search ended.

    Args:
        plan: What to run.
        run: Where it is recorded; trials that it holds already are history, but for those that are unfinished.
        folders: Of the feature stores.
        console: Where progress is shown.
        unfinished: Trials of the run that go on.
        shared: Whether other searches may run on the same Ray.
    """
    from search.brain import OptunaBrain
    from search.warm import known_trials

    space, options = plan.space, plan.space.search
    proxy = table.build("search.proxy", PROXIES, options.proxy)
    corners = [space.experiment(values) for values in space.corners()]
    epochs = max((proxy.experiment(each) if proxy else each).epochs for each in corners)
    waiting = {each.number for each in unfinished}
    history = [each for each in run.trials() if each.number not in waiting]
    scheduler = table.build("search.scheduler", SCHEDULERS, options.scheduler, METRIC, epochs)
    adopted = replay(scheduler, run.epochs())
    known = known_trials(space, plan.storage)
    with _share(plan, run, shared) as part:
        brain = OptunaBrain(space, history=history, unfinished=unfinished, adopted=adopted, part=part, known=known)
        state = _tune(plan, run, folders, console, brain, scheduler, options, plan.n_trials, waiting)
    run.update(state=state, finished=now())
    return state


def confirmation_left(space: Space, run: Run) -> bool:
    """Whether a search whose trials have all ended has best ones that are yet to be confirmed."""
    confirmation = table.build("search.confirm", CONFIRMATIONS, space.search.confirm)
    if confirmation is None:
        return False
    ended = {each.number for each in run.confirmation().trials() if each.status in ("finished", "failed")}
    return any(each["number"] not in ended for each in to_train(space, run, confirmation))


def confirm_trials(
    plan: Plan,
    run: Run,
    folders: dict[str, dict[str, str]],
    console: Console,
    state: str,
    *,
    shared: bool = False,
) -> str:
    """Trains the best configurations again where the space wants it; returns the state in which the run ended.

    What an earlier part has trained stands. The limits of the search (hours, GPU-hours, patience) do not count here.

    Args:
        plan: What to run.
        run: Its search has ended.
        folders: Of the feature stores.
        console: Where progress is shown.
        state: In which the search ended; after one that the user interrupted nothing is confirmed.
        shared: Whether other searches may run on the same Ray.
    """
    from search.brain import Listed

    confirmation = table.build("search.confirm", CONFIRMATIONS, plan.space.search.confirm)
    if confirmation is None or state == "interrupted" or not run.ranked():
        return state
    again = run.confirmation()
    again.path.mkdir(exist_ok=True)
    wanted = to_train(plan.space, run, confirmation)
    known = {each.number: each.status for each in again.trials()}
    todo = [each for each in wanted if known.get(each["number"]) not in ("finished", "failed")]
    again.update(state="running", wanted=[each["number"] for each in wanted])
    if todo:
        run.update(state="confirming", **this_process())
        what = f"{len(wanted) // confirmation.seeds} configurations, {confirmation.seeds} fresh seeds each"
        console.print(f"confirming the best: {what}", highlight=False)
        options = dataclasses.replace(plan.space.search, hours=None, gpu_hours=None, patience=None)
        scheduler = table.build("search.scheduler", SCHEDULERS, Block("none"), METRIC, 1)
        ended = sum(status in ("finished", "failed") for status in known.values())
        with _share(plan, run, shared) as part:
            brain = Listed(todo, part=part)
            waiting = {each["number"] for each in todo if each["number"] in known}
            done = _tune(plan, again, folders, console, brain, scheduler, options, ended + len(todo), waiting)
        state = state if done == "finished" else done
    again.update(state=state)
    run.update(state=state, finished=now())
    return state


@contextlib.contextmanager
def _share(plan: Plan, run: Run, shared: bool) -> Iterator[Callable[[], int] | None]:
    """How many trials may run at a time where other searches are on the same Ray; None where there are none."""
    from search.share import Share

    room = places(plan.space.search)
    share = Share(f"{plan.storage.place}/{run.place}", room or 1) if shared and room else None
    try:
        yield share.part if share else None
    finally:
        if share:
            share.leave()


def _tune(
    plan: Plan,
    run: Run,
    folders: dict[str, dict[str, str]],
    console: Console,
    brain: Any,
    scheduler: Any,
    options: SearchOptions,
    n_trials: int,
    waiting: set[int],
) -> str:
    """Lets Tune run what a searcher suggests; returns the state in which that ended.

    Args:
        plan: What to run.
        run: Where it is recorded.
        folders: Of the feature stores.
        console: Where progress is shown.
        brain: The searcher.
        scheduler: What stops trials early.
        options: Resources and limits.
        n_trials: Trials of the run in all, those that have ended included.
        waiting: Numbers of trials that an earlier part left unfinished.
    """
    import ray
    from ray import tune

    from search.budget import Budget
    from search.progress import LiveTable, RecordTrials
    from search.tensorboard import TensorBoardWriter
    from search.trial import run_trial

    room = places(options)
    if room == 0:
        raise InputError(
            f"search: cpus {options.cpus} and gpus {options.gpus} a trial; Ray has {ray.cluster_resources()}"
        )
    storage = plan.storage
    found = {number: run.checkpoint(number) for number in waiting}
    setup = {
        "space": plan.space,
        "storage": storage.place,
        "stores": {
            name: {partition: storage.relative(folder) for partition, folder in each.items()}
            for name, each in folders.items()
        },
        "origins": plan.origins,
        "checkpoints": {number: storage.relative(path) for number, path in found.items() if path is not None},
    }
    table_shown = LiveTable(run, plan.space, n_trials)
    budget = Budget(options)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, setup=setup), {"cpu": options.cpus, "gpu": options.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=brain,
            scheduler=scheduler,
            num_samples=n_trials - sum(each.number not in waiting for each in run.trials()),
            max_concurrent_trials=min(each for each in (options.concurrency, room, n_trials) if each is not None),
            trial_dirname_creator=trial_folder_name,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=run.next_leg(),
            storage_path=f"{storage.place}/{run.place}",
            callbacks=[RecordTrials(run), TensorBoardWriter(run.tensorboard), table_shown, budget],
            stop=budget,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            failure_config=tune.FailureConfig(max_failures=options.deaths),
            verbose=0,
        ),
    )
    forward_sigterm()
    goes_on = f"spooftune resume {run.place.split('/')[1]} goes on once it can"
    try:
        tuner.fit()
    except StorageLost as error:
        raise InputError(f"{error}; {goes_on}") from error
    finally:
        table_shown.close()
    if budget.problem:
        raise InputError(f"{budget.problem}; {goes_on}")
    for leg in storage.names(run.place):
        if leg.startswith("tune"):
            storage.pull(f"{run.place}/{leg}")
    done = [each for each in run.trials() if each.status != "running"]
    for each in run.trials():
        if each.status == "running":
            run.record("end", each.number, status="interrupted", seconds=each.seconds)
    return "finished" if len(done) >= n_trials else budget.reason or "interrupted"


def trial_folder_name(trial: Any) -> str:
    """Name of a trial's folder: its number."""
    return f"{trial.config['number']:05d}"


def forward_sigterm() -> None:
    """Makes SIGTERM end the search as Ctrl-C does: trials stop at their last epoch, nothing is lost."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: os.kill(os.getpid(), signal.SIGINT))
