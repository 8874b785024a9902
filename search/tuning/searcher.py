"""Searchers of Ray Tune: one suggests configurations by Optuna, one goes through given trainings."""

import itertools
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
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


class OptunaSearcher(Searcher):
    """Suggests configurations of a space and learns from every trial, failed ones included.

    A failed trial counts as the worst value seen, or as chance level if that is worse. Ray's `OptunaSearch` does not
    tell the sampler of crashed trials, and trials that ended in NaN run forever in its study.

    Every suggestion has its own sampler, seeded with the number of the trial. So the next suggestion depends only on
    the history, and no generator state is saved.
    """

    def __init__(
        self,
        space: Space,
        *,
        history: Sequence[TrialRecord] = (),
        unfinished: Sequence[TrialRecord] = (),
        reports: Sequence[tuple[int, int, float]] = (),
        on_resumed: Callable[[int, str], None] = lambda number, trial_id: None,
        max_running: Callable[[], int] | None = None,
        warm_start: Sequence[TrialRecord] = (),
        cost: Callable[[Values], float] | None = None,
    ) -> None:
        """A searcher for a new or a resumed search.

        Args:
            space: Space of the search.
            history: Ended trials of the search. Trials that the space cannot suggest are not learnt from.
            unfinished: Trials to be resumed. They are suggested first and keep their numbers.
            reports: Number, epoch and objective of every report of these trials.
            on_resumed: Called with the number of a resumed trial and the ID that Ray gives it now.
            max_running: Returns the trials that may run at a time now; None: no limit but Tune's.
            warm_start: Ended trials of other runs to learn from. The space can suggest all of them.
            cost: Returns the cost of a configuration, which is minimised beside the objective; None: only the
                objective is minimised.
        """
        super().__init__(metric="objective", mode="min")
        self._space = space
        self._cost = cost
        self._study = optuna.create_study(directions=["minimize"] * (2 if cost else 1))
        self._curves: dict[int, dict[int, float]] = {}
        for number, epoch, objective in reports:
            self._curves.setdefault(number, {})[epoch] = objective
        self._running: dict[str, optuna.Trial] = {}
        self._epochs: dict[str, int] = {}  # last reported epoch by ID
        self._taken: set[int] = set()
        self._observed: list[float] = []
        self._grid: list[Values] = list(all_configurations(space)) if space.search.sampler.name == "grid" else []
        self._unfinished = list(unfinished)
        self._on_resumed = on_resumed
        self._max_running = max_running
        for record in warm_start:
            self._learn(record.values, math.nan if record.status == "failed" else record.objective)
        for record in sorted([*history, *unfinished], key=lambda record: record.number):
            self._taken.add(record.number)
            if record in history and record.status != "interrupted" and space.contains(record.values):
                curve = self._curves.get(record.number, {})
                failed = record.status == "failed"
                self._learn(record.values, math.nan if failed else record.objective, curve, record.status == "stopped")

    def suggest(self, trial_id: str) -> Any:
        """The next configuration as `{"number": int, "values": {path: value}}`.

        FINISHED after the last configuration of a grid; None while `max_running` trials run.
        """
        if self._max_running is not None and len(self._running) >= self._max_running():
            return None
        if self._unfinished:
            return self._resume(self._unfinished.pop(0), trial_id)
        # The first free number: an interrupted search may lack a trial that was suggested but did not start.
        number = next(number for number in itertools.count() if number not in self._taken)
        if self._space.search.sampler.name == "grid":
            if number >= len(self._grid):
                return Searcher.FINISHED
            self._study.enqueue_trial(self._grid[number])
        elif number == 0 and self._space.search.baseline:
            self._study.enqueue_trial(baseline(self._space))
        seed = derived_seed(self._space.search.seed, "suggest", number) % 2**32
        self._study.sampler = table.build(
            "search.sampler", SAMPLERS, self._space.search.sampler, seed, self._space.searched
        )
        trial = self._study.ask()
        values = suggest(self._space, trial)
        self._running[trial_id] = trial
        self._taken.add(number)
        return {"number": number, "values": values}

    def _resume(self, record: TrialRecord, trial_id: str) -> dict[str, Any]:
        self._study.enqueue_trial(record.values)
        trial = self._study.ask()
        suggest(self._space, trial)
        for epoch, objective in self._curves.get(record.number, {}).items():
            self._report(trial, epoch, objective)
        self._running[trial_id] = trial
        self._on_resumed(record.number, trial_id)
        return {"number": record.number, "values": record.values}

    def _learn(
        self, values: Values, value: float, curve: Mapping[int, float] | None = None, stopped: bool = False
    ) -> None:
        """Adds an ended trial to the study. A value that is not finite means that the trial failed."""
        failed = not math.isfinite(value)
        if failed:
            value = self._worst()
        else:
            self._observed.append(value)
        ranges = distributions(self._space)
        pruned = stopped and not failed and not self._cost
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
                params=values,
                distributions={path: ranges[path] for path in values},
                values=self._objectives(values, value),
                intermediate_values={} if failed else {e: v for e, v in (curve or {}).items() if math.isfinite(v)},
                user_attrs={"failed": True} if failed else {},
            )
        )

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Reports the best value of a trial so far to the study, with its epoch."""
        epoch = int(result.get("epoch", 0))  # a trial that has failed reports no epoch
        if trial_id in self._running and epoch > self._epochs.get(trial_id, 0):
            self._epochs[trial_id] = epoch
            self._report(self._running[trial_id], epoch, float(result["objective"]))

    def _report(self, trial: optuna.Trial, epoch: int, objective: float) -> None:
        if math.isfinite(objective) and not self._cost:  # Optuna knows no curves of two objectives
            trial.report(objective, epoch)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the study how a trial ended. The class docstring says how a failed trial counts.

        A trial that was stopped early is `pruned` for Optuna: its sampler does not take the value for a final one.
        """
        if trial_id not in self._running:
            return
        trial, result = self._running[trial_id], result or {}
        value = float(result.get("objective", math.nan))
        if error or not math.isfinite(value):
            del self._running[trial_id]
            trial.set_user_attr("failed", True)
            self._study.tell(trial, self._objectives(trial.params, self._worst()))
            return
        self._observed.append(value)
        self.on_trial_result(trial_id, result)
        del self._running[trial_id]
        if result.get("epoch", 1) < result.get("epochs", 1) and not self._cost:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, self._objectives(trial.params, value))

    def _objectives(self, values: Values, value: float) -> list[float]:
        return [value, self._cost(values)] if self._cost else [value]

    def _worst(self) -> float:
        # Early in a search, the worst value seen may be a good one. A failure must not look as good.
        metric = OBJECTIVES[self._space.search.objective]
        return max([*self._observed, metric.sign * metric.chance])

    def save(self, checkpoint_path: str) -> None:
        """Writes the history as a JSON file."""
        history = [
            {"values": trial.params, "state": trial.state.name, "value": (trial.values or [None])[0]}
            for trial in self._study.trials
        ]
        Path(checkpoint_path).write_text(json.dumps(history), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Learns the finished trials of a file that `save` wrote. The searcher has suggested nothing yet."""
        for trial in json.loads(Path(checkpoint_path).read_text(encoding="utf-8")):
            self._taken.add(len(self._taken))
            if trial["state"] == "COMPLETE":
                self._learn(trial["values"], trial["value"])


class FixedSearcher(Searcher):
    """Suggests given trainings in their order, round by round, and learns nothing."""

    def __init__(
        self, next_round: Callable[[], Sequence[dict[str, Any]]], *, max_running: Callable[[], int] | None = None
    ) -> None:
        """A searcher for given trainings.

        Args:
            next_round: Returns the fields of the TrialConfig of every training that is needed. It is asked at the start
                and whenever all its trainings have ended; trainings that it has returned before are not repeated.
            max_running: Returns the trainings that may run at a time now; None: no limit but Tune's.
        """
        super().__init__(metric="objective", mode="min")
        self._next_round = next_round
        self._waiting: list[dict[str, Any]] = []
        self._suggested: set[int] = set()
        self._running: set[str] = set()
        self._max_running = max_running

    def suggest(self, trial_id: str) -> Any:
        """The next training; FINISHED after the last one; None while `max_running` trainings or a whole round run."""
        if self._max_running is not None and len(self._running) >= self._max_running():
            return None
        if not self._waiting and not self._running:
            self._waiting = [config for config in self._next_round() if config["number"] not in self._suggested]
            if not self._waiting:
                return Searcher.FINISHED
        if not self._waiting:
            return None
        self._running.add(trial_id)
        self._suggested.add(self._waiting[0]["number"])
        return self._waiting.pop(0)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Does nothing."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Notes that a training has ended."""
        self._running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the run's journal shows which trainings are left."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing."""
