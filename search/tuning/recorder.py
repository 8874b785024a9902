"""A Tune callback that records the trials of a run in its journal."""

import math
import re
import time
from collections.abc import Mapping
from typing import Any

from ray.tune import Callback

from core.evaluation.objectives import OBJECTIVES
from search.runs.trial_folder import TrialFolder

FOLDED = tuple(metric.folded for metric in OBJECTIVES.values())
BEST = tuple(f"best_{name}" for name in (*OBJECTIVES, *FOLDED, "dev_threshold", "epoch"))
PAIRS = ("positive_distance", "negative_distance", "loss_to_chance", "step")
RECORDED = ("loss", "learning_rate", *OBJECTIVES, "dev_threshold", *FOLDED, "worst_fold_eer", *BEST, *PAIRS)
"""Metrics of an epoch that the journal keeps, besides the weights of a mix of layers."""


class RecordTrials(Callback):
    """Appends the starts, epochs and ends of trials to their journal."""

    def __init__(self, trials: TrialFolder) -> None:
        self.folder = trials
        self.started: dict[int, float] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = int(trial.config["number"])
        if number in self.started:  # HyperBand starts a trial again after a pause.
            return
        known = {record.number: record for record in self.folder.journal.trials()}
        if number in known:
            self.started[number] = time.time() - known[number].seconds
            self.folder.journal.record("resume", number, status="running", error="")
        else:
            self.started[number] = time.time()
            self.folder.journal.record("start", number, values=trial.config["values"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if not reports_failure(result):
            self._record("epoch", trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = trial.last_result or {}
        if "storage_lost" in result:
            return  # The trial stays unfinished, so that it can be resumed.
        if "failed" in result:
            number = int(trial.config["number"])
            folder = self.folder.path / "errors"
            folder.mkdir(exist_ok=True)
            (folder / f"{number:05d}.txt").write_text(result["failed"], encoding="utf-8")
            self._record("end", trial, {}, status="failed", error=result["failed"].splitlines()[0])
            return
        finished = result.get("epoch", 0) >= result.get("epochs", math.inf)
        self._record("end", trial, result, status="finished" if finished else "stopped")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = f"the trial's process died too often: {trial.get_error()}"
        self._record("end", trial, trial.last_result or {}, status="failed", error=error.strip().splitlines()[0])

    def _record(self, event: str, trial: Any, result: dict[str, Any], **fields: Any) -> None:
        number = int(trial.config["number"])
        if result.get("epoch"):
            fields |= {name: result[name] for name in ("epoch", "epochs", "objective") if name in result}
            fields["node"] = result.get("node_ip", "")
            names = (*RECORDED, *layer_weights(result))
            fields["metrics"] = {name: result[name] for name in names if name in result}
        self.folder.journal.record(event, number, seconds=round(time.time() - self.started[number], 3), **fields)


def layer_weights(metrics: Mapping[str, Any]) -> dict[str, int]:
    """Names of the metrics of an epoch that are weights of a mix of layers -> the index of the layer."""
    matches = {name: re.fullmatch(r"layer_(\d+)_weight", name) for name in metrics}
    return {name: int(match[1]) for name, match in matches.items() if match}


def reports_failure(result: Mapping[str, Any]) -> bool:
    """Whether a report says that the trial failed or lost its storage. Other reports are those of an epoch."""
    return "failed" in result or "storage_lost" in result
