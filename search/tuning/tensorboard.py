"""TensorBoard files of a run: learning curves and HParams of every trial."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune import Callback
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from core.atomic import replacing
from core.evaluation.objectives import OBJECTIVES
from search.space.parameter import Values
from search.tuning.hparams import Column, experiment_summary, session_end, session_start
from search.tuning.recorder import layer_weights, reports_failure

COLUMNS_FILE = "events.out.tfevents.columns"
"""Event file with the columns of HPARAMS. TensorBoard reads every file whose name contains `tfevents`."""

NAMES = tuple(name.removeprefix("dev_") for name in OBJECTIVES)

TAGS = {
    "loss": "train/loss",
    "loss_to_chance": "train/loss_to_chance",
    "learning_rate": "train/learning_rate",
    "positive_distance": "train/positive_distance",
    "negative_distance": "train/negative_distance",
    **{f"{part}_{name}": f"{folder}/{name}" for part, folder in (("dev", "dev"), ("fold", "folds")) for name in NAMES},
    "worst_fold_eer": "folds/worst_eer",
    "objective": "objective",
}
"""Metric of a trial -> TensorBoard tag. The step is the epoch. The weights of a mix of layers are in `layers/`."""

FINAL = {"best_dev_eer": "hparam/best_dev_eer", "objective": "hparam/objective", "best_epoch": "hparam/best_epoch"}
"""Metrics of the HParams table, written when a trial ends."""


class TensorBoardWriter(Callback):
    """Writes one event file per trial in `<folder>/<trial number>/`, and the columns of HPARAMS in `<folder>/`.

    Ray's own logger writes HParams only when a trial ends, so that running and crashed trials have none. It also drops
    constants.
    """

    def __init__(self, folder: Path, columns: Mapping[str, Column]) -> None:
        """A writer that has not written yet.

        Args:
            folder: Folder of the event files.
            columns: Columns of HPARAMS, of `search.tuning.hparams.columns_of`.
        """
        self.folder, self.columns = folder, columns
        self._writers: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_writers": {}}  # Tune pickles callbacks; open files cannot be.

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Writes the columns. They replace those of an earlier start, whose space may have lacked some."""
        if (self.folder.parent / COLUMNS_FILE).exists():
            return  # The search, to which this confirmation belongs, has them.
        self.folder.mkdir(parents=True, exist_ok=True)
        summary = experiment_summary(self.columns, FINAL.values())
        with replacing(self.folder / COLUMNS_FILE) as temporary, temporary.open("wb") as file:
            writer = RecordWriter(file)
            writer.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
            writer.write(Event(wall_time=time.time(), summary=summary).SerializeToString())

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.start(int(trial.config["number"]), trial.config["values"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if not reports_failure(result):
            self.epoch(int(trial.config["number"]), result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = trial.last_result or {}
        self.end(int(trial.config["number"]), result, failed="failed" in result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.end(int(trial.config["number"]), trial.last_result or {}, failed=True)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        for trial in trials:  # Trials that the end of the search interrupted.
            if int(trial.config["number"]) in self._writers:
                self.end(int(trial.config["number"]), trial.last_result or {}, failed=False)

    def start(self, number: int, values: Values) -> None:
        """Opens a trial's file and writes its HParams. A trial that continues after a pause keeps its file."""
        if number in self._writers:
            return
        writer: Any = SummaryWriter(str(self.folder / f"{number:05d}"))
        writer.file_writer.add_summary(session_start(number, values, self.columns))
        writer.flush()
        self._writers[number] = writer

    def epoch(self, number: int, metrics: Mapping[str, Any]) -> None:
        """Writes the metrics of an epoch, except those that are missing or not finite."""
        writer = self._writers.get(number)
        if writer is None:
            return
        weights = {name: f"layers/layer_{layer:02d}" for name, layer in layer_weights(metrics).items()}
        for name, tag in {**TAGS, **weights}.items():
            if name in metrics and math.isfinite(metrics[name]):
                writer.add_scalar(tag, metrics[name], int(metrics["epoch"]))
        writer.flush()

    def end(self, number: int, metrics: Mapping[str, Any], *, failed: bool) -> None:
        """Writes the final metrics and the status of a trial, and closes its file."""
        writer = self._writers.pop(number, None)
        if writer is None:
            return
        for name, tag in FINAL.items():
            if name in metrics and math.isfinite(metrics[name]):
                writer.add_scalar(tag, metrics[name], int(metrics.get("epoch", 0)))
        writer.file_writer.add_summary(session_end(failed=failed))
        writer.close()
