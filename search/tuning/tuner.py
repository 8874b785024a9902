"""Runs trials on Ray Tune: those of a search, or any that a searcher suggests."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from core import table
from core.cost import macs_of
from core.detector import Detector, build_detector
from core.errors import InputError, Unavailable
from search.cluster.capacity import trial_capacity
from search.methods.schedulers import SCHEDULERS
from search.prepare.plan import Plan
from search.runs.interruption import forward_sigterm
from search.runs.journal import TrialRecord, now
from search.runs.output import Output
from search.runs.retry import StorageLost
from search.runs.run import Run
from search.runs.trial_folder import TrialFolder
from search.space.configurations import corners
from search.space.options import SearchOptions
from search.space.parameter import Values
from search.space.space import store_name
from search.tuning.replay import record_missing_ends, replay, trial_epochs

METRIC = "objective"


@dataclass(frozen=True)
class TuneSettings:
    """Settings of one call of Ray Tune."""

    searcher: Any
    """A Ray Tune `Searcher`, which suggests configurations."""

    scheduler: Any
    """A trial scheduler, built from a row of SCHEDULERS."""

    options: SearchOptions
    """CPUs and GPUs of a trial, and limits of the search."""

    n_trials: int
    """Trials in total, ended ones included."""

    unfinished: frozenset[int] = frozenset()
    """Numbers of the trials that are resumed."""


def tune_trials(
    plan: Plan,
    run: Run,
    *,
    folders: dict[str, dict[str, str]],
    unfinished: Sequence[TrialRecord] = (),
    shared: bool = False,
    output: Output,
) -> str:
    """Runs the trials of a search on the connected Ray; returns the state in which the search ended.

    Args:
        plan: Plan of the search.
        run: Run of the search. The searcher learns from its ended trials.
        folders: Folders of the feature stores, by `store_name` and partition.
        unfinished: Trials of the run that are resumed.
        shared: Whether other searches may use the same Ray.
        output: Where the progress is shown.

    Raises:
        InputError: No node has the CPUs and GPUs of a trial.
        Unavailable: The storage was lost.
    """
    from search.runs.warm_start import warm_start_trials
    from search.tuning.lagged import LaggedScheduler, LaggedSearcher
    from search.tuning.searcher import OptunaSearcher

    space, options = plan.space, plan.space.search
    epochs = max(trial_epochs(space, values) for values in corners(space))
    scheduler_of = partial(table.build, "search.scheduler", SCHEDULERS, options.scheduler, METRIC, epochs)
    scheduler = LaggedScheduler(options.lag, scheduler_of) if options.lag else scheduler_of()
    replayed = replay(scheduler, run.journal.events())
    ended = record_missing_ends(space, run, unfinished, replayed.stopped)
    unfinished = [record for record in unfinished if record.number not in ended]
    numbers = frozenset(record.number for record in unfinished)
    history = [record for record in run.journal.trials() if record.number not in numbers]
    warm_start = warm_start_trials(space, plan.storage)
    state = "finished"
    searcher_of = partial(OptunaSearcher, space, warm_start=warm_start, cost=cost_function(plan))
    with fair_share(plan, run, shared=shared) as max_running:
        how: dict[str, Any] = {
            "unfinished": unfinished,
            "on_resumed": replayed.adopt,
            "max_running": max_running,
        }
        searcher = (
            LaggedSearcher(space, options.lag, searcher_of, run.journal, **how)
            if options.lag
            else searcher_of(history=history, reports=run.journal.epochs(), **how)
        )
        settings = TuneSettings(searcher, scheduler, options, plan.n_trials, numbers)
        if plan.n_trials > len(history):
            state = run_tune(plan, run, settings, run=run.name, part="search", folders=folders, output=output)
    run.update(state=state, finished=now())
    return state


def cost_function(plan: Plan) -> Callable[[Values], float] | None:
    """A function that returns a configuration's cost (parameters, or GMACs); None if `search.cost` is `none`."""
    if plan.space.search.cost == "none":
        return None
    stores = {store_name(store.experiment): store for store in plan.stores}

    def cost(values: Values) -> float:
        experiment = plan.space.experiment(values)
        store = stores[store_name(experiment)]
        detector = build_detector(experiment, store.n_features, store.layers)
        if plan.space.search.cost == "parameters":
            return float(sum(parameter.numel() for parameter in detector.parameters()))
        assert isinstance(detector, Detector)  # The plan has refused detectors without layers.
        return macs_of(detector, store.n_features) / 1e9

    return cost


@contextlib.contextmanager
def fair_share(plan: Plan, run: Run, *, shared: bool) -> Iterator[Callable[[], int] | None]:
    """Registers a search for its fair share of the cluster during the block.

    Args:
        plan: Plan of the search.
        run: Run of the search.
        shared: Whether other searches may use the same Ray.

    Yields:
        A function that returns the trials that may run at a time now; None if the search does not share, or the
        capacity of the cluster is unknown or 0.
    """
    from search.cluster.fair_share import FairShare

    capacity = trial_capacity(plan.space.search)
    share = FairShare(f"{plan.storage.place}/{run.place}", capacity) if shared and capacity else None
    try:
        yield share.n_trials if share else None
    finally:
        if share:
            share.leave()


