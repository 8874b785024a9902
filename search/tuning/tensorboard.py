"""TensorBoard files of a run: learning curves and HParams of every trial."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune import Callback
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from core.evaluation.objectives import OBJECTIVES
from search.tuning.recorder import reports_failure

NAMES = tuple(name.removeprefix("dev_") for name in OBJECTIVES)

TAGS = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "positive_distance": "train/positive_distance",
    "negative_distance": "train/negative_distance",
    **{f"{part}_{name}": f"{folder}/{name}" for part, folder in (("dev", "dev"), ("fold", "folds")) for name in NAMES},
    "worst_fold_eer": "folds/worst_eer",
    "objective": "objective",
}
"""Metric of a trial -> TensorBoard tag. The step is the epoch."""

FINAL = {"best_dev_eer": "hparam/best_dev_eer", "objective": "hparam/objective", "best_epoch": "hparam/best_epoch"}
"""Metrics of the HParams table, written when a trial ends."""


class TensorBoardWriter(Callback):
    """Writes one event file per trial in `<folder>/<trial number>/`.

    Ray's own logger writes HParams only when a trial ends, so that running and crashed trials have none. It also drops
    constants.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_writers": {}}  # Tune pickles callbacks; open files cannot be.

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

    def start(self, number: int, values: Mapping[str, Any]) -> None:
        """Opens a trial's file and writes its HParams. A trial that continues after a pause keeps its file."""
        if number in self._writers:
            return
        writer: Any = SummaryWriter(str(self.folder / f"{number:05d}"))
        known = {path: "none" if value is None else value for path, value in values.items()}
        experiment, session, _ = hparams({"trial": number, **known}, dict.fromkeys(FINAL.values(), 0.0))
        writer.file_writer.add_summary(experiment)
        writer.file_writer.add_summary(session)
        writer.flush()
        self._writers[number] = writer

    def epoch(self, number: int, metrics: Mapping[str, Any]) -> None:
        """Writes the metrics of an epoch, except those that are missing or not finite."""
        writer = self._writers.get(number)
        if writer is None:
            return
        for name, tag in TAGS.items():
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
        status = Status.STATUS_FAILURE if failed else Status.STATUS_SUCCESS
        content = HParamsPluginData(session_end_info=SessionEndInfo(status=status), version=0).SerializeToString()
        plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content)
        metadata = SummaryMetadata(plugin_data=plugin)
        writer.file_writer.add_summary(
            Summary(value=[Summary.Value(tag="_hparams_/session_end_info", metadata=metadata)])
        )
        writer.close()
