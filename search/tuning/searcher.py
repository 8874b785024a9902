"""The bridge from Ray Tune to Optuna: asks for configurations, tells results."""

import itertools
import json
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from ray.tune.search import Searcher

from core import table
from core.evaluation.objectives import OBJECTIVES
from core.seeds import derived_seed
from search.methods.samplers import SAMPLERS
from search.runs.journal import TrialRecord
from search.space.configurations import all_configurations, baseline
from search.space.optuna_space import distributions, suggest
from search.space.parameter import Values
from search.space.space import Space

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class OptunaBrain(Searcher):
    """Suggests configurations of a space and learns from every trial, failed ones included.

    Ray's own wrapper leaves a trial that crashed unknown to the sampler and one that ended in NaN running for ever;
    here both are told as the worst value seen, or as chance where that is worse. Every suggestion has a sampler of its
    own, seeded by the number of the trial, so that the history alone determines what comes next and no generator's
    state need be kept.
    """

    def __init__(
        self,
        space: Space,
        *,
        history: Sequence[TrialRecord] = (),
        unfinished: Sequence[TrialRecord] = (),
        adopted: Callable[[int, str], None] = lambda number, trial_id: None,
        part: Callable[[], int] | None = None,
        known: Sequence[TrialRecord] = (),
        cost: Callable[[Values], float] | None = None,
    ) -> None:
        """A searcher at the beginning of a search, or in the middle of one.

        Args:
            space: What is searched.
            history: Trials of the search that ended before; of another space, those that this one could suggest count.
            unfinished: Trials that began before and are to go on; they are suggested first, under their numbers.
            adopted: Called with the number of such a trial and the name that Ray gives it now.
            part: How many trials may run at a time, now; None = as many as Tune asks for.
            known: Ended trials of other runs to learn from, all of which this space could suggest.
            cost: What a configuration costs, to be kept low beside the objective; None = the objective alone counts.
        """
        super().__init__(metric="objective", mode="min")
        self._space = space
        self._cost = cost
        self._study = optuna.create_study(directions=["minimize"] * (2 if cost else 1))
        self._running: dict[str, optuna.Trial] = {}
        self._taken: set[int] = set()
        self._observed: list[float] = []
        self._grid: list[Values] = list(all_configurations(space)) if space.search.sampler.name == "grid" else []
        self._unfinished = list(unfinished)
        self._adopted = adopted
        self._part = part
        for each in known:
            self._remember(each.values, math.nan if each.status == "failed" else each.objective)
        for each in sorted([*history, *unfinished], key=lambda record: record.number):
            self._taken.add(each.number)
            if each in history and each.status != "interrupted" and space.contains(each.values):
                self._remember(each.values, math.nan if each.status == "failed" else each.objective)

    def suggest(self, trial_id: str) -> Any:
        """The next configuration as `{"number": int, "values": {path: value}}`.

        FINISHED where a grid is done; None while other searches need the room.
        """
        if self._part is not None and len(self._running) >= self._part():
            return None
        if self._unfinished:
            return self._resumed(self._unfinished.pop(0), trial_id)
        # The first free one: a search that was cut off may lack a trial that was suggested and had not begun.
        number = next(each for each in itertools.count() if each not in self._taken)
        if self._space.search.sampler.name == "grid":
            if number >= len(self._grid):
                return Searcher.FINISHED
            self._study.enqueue_trial(self._grid[number])
        elif number == 0 and self._space.search.baseline:
            self._study.enqueue_trial(baseline(self._space))
        seed = derived_seed(self._space.search.seed, "suggest", number) % 2**32
        self._study.sampler = table.build("search.sampler", SAMPLERS, self._space.search.sampler, seed)
        trial = self._study.ask()
        values = suggest(self._space, trial)
        self._running[trial_id] = trial
        self._taken.add(number)
        return {"number": number, "values": values}

    def _resumed(self, record: TrialRecord, trial_id: str) -> dict[str, Any]:
        self._study.enqueue_trial(record.values)
        trial = self._study.ask()
        suggest(self._space, trial)
        self._running[trial_id] = trial
        self._adopted(record.number, trial_id)
        return {"number": record.number, "values": record.values}

    def _remember(self, values: Values, value: float) -> None:
        """Takes a trial of an earlier part of the search into the study; NaN: it failed."""
        failed = not math.isfinite(value)
        if failed:
            value = self._worst()
        else:
            self._observed.append(value)
        known = distributions(self._space)
        self._study.add_trial(
            optuna.trial.create_trial(
                params=values,
                distributions={path: known[path] for path in values},
                values=self._told(values, value),
                user_attrs={"failed": True} if failed else {},
            )
        )

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: samplers learn from the end of a trial alone."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the best value of a trial; see the class for one that failed."""
        trial = self._running.pop(trial_id, None)
        if trial is None:
            return
        value = float((result or {}).get("objective", math.nan))
        if error or not math.isfinite(value):
            trial.set_user_attr("failed", True)
            value = self._worst()
        else:
            self._observed.append(value)
        self._study.tell(trial, self._told(trial.params, value))

    def _told(self, values: Values, value: float) -> list[float]:
        return [value, self._cost(values)] if self._cost else [value]

    def _worst(self) -> float:
        # Early in a search the worst value seen may be a good one: a failure must not tie with it.
        metric = OBJECTIVES[self._space.search.objective]
        return max([*self._observed, metric.sign * metric.chance])

    def save(self, checkpoint_path: str) -> None:
        """Writes the history as JSON."""
        history = [
            {"values": trial.params, "state": trial.state.name, "value": (trial.values or [None])[0]}
            for trial in self._study.trials
        ]
        Path(checkpoint_path).write_text(json.dumps(history), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Takes the finished trials of a history that `save` wrote into a study that has none yet."""
        for each in json.loads(Path(checkpoint_path).read_text(encoding="utf-8")):
            self._taken.add(len(self._taken))
            if each["state"] == "COMPLETE":
                self._remember(each["values"], each["value"])


class Listed(Searcher):
    """Suggests what it was given, once each and in that order; learns nothing."""

    def __init__(self, trainings: Sequence[dict[str, Any]], *, part: Callable[[], int] | None = None) -> None:
        """A searcher of trainings that are settled.

        Args:
            trainings: What `suggest` gives.
            part: How many may run at a time, now; None = as many as Tune asks for.
        """
        super().__init__(metric="objective", mode="min")
        self._waiting = list(trainings)
        self._running: set[str] = set()
        self._part = part

    def suggest(self, trial_id: str) -> Any:
        """The next training; FINISHED after the last; None while other searches need the room."""
        if self._part is not None and len(self._running) >= self._part():
            return None
        if not self._waiting:
            return Searcher.FINISHED
        self._running.add(trial_id)
        return self._waiting.pop(0)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Makes room."""
        self._running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the run's folder tells what is left."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""
