"""Lets Ray Tune run the trials that Optuna suggests, or any that a searcher lists."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core import table
from core.cost import macs_of
from core.detector import Detector, build_detector
from core.errors import InputError, Unavailable
from search.cluster.capacity import places
from search.methods.schedulers import SCHEDULERS
from search.prepare.plan import Plan
from search.runs.journal import TrialRecord, now
from search.runs.retry import StorageLost
from search.runs.run import Run
from search.runs.trial_folder import TrialFolder
from search.space.configurations import corners
from search.space.options import SearchOptions
from search.space.parameter import Values
from search.space.space import store_name
from search.tuning.replay import end_what_had_ended, replay, trial_epochs

METRIC = "objective"


@dataclass(frozen=True)
class Assignment:
    """What Tune is to run, and within which limits."""

    searcher: Any
    """A Searcher of Ray's: what to try next."""

    scheduler: Any
    """A row of SCHEDULERS: what stops a trial early."""

    options: SearchOptions
    """Resources of a trial and limits of the whole."""

    n_trials: int
    """Trials in all, those that have ended included."""

    waiting: frozenset[int] = frozenset()
    """Numbers of trials that an earlier part left unfinished."""


def tune_trials(
    plan: Plan,
    run: Run,
    *,
    folders: dict[str, dict[str, str]],
    unfinished: Sequence[TrialRecord] = (),
    shared: bool = False,
) -> str:
    """Runs the trials on the Ray that is connected; returns the state in which the search ended.

    Args:
        plan: What to run.
        run: Where it is recorded; trials that it holds already are history, but for those that are unfinished.
        folders: Of the feature stores.
        unfinished: Trials of the run that go on.
        shared: Whether other searches may run on the same Ray.
    """
    from search.runs.warm_start import warm_start_trials
    from search.tuning.searcher import OptunaBrain

    space, options = plan.space, plan.space.search
    epochs = max(trial_epochs(space, values) for values in corners(space))
    scheduler = table.build("search.scheduler", SCHEDULERS, options.scheduler, METRIC, epochs)
    replayed = replay(scheduler, run.journal.events())
    ended = end_what_had_ended(space, run, unfinished, replayed.stopped)
    unfinished = [record for record in unfinished if record.number not in ended]
    waiting = frozenset(record.number for record in unfinished)
    history = [record for record in run.journal.trials() if record.number not in waiting]
    known = warm_start_trials(space, plan.storage)
    with shared_places(plan, run, shared=shared) as part:
        brain = OptunaBrain(
            space,
            history=history,
            unfinished=unfinished,
            adopted=replayed.adopt,
            part=part,
            known=known,
            cost=cost_function(plan),
        )
        assignment = Assignment(brain, scheduler, options, plan.n_trials, waiting)
        left = plan.n_trials > len(history)
        state = run_tune(plan, run, assignment, run=run.name, title=run.name, folders=folders) if left else "finished"
    run.update(state=state, finished=now())
    return state


def cost_function(plan: Plan) -> Callable[[Values], float] | None:
    """What a configuration costs in the unit of `search.cost`; None where cost does not count."""
    if plan.space.search.cost == "none":
        return None
    n_features = {store_name(store.experiment): store.n_features for store in plan.stores}

    def cost(values: Values) -> float:
        experiment = plan.space.experiment(values)
        detector = build_detector(experiment, n_features[store_name(experiment)])
        if plan.space.search.cost == "parameters":
            return float(sum(parameter.numel() for parameter in detector.parameters()))
        assert isinstance(detector, Detector)  # the plan refuses what has no layers
        return macs_of(detector, n_features[store_name(experiment)]) / 1e9

    return cost


@contextlib.contextmanager
def shared_places(plan: Plan, run: Run, *, shared: bool) -> Iterator[Callable[[], int] | None]:
    """How many trials may run at a time where other searches are on the same Ray; None where there are none."""
    from search.cluster.fair_share import Share

    room = places(plan.space.search)
    share = Share(f"{plan.storage.place}/{run.place}", room or 1) if shared and room else None
    try:
        yield share.part if share else None
    finally:
        if share:
            share.leave()


