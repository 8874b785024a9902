"""Confirmation: trains the best configurations of a search again with fresh seeds, if its space says so."""

import dataclasses
from typing import Any

from core import table
from core.table import Block
from search.methods.confirmations import CONFIRMATIONS
from search.methods.schedulers import SCHEDULERS
from search.prepare.plan import Plan
from search.runs.confirmed import ENDED, confirmation_candidates, confirmation_trainings
from search.runs.journal import now
from search.runs.output import Output
from search.runs.run import Run, this_process
from search.space.space import Space
from search.tuning.tuner import METRIC, TuneSettings, fair_share, run_tune


def confirmation_left(space: Space, run: Run) -> bool:
    """Whether the confirmation of a search lacks trainings. All trials of the search have ended."""
    confirmation = table.build("search.confirm", CONFIRMATIONS, space.search.confirm)
    if confirmation is None:
        return False
    ended = {record.number for record in run.confirmation().journal.trials() if record.status in ENDED}
    return any(training["number"] not in ended for training in confirmation_trainings(space, run, confirmation))


def confirm_trials(
    plan: Plan,
    run: Run,
    state: str,
    *,
    folders: dict[str, dict[str, str]],
    output: Output,
    shared: bool = False,
) -> str:
    """Trains the best configurations again if the space says so; returns the final state of the run.

    Trainings that ended before are kept. The limits of the search (hours, GPU-hours, patience) do not apply.

    Args:
        plan: Plan of the search.
        run: Run whose search has ended.
        state: State in which the search ended. After `interrupted`, nothing is confirmed.
        folders: Folders of the feature stores, by `store_name` and partition.
        output: Where the progress is shown.
        shared: Whether other searches may use the same Ray.

    Raises:
        InputError: No node has the CPUs and GPUs of a training.
        Unavailable: The storage was lost.
    """
    from search.tuning.searcher import FixedSearcher
    from search.tuning.tensorboard import write_confirmed_means

    confirmation = table.build("search.confirm", CONFIRMATIONS, plan.space.search.confirm)
    if confirmation is None or state == "interrupted" or not run.ranked():
        return state
    trainings = run.confirmation()
    trainings.path.mkdir(exist_ok=True)
    n_configurations = len(confirmation_candidates(plan.space, run, confirmation))
    most = n_configurations * confirmation.seeds
    race = None if confirmation.level is None else {"level": confirmation.level, "at_most": most}

    def todo() -> list[dict[str, Any]]:
        """The trainings that are needed and have not ended; a race needs others once these have ended."""
        wanted = confirmation_trainings(plan.space, run, confirmation)
        trainings.update(wanted=[training["number"] for training in wanted], race=race)
        ended = {record.number for record in trainings.journal.trials() if record.status in ENDED}
        return [training for training in wanted if training["number"] not in ended]

    trainings.update(state="running")
    first = todo()
    if first:
        run.update(state="confirming", **this_process())
        known = {record.number for record in trainings.journal.trials()}
        unfinished = known & {training["number"] for training in first}
        n_ended = len(confirmation_trainings(plan.space, run, confirmation)) - len(first)
        at_most = "" if race is None else "at most "
        size = f"{n_configurations} configurations, {at_most}{confirmation.seeds} fresh seeds each"
        output.say(f"confirming the best: {size}")
        with fair_share(plan, run, shared=shared) as max_running:
            settings = TuneSettings(
                searcher=FixedSearcher(todo, max_running=max_running),
                scheduler=table.build("search.scheduler", SCHEDULERS, Block("none"), METRIC, 1),
                options=dataclasses.replace(plan.space.search, lag=None, hours=None, gpu_hours=None, patience=None),
                n_trials=len(known - unfinished) + most - n_ended,
                unfinished=frozenset(unfinished),
            )
            ended_as = run_tune(
                plan, trainings, settings, run=run.name, part="confirmation", folders=folders, output=output
            )
        state = state if not todo() else ended_as
    write_confirmed_means(run)
    trainings.update(state=state)
    run.update(state=state, finished=now())
    return state
