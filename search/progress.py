"""What a search shows and records while it runs."""

import math
import time
from collections.abc import Mapping
from typing import Any

from ray.tune import Callback
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from core.objectives import OBJECTIVES
from search.run import Run
from search.space import Space
from search.wording import describe_objective, describe_values, duration, trial_table

FOLDED = tuple(metric.folded for metric in OBJECTIVES.values())
BEST = tuple(f"best_{name}" for name in (*OBJECTIVES, *FOLDED, "dev_threshold", "epoch"))
DISTANCES = ("positive_distance", "negative_distance")
KEPT = ("loss", "learning_rate", *OBJECTIVES, "dev_threshold", *FOLDED, "worst_fold_eer", *BEST, *DISTANCES)
"""Metrics of an epoch that a run's records keep."""


class RecordTrials(Callback):
    """Appends what trials do to the run's trials.jsonl."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.started: dict[int, float] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = int(trial.config["number"])
        if number in self.started:  # HyperBand starts a trial again after a pause
            return
        known = {each.number: each for each in self.run.trials()}
        if number in known:
            self.started[number] = time.time() - known[number].seconds
            self.run.record("resume", number, status="running", error="")
        else:
            self.started[number] = time.time()
            self.run.record("start", number, values=trial.config["values"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if not ended_badly(result):
            self._record("epoch", trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = trial.last_result or {}
        if "storage_lost" in result:
            return  # it is unfinished, and resume lets it go on
        if "failed" in result:
            number = int(trial.config["number"])
            folder = self.run.path / "errors"
            folder.mkdir(exist_ok=True)
            (folder / f"{number:05d}.txt").write_text(result["failed"], encoding="utf-8")
            self._record("end", trial, {}, status="failed", error=result["failed"].splitlines()[0])
            return
        finished = result.get("epoch", 0) >= result.get("epochs", math.inf)
        self._record("end", trial, result, status="finished" if finished else "stopped")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = f"the trial's process died again and again: {trial.get_error()}"
        self._record("end", trial, trial.last_result or {}, status="failed", error=error.strip().splitlines()[0])

    def _record(self, event: str, trial: Any, result: dict[str, Any], **what: Any) -> None:
        number = int(trial.config["number"])
        if result.get("epoch"):
            what |= {"epoch": result["epoch"], "objective": result["objective"]}
            what["node"] = result.get("node_ip", "")
            what["metrics"] = {name: result[name] for name in KEPT if name in result}
        self.run.record(event, number, seconds=round(time.time() - self.started[number], 3), **what)


def ended_badly(result: Mapping[str, Any]) -> bool:
    """Whether a trial reports that it failed, or that it lost its storage, and not an epoch."""
    return "failed" in result or "storage_lost" in result


class LiveTable(Callback):
    """One table of the search on the terminal; where the output is no terminal, a line at each trial's end."""

    def __init__(self, run: Run, space: Space, n_trials: int) -> None:
        self.run = run
        self.space = space
        self.n_trials = n_trials
        self.began = time.time()
        self._live: Live | None = None
        self._console: Console | None = None
        self._drawn = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_live": None, "_console": None}

    def setup(self, *arguments: Any, **info: Any) -> None:
        self._console = Console()
        if self._console.is_terminal:
            self._live = Live(self._render(), console=self._console, refresh_per_second=2)
            self._live.start()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if self._live and time.time() - self._drawn > 1:
            self._drawn = time.time()
            self._live.update(self._render())

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(int(trial.config["number"]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(int(trial.config["number"]))

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.close()

    def close(self) -> None:
        """Draws the table for the last time and leaves it on the terminal."""
        if self._live:
            self._live.update(self._render())
            self._live.stop()
            self._live = None

    def _ended(self, number: int) -> None:
        if self._live:
            self._live.update(self._render())
        elif self._console:
            record = next(each for each in self.run.trials() if each.number == number)
            done = sum(each.status != "running" for each in self.run.trials())
            value = describe_objective(self.space.metric, record.objective)
            what = f" ({record.error})" if record.error else ""
            line = f"[{done}/{self.n_trials}] trial {number} {record.status} at epoch {record.epoch}, {value}, "
            self._console.print(
                f"{line}{record.seconds:.0f} s: {describe_values(record.values)}{what}", soft_wrap=True, markup=False
            )

    def _render(self) -> Group:
        records = self.run.trials()
        counts = {
            status: sum(each.status == status for each in records)
            for status in ("running", "finished", "stopped", "failed")
        }
        done = sum(counts.values()) - counts["running"]
        elapsed = time.time() - self.began
        left = "?" if not done else duration(elapsed / done * (self.n_trials - done))
        if self.space.search.hours and done:
            left = "at most " + duration(max(0.0, self.space.search.hours * 3600 - elapsed))
        words = ", ".join(f"{count} {status}" for status, count in counts.items())
        head = Text(
            f"{self.run.name}: {done} of {self.n_trials} trials done ({words}); {duration(elapsed)} gone, left: {left}"
        )
        running = [each for each in records if each.status == "running"]
        best = sorted((each for each in records if math.isfinite(each.objective)), key=lambda each: each.objective)[:5]
        shown = [*best, *(each for each in running if each not in best)]
        return Group(head, trial_table(shown, self.space.metric))
