"""Lets Ray Tune run trials: those that Optuna suggests, then the best ones again with fresh seeds."""

import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console

from core import table
from core.cost import macs_of
from core.detector import Detector, build_detector
from core.errors import InputError
from core.table import Block
from search.capacity import places
from search.configurations import corners
from search.confirmation import to_train
from search.confirmations import CONFIRMATIONS
from search.journal import TrialRecord, now
from search.options import SearchOptions
from search.parameter import Values
from search.patience import StorageLost
from search.plan import Plan
from search.replay import end_what_had_ended, replay, trial_epochs
from search.run import Run, this_process
from search.schedulers import SCHEDULERS
from search.space import Space, store_name

METRIC = "objective"


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
    epochs = max(trial_epochs(space, values) for values in corners(space))
    scheduler = table.build("search.scheduler", SCHEDULERS, options.scheduler, METRIC, epochs)
    replayed = replay(scheduler, run.events())
    ended = end_what_had_ended(space, run, unfinished, replayed.stopped)
    unfinished = [each for each in unfinished if each.number not in ended]
    waiting = {each.number for each in unfinished}
    history = [each for each in run.trials() if each.number not in waiting]
    known = known_trials(space, plan.storage)
    with _share(plan, run, shared) as part:
        brain = OptunaBrain(
            space,
            history=history,
            unfinished=unfinished,
            adopted=replayed.adopt,
            part=part,
            known=known,
            cost=cost_function(plan),
        )
        left = plan.n_trials > len(history)
        how = (brain, scheduler, options, plan.n_trials, waiting)
        state = _tune(plan, run, folders, console, *how) if left else "finished"
    run.update(state=state, finished=now())
    return state


def cost_function(plan: Plan) -> Callable[[Values], float] | None:
    """What a configuration costs in the unit of `search.cost`; None where cost does not count."""
    if plan.space.search.cost == "none":
        return None
    n_features = {store_name(each.experiment): each.n_features for each in plan.stores}

    def cost(values: Values) -> float:
        experiment = plan.space.experiment(values)
        detector = build_detector(experiment, n_features[store_name(experiment)])
        if plan.space.search.cost == "parameters":
            return float(sum(each.numel() for each in detector.parameters()))
        assert isinstance(detector, Detector)  # the plan refuses what has no layers
        return macs_of(detector, n_features[store_name(experiment)]) / 1e9

    return cost


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
        "recorded": {each.number: each.epoch for each in run.trials() if each.number in waiting},
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