def run_tune(
    plan: Plan,
    trials: TrialFolder,
    assignment: Assignment,
    *,
    run: str,
    title: str,
    folders: dict[str, dict[str, str]],
) -> str:
    """Lets Tune run what a searcher suggests; returns the state in which that ended.

    Args:
        plan: Names the space, the storage and the origins of the utterances.
        trials: Where the trials are recorded.
        assignment: What Tune is to run.
        run: Name of the run, for the hint how to go on.
        title: Of the live table.
        folders: Of the feature stores, by `store_name` and partition.

    Raises:
        InputError: no node has what a trial takes, or the storage was lost.
    """
    import ray
    from ray import tune

    from search.tuning.limits import Budget
    from search.tuning.live_table import LiveTable
    from search.tuning.recorder import RecordTrials
    from search.tuning.tensorboard import TensorBoardWriter
    from search.tuning.trial import run_trial

    options, n_trials, storage, journal = assignment.options, assignment.n_trials, plan.storage, trials.journal
    room = places(options)
    if room == 0:
        raise InputError(
            f"search: cpus {options.cpus} and gpus {options.gpus} a trial; Ray has {ray.cluster_resources()}"
        )
    setup = _setup(plan, trials, assignment.waiting, folders)
    live_table = LiveTable(journal, plan.space, n_trials, title=title)
    budget = Budget(options)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, setup=setup), {"cpu": options.cpus, "gpu": options.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=assignment.searcher,
            scheduler=assignment.scheduler,
            num_samples=n_trials - sum(record.number not in assignment.waiting for record in journal.trials()),
            max_concurrent_trials=min(limit for limit in (options.concurrency, room, n_trials) if limit is not None),
            trial_dirname_creator=trial_folder_name,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=trials.next_leg(),
            storage_path=f"{storage.place}/{trials.place}",
            callbacks=[RecordTrials(trials), TensorBoardWriter(trials.tensorboard), live_table, budget],
            stop=budget,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            failure_config=tune.FailureConfig(max_failures=options.deaths),
            verbose=0,
        ),
    )
    forward_sigterm()
    goes_on = f"spooftune resume {run} goes on once it can"
    try:
        tuner.fit()
    except StorageLost as error:
        raise Unavailable(f"{error}; {goes_on}") from error
    finally:
        live_table.close()
    if budget.problem:
        raise Unavailable(f"{budget.problem}; {goes_on}")
    for leg in storage.names(trials.place):
        if leg.startswith("tune"):
            storage.pull(f"{trials.place}/{leg}")
    records = journal.trials()
    n_done = sum(record.status != "running" for record in records)
    for record in records:
        if record.status == "running":
            journal.record("end", record.number, status="interrupted", seconds=record.seconds)
    return "finished" if n_done >= n_trials else budget.reason or "interrupted"


def _setup(plan: Plan, trials: TrialFolder, waiting: frozenset[int], folders: dict[str, dict[str, str]]) -> Any:
    """The TrialSetup of a part of a search."""
    from search.tuning.trial import TrialSetup

    storage = plan.storage
    checkpoints = {number: trials.checkpoint(number) for number in waiting}
    return TrialSetup(
        space=plan.space,
        storage=storage.place,
        stores={
            name: {partition: storage.relative(folder) for partition, folder in partitions.items()}
            for name, partitions in folders.items()
        },
        origins=plan.origins,
        checkpoints={number: storage.relative(path) for number, path in checkpoints.items() if path is not None},
        recorded={record.number: record.epoch for record in trials.journal.trials() if record.number in waiting},
    )


def trial_folder_name(trial: Any) -> str:
    """Name of a trial's folder: its number."""
    return f"{trial.config['number']:05d}"


def forward_sigterm() -> None:
    """Makes SIGTERM end the search as Ctrl-C does: trials stop at their last epoch, nothing is lost."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: os.kill(os.getpid(), signal.SIGINT))
