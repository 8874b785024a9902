"""Limits that end a search before its last trial: hours, GPU-hours, patience, a lost storage."""

import math
import time
from typing import Any

from ray.tune import Callback, Stopper

from search.space.options import SearchOptions


class Limits(Stopper, Callback):
    """Ends a search when a limit is reached. The count starts anew at every launch and resumption.

    Attributes:
        reason: State of the run that says why the search ended; None while it continues.
        problem: Message about the lost storage; empty if the storage was not lost.
    """

    def __init__(self, options: SearchOptions) -> None:
        """Starts the clock.

        Args:
            options: The limits `hours`, `gpu_hours` and `patience`, and the GPUs of a trial.
        """
        self.reason: str | None = None
        self.problem = ""
        self._options = options
        self._started = time.monotonic()
        self._running_since: dict[str, float] = {}
        self._gpu_seconds = 0.0
        self._best = math.inf
        self._n_without_progress = 0

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial ends now: always False, because limits end the whole search. Notes a lost storage."""
        if "storage_lost" in result:
            self.reason, self.problem = "storage lost", str(result["storage_lost"])
        return False

    def stop_all(self) -> bool:
        """Whether the search ends now."""
        hours, gpu_hours, patience = self._options.hours, self._options.gpu_hours, self._options.patience
        if self.reason is None:
            if hours and time.monotonic() - self._started >= hours * 3600:
                self.reason = "out of time"
            elif gpu_hours and self.gpu_hours() >= gpu_hours:
                self.reason = "out of GPU hours"
            elif patience and self._n_without_progress >= patience:
                self.reason = "no progress"
        return self.reason is not None

    def gpu_hours(self) -> float:
        """GPU-hours of all trials so far, running ones included. A trial on half a GPU counts half."""
        now = time.monotonic()
        running = sum(now - started for started in self._running_since.values())
        return (self._gpu_seconds + running) * self._options.gpus / 3600

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running_since[trial.trial_id] = time.monotonic()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._count_trial(trial, (trial.last_result or {}).get("objective", math.inf))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._count_trial(trial, math.inf)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._stop_clock(trial)

    def _stop_clock(self, trial: Any) -> None:
        now = time.monotonic()
        self._gpu_seconds += now - self._running_since.pop(trial.trial_id, now)

    def _count_trial(self, trial: Any, objective: float) -> None:
        self._stop_clock(trial)
        self._n_without_progress = 0 if objective < self._best else self._n_without_progress + 1
        self._best = min(self._best, objective)