def run_tune(
    plan: Plan,
    trials: TrialFolder,
    settings: TuneSettings,
    *,
    run: str,
    part: str,
    folders: dict[str, dict[str, str]],
    output: Output,
) -> str:
    """Runs the trials that a searcher suggests; returns the state in which they ended.

    Args:
        plan: Plan with the space, the storage and the origins of the utterances.
        trials: Folder in which the trials are recorded.
        settings: Settings of Ray Tune.
        run: Name of the run.
        part: `search` or `confirmation`, for the table.
        folders: Folders of the feature stores, by `store_name` and partition.
        output: Where the progress is shown.

    Returns:
        `finished`, `interrupted` (by the user), `out of time`, `out of GPU hours` or `no progress`.

    Raises:
        InputError: No node has the CPUs and GPUs of a trial.
        Unavailable: The storage was lost.
    """
    import ray
    from ray import tune

    from search.tuning.hparams import columns_of
    from search.tuning.limits import Limits
    from search.tuning.live_table import LiveTable
    from search.tuning.overview import Overview, pages_of
    from search.tuning.recorder import RecordTrials
    from search.tuning.tensorboard import TensorBoardWriter
    from search.tuning.trial import run_trial

    options, n_trials, storage, journal = settings.options, settings.n_trials, plan.storage, trials.journal
    capacity = trial_capacity(options)
    if capacity == 0:
        size = f"a trial needs {options.cpus} CPUs and {options.gpus:g} GPUs"
        raise InputError(f"search: {size}; no node of Ray has that: {ray.cluster_resources()}")
    setup = _trial_setup(plan, trials, settings.unfinished, folders)
    at_a_time = min(n for n in (options.concurrency, options.lag, capacity, n_trials) if n is not None)
    live_table = LiveTable(
        journal.path,
        dataclasses.replace(plan.space, search=options),
        n_trials,
        run=run,
        part=part,
        output=output,
        at_a_time=at_a_time,
        unfinished=settings.unfinished,
    )
    limits = Limits(options)
    columns = columns_of(plan.space.searched, (record.values for record in journal.trials()))
    overview = Overview(trials.tensorboard, journal, plan.space.metric, pages_of(plan)) if part == "search" else None
    curves = TensorBoardWriter(trials.tensorboard, columns, journal, part=part, overview=overview)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, setup=setup), {"cpu": options.cpus, "gpu": options.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=settings.searcher,
            scheduler=settings.scheduler,
            num_samples=n_trials - sum(record.number not in settings.unfinished for record in journal.trials()),
            max_concurrent_trials=at_a_time,
            trial_dirname_creator=trial_folder_name,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=trials.next_leg(),
            storage_path=f"{storage.place}/{trials.place}",
            callbacks=[RecordTrials(trials), curves, live_table, limits],
            stop=limits,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            failure_config=tune.FailureConfig(max_failures=options.deaths),
            verbose=0,
        ),
    )
    forward_sigterm()
    hint = f"spooftune resume {run}{storage.option} continues the run once the storage is back"
    try:
        tuner.fit()
    except StorageLost as error:
        raise Unavailable(f"{error}; {hint}") from error
    finally:
        live_table.close()
    if limits.problem:
        raise Unavailable(f"{limits.problem}; {hint}")
    for leg in storage.names(trials.place):
        if leg.startswith("tune"):
            storage.pull(f"{trials.place}/{leg}")
    records = journal.trials()
    n_done = sum(record.status != "running" for record in records)
    for record in records:
        if record.status == "running":
            journal.record("end", record.number, status="interrupted", seconds=record.seconds)
    return "finished" if n_done >= n_trials else limits.reason or "interrupted"


def _trial_setup(
    plan: Plan, trials: TrialFolder, unfinished: frozenset[int], folders: dict[str, dict[str, str]]
) -> Any:
    """The TrialSetup of the trials in a folder."""
    from search.tuning.trial import TrialSetup

    storage = plan.storage
    checkpoints = {number: trials.checkpoint(number) for number in unfinished}
    return TrialSetup(
        space=plan.space,
        storage=storage.place,
        stores={
            name: {partition: storage.relative(folder) for partition, folder in partitions.items()}
            for name, partitions in folders.items()
        },
        origins=plan.origins,
        asv=plan.asv,
        checkpoints={number: storage.relative(path) for number, path in checkpoints.items() if path is not None},
        recorded_epochs={
            record.number: record.epoch for record in trials.journal.trials() if record.number in unfinished
        },
    )


def trial_folder_name(trial: Any) -> str:
    """Name of a trial's folder: its number, padded to five digits."""
    return f"{trial.config['number']:05d}"
