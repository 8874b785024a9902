"""A search on the table: the searcher and the scheduler of a real one, with a clock instead of Ray."""

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.tune.schedulers import TrialScheduler

from benchmarks.curves.methods import Method
from benchmarks.curves.table import Table, key_of
from core import table as tables
from search.methods.schedulers import SCHEDULERS
from search.space.space import Space

METRIC = "objective"


@dataclass
class Trial:
    """A trial on the table, as far as a scheduler looks at it."""

    trial_id: str
    configuration: int
    seed: int
    at: int = 0
    best: float = np.inf
    best_at: int = 0
    status: str = "RUNNING"
    last_result: dict[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.trial_id)


@dataclass(frozen=True)
class Trace:
    """The course of a search: the trial that it would export, as a step function of the epochs spent.

    Attributes:
        spent: Epochs spent when the choice changed, ascending.
        configuration: Configuration of the chosen trial from then on.
        seed: Its seed.
        at: Its best evaluation.
        trials: Configuration of every trial, in the order of their start, and its last epoch.
    """

    spent: NDArray[np.int64]
    configuration: NDArray[np.int64]
    seed: NDArray[np.int64]
    at: NDArray[np.int64]
    trials: list[tuple[int, int]]

    def chosen(self, budgets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Configuration, seed and evaluation chosen after the budgets; before any choice, the first one."""
        index = np.maximum(np.searchsorted(self.spent, budgets, side="right") - 1, 0)
        return self.configuration[index], self.seed[index], self.at[index]


class Simulator:
    """Searches on a table.

    Args:
        space: Space of the table; finite.
        table: The table.
        objective: Metric that the searches minimise.
    """

    def __init__(self, space: Space, table: Table, objective: str) -> None:
        self.space, self.table = space, table
        self.curves = table.objective(objective)
        self.number = {key_of(values): number for number, values in enumerate(table.configurations)}
        self.cost = np.diff(table.epochs, prepend=0)

    def search(self, method: Method, *, budget: int, seed: int, workers: int = 1) -> Trace:
        """A search until it has spent its budget of epochs.

        Args:
            method: How to search.
            budget: Epochs of all trials together.
            seed: Seed of the searcher, and of the choice of the trainings by seed.
            workers: Trials at a time.
        """
        options = replace(self.space.search, sampler=method.sampler, scheduler=method.scheduler, seed=seed)
        searcher = method.searcher(replace(self.space, search=options))
        np.random.seed(seed)  # noqa: NPY002 - Ray's ASHA draws a bracket from the global generator
        longest = int(self.table.epochs[-1])
        scheduler: Any = tables.build("search.scheduler", SCHEDULERS, method.scheduler, METRIC, longest)
        controller: Any = SimpleNamespace(get_live_trials=lambda: [trial for _, _, trial in running], get_trials=list)
        draw = np.random.default_rng([seed, 1])
        running: list[tuple[float, int, Trial]] = []
        changes: list[tuple[int, int, int, int]] = []
        spent, best, order = 0, np.inf, itertools.count()
        trials: list[Trial] = []

        def start(clock: float) -> None:
            trial_id = f"{len(trials):05d}"
            suggested = searcher.suggest(trial_id)
            configuration = self.number[key_of(suggested["values"])]
            trial = Trial(trial_id, configuration, int(draw.integers(self.curves.shape[1])))
            scheduler.on_trial_add(controller, trial)
            trials.append(trial)
            heapq.heappush(running, (clock + self._seconds(trial), next(order), trial))

        for _ in range(workers):
            start(0.0)
        while spent < budget:
            clock, _, trial = heapq.heappop(running)
            spent += int(self.cost[trial.at])
            value = float(self.curves[trial.configuration, trial.seed, trial.at])
            if value < trial.best:
                trial.best, trial.best_at = value, trial.at
            if trial.best < best:
                best = trial.best
                changes.append((spent, trial.configuration, trial.seed, trial.best_at))
            epoch = int(self.table.epochs[trial.at])
            result = {
                "epoch": epoch,
                "epochs": longest,
                "training_iteration": epoch,
                METRIC: trial.best,
                "time_total_s": clock,
            }
            trial.last_result = result
            decision = scheduler.on_trial_result(controller, trial, result)
            trial.at += 1
            if trial.at < self.curves.shape[2] and decision == TrialScheduler.CONTINUE and np.isfinite(value):
                searcher.on_trial_result(trial.trial_id, result)
                heapq.heappush(running, (clock + self._seconds(trial), next(order), trial))
                continue
            trial.status = "TERMINATED"
            scheduler.on_trial_complete(controller, trial, result)
            searcher.on_trial_complete(trial.trial_id, result)
            if spent < budget:
                start(clock)
        columns = (np.array(column) for column in zip(*changes, strict=True))
        return Trace(*columns, [(trial.configuration, trial.last_result.get("epoch", 0)) for trial in trials])

    def _seconds(self, trial: Trial) -> float:
        """Duration of the next epochs of a trial."""
        until = self.table.seconds[trial.configuration, trial.seed]
        before = until[trial.at - 1] if trial.at else 0.0
        seconds = until[trial.at] - before
        return float(seconds) if np.isfinite(seconds) else 1.0


@dataclass(frozen=True)
class Regret:
    """Regret of what searches would export, in points, `(n_repetitions, n_budgets)`.

    Attributes:
        dev: Mean over the seeds of the configuration's best objective, minus the lowest of all configurations.
        eval: EER on eval of the chosen epoch of the chosen training, minus the lowest mean of a configuration.
    """

    dev: NDArray[np.float64]
    eval: NDArray[np.float64]


def regrets(simulator: Simulator, traces: Iterator[Trace], budgets: NDArray[np.int64]) -> Regret:
    """Regret of searches after some budgets."""
    best = simulator.curves.argmin(axis=2)
    worth = simulator.curves.min(axis=2).mean(axis=1)
    on_eval = simulator.table.eval_eer
    at_best = np.take_along_axis(on_eval, best[:, :, None], axis=2)[:, :, 0].mean(axis=1)
    dev, unseen = [], []
    for trace in traces:
        configuration, seed, at = trace.chosen(budgets)
        dev.append(worth[configuration] - worth.min())
        unseen.append(on_eval[configuration, seed, at] - np.nanmin(at_best))
    return Regret(100 * np.array(dev), 100 * np.array(unseen))
