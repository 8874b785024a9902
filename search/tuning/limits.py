"""When a search ends before its last trial: its hours, its GPU-hours, no progress, a storage that went away."""

import math
import time
from typing import Any

from ray.tune import Callback, Stopper

from search.space.options import SearchOptions


class Budget(Stopper, Callback):
    """Counts what a part of a search (a launch, or a resumption) has used; ends it when one of its limits is reached.

    Attributes:
        reason: Why the search ended, as a state of the run; None while it may go on.
        problem: What became of the storage, where that is the reason.
    """

    def __init__(self, options: SearchOptions) -> None:
        self.reason: str | None = None
        self.problem = ""
        self._options = options
        self._began = time.monotonic()
        self._since: dict[str, float] = {}
        self._gpu_seconds = 0.0
        self._best = math.inf
        self._without_progress = 0

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial ends now: never for its own sake."""
        if "storage_lost" in result:
            self.reason, self.problem = "storage lost", str(result["storage_lost"])
        return False

    def stop_all(self) -> bool:
        """Whether the search ends now."""
        hours, gpu_hours, patience = self._options.hours, self._options.gpu_hours, self._options.patience
        if self.reason is None:
            if hours and time.monotonic() - self._began >= hours * 3600:
                self.reason = "out of time"
            elif gpu_hours and self.gpu_hours() >= gpu_hours:
                self.reason = "out of GPU hours"
            elif patience and self._without_progress >= patience:
                self.reason = "no progress"
        return self.reason is not None

    def gpu_hours(self) -> float:
        """GPU-hours of the trials so far, those that run included; a trial on half a GPU counts half."""
        now = time.monotonic()
        running = sum(now - began for began in self._since.values())
        return (self._gpu_seconds + running) * self._options.gpus / 3600

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._since[trial.trial_id] = time.monotonic()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial, (trial.last_result or {}).get("objective", math.inf))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial, math.inf)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._pause(trial)

    def _pause(self, trial: Any) -> None:
        now = time.monotonic()
        self._gpu_seconds += now - self._since.pop(trial.trial_id, now)

    def _ended(self, trial: Any, objective: float) -> None:
        self._pause(trial)
        self._without_progress = 0 if objective < self._best else self._without_progress + 1
        self._best = min(self._best, objective)
