"""The best configurations of a search are trained again with fresh seeds, where its space wants that."""

import dataclasses

from rich.console import Console

from core import table
from core.table import Block
from search.methods.confirmations import CONFIRMATIONS
from search.methods.schedulers import SCHEDULERS
from search.prepare.plan import Plan
from search.runs.confirmed import confirmation_trainings
from search.runs.journal import now
from search.runs.run import Run, this_process
from search.space.space import Space
from search.tuning.tuner import METRIC, Assignment, run_tune, shared_places

ENDED = ("finished", "failed")
"""Statuses of trainings that are not done again."""


def confirmation_left(space: Space, run: Run) -> bool:
    """Whether a search whose trials have all ended has best ones that are yet to be confirmed."""
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
    console: Console,
    shared: bool = False,
) -> str:
    """Trains the best configurations again where the space wants it; returns the state in which the run ended.

    What an earlier part has trained stands. The limits of the search (hours, GPU-hours, patience) do not count here.

    Args:
        plan: What to run.
        run: Its search has ended.
        state: In which the search ended; after one that the user interrupted nothing is confirmed.
        folders: Of the feature stores.
        console: Where it is said that the confirmation begins.
        shared: Whether other searches may run on the same Ray.
    """
    from search.tuning.searcher import Listed

    confirmation = table.build("search.confirm", CONFIRMATIONS, plan.space.search.confirm)
    if confirmation is None or state == "interrupted" or not run.ranked():
        return state
    again = run.confirmation()
    again.path.mkdir(exist_ok=True)
    wanted = confirmation_trainings(plan.space, run, confirmation)
    known = {record.number: record.status for record in again.journal.trials()}
    todo = [training for training in wanted if known.get(training["number"]) not in ENDED]
    again.update(state="running", wanted=[training["number"] for training in wanted])
    if todo:
        run.update(state="confirming", **this_process())
        what = f"{len(wanted) // confirmation.seeds} configurations, {confirmation.seeds} fresh seeds each"
        console.print(f"confirming the best: {what}", highlight=False)
        n_ended = sum(status in ENDED for status in known.values())
        with shared_places(plan, run, shared=shared) as part:
            assignment = Assignment(
                searcher=Listed(todo, part=part),
                scheduler=table.build("search.scheduler", SCHEDULERS, Block("none"), METRIC, 1),
                options=dataclasses.replace(plan.space.search, hours=None, gpu_hours=None, patience=None),
                n_trials=n_ended + len(todo),
                waiting=frozenset(training["number"] for training in todo if training["number"] in known),
            )
            done = run_tune(plan, again, assignment, run=run.name, title=f"{run.name} (confirmation)", folders=folders)
        state = state if done == "finished" else done
    again.update(state=state)
    run.update(state=state, finished=now())
    return state
