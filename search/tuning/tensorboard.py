"""TensorBoard files of a run: learning curves and HParams of every trial."""

import math
import re
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
from search.methods.confirmations import NUMBER_STRIDE
from search.runs.confirmed import confirmed_configurations
from search.runs.describe import brief_values
from search.runs.journal import Journal
from search.runs.run import Run
from search.space.parameter import Values
from search.tuning.hparams import Column, experiment_summary, session_end, session_start
from search.tuning.overview import Overview
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

FINAL = {
    "objective": ("hparam/objective", "objective, lower is better"),
    "best_dev_eer": ("hparam/best_dev_eer", "dev EER"),
    "best_dev_auc": ("hparam/best_dev_auc", "dev AUC"),
    "loss": ("hparam/loss", "training loss"),
    "best_epoch": ("hparam/best_epoch", "best epoch"),
    "epoch": ("hparam/epoch", "last epoch"),
    "seconds": ("hparam/seconds", "seconds"),
    "status": ("hparam/status", "status: 2 finished, 1 stopped, 0 no end, -1 failed"),
    "confirmed_mean": ("hparam/confirmed_mean", "mean objective of fresh seeds"),
}
"""Metric of an ended trial -> its tag and its head in the table of HPARAMS, whose metrics are numbers."""

STATUS = {"failed": -1, "running": 0, "interrupted": 0, "stopped": 1, "finished": 2}
"""Status of a trial -> its number in HPARAMS."""

LONGEST_NAME = 80
"""Characters of the name of a trial's folder, which is its name in TensorBoard."""


class TensorBoardWriter(Callback):
    """Writes one event file per trial in `<folder>/<number> <configuration>/`, and the columns of HPARAMS.

    Ray's own logger writes HParams only when a trial ends, so that running and crashed trials have none. It also drops
    constants.
    """

    def __init__(
        self,
        folder: Path,
        columns: Mapping[str, Column],
        journal: Journal,
        *,
        part: str = "search",
        overview: Overview | None = None,
    ) -> None:
        """A writer that has not written yet.

        Args:
            folder: Folder of the event files.
            columns: Columns of HPARAMS, of `search.tuning.hparams.columns_of`.
            journal: Record of the trials, which has their ends before they are written here.
            part: One of PARTS of `search.tuning.hparams`. The trainings of a confirmation, which repeat a trial with
                several seeds, form one row.
            overview: The overview of the search; None: it is not written.
        """
        self.folder, self.columns, self.journal = folder, columns, journal
        self.part, self.overview = part, overview
        self._writers: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_writers": {}}  # Tune pickles callbacks; open files cannot be.

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Writes the columns. They replace those of an earlier start, whose space may have lacked some."""
        if self.overview:
            self.overview.start()
        if self.part != "search":
            return  # The search, to which this confirmation belongs, has the columns.
        self.folder.mkdir(parents=True, exist_ok=True)
        summary = experiment_summary(self.columns, dict(FINAL.values()))
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
        self.end(int(trial.config["number"]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.end(int(trial.config["number"]))

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        for number in list(self._writers):  # Trials that the end of the search interrupted.
            self.end(number)
        if self.overview:
            self.overview.close()

    def start(self, number: int, values: Values) -> None:
        """Opens a trial's file and writes its HParams. A trial that continues after a pause keeps its file."""
        if number in self._writers:
            return
        repeated = number if self.part == "search" else number // NUMBER_STRIDE
        group = "" if self.part == "search" else f"confirmation of {run_name(repeated, values)}"
        writer: Any = SummaryWriter(str(folder_of(self.folder, number, values, self.part)))
        writer.file_writer.add_summary(session_start(repeated, values, self.columns, part=self.part, group=group))
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

    def end(self, number: int) -> None:
        """Writes the final metrics and the status of a trial as they are recorded, and closes its file."""
        writer = self._writers.pop(number, None)
        if writer is None:
            return
        record = next(record for record in self.journal.trials() if record.number == number)
        own = {"objective": record.objective, "epoch": record.epoch, "seconds": record.seconds}
        metrics = {**record.metrics, **own, "status": STATUS[record.status]}
        for name, (tag, _) in FINAL.items():
            if name in metrics and math.isfinite(metrics[name]):
                writer.add_scalar(tag, metrics[name], record.epoch)
        writer.file_writer.add_summary(session_end(record.status))
        writer.close()
        if self.overview and record.status != "running":
            self.overview.update()


def write_confirmed_means(run: Run) -> None:
    """Adds the mean objective over fresh seeds to the rows of the trials that were confirmed."""
    for configuration in confirmed_configurations(run):
        record = configuration.record
        folder = folder_of(run.tensorboard, record.number, record.values, "search")
        with SummaryWriter(str(folder)) as writer:
            writer.add_scalar(FINAL["confirmed_mean"][0], configuration.mean, record.epoch)


def folder_of(folder: Path, number: int, values: Values, part: str) -> Path:
    """Folder of the event files of a trial or of a training of a confirmation: the one that exists, or a new one."""
    if (folder / f"{number:05d}").is_dir():  # An earlier version named it by its number.
        return folder / f"{number:05d}"
    if part == "search":
        known = sorted(path for path in folder.glob(f"{number:05d} *") if path.is_dir())
        return known[0] if known else folder / run_name(number, values)
    repeated, seed = divmod(number, NUMBER_STRIDE)
    return folder / f"{run_name(repeated, values)} seed {seed + 1}"


def run_name(number: int, values: Values) -> str:
    """Name of a trial in TensorBoard, such as `00042 senet18 m=2`, which any file system takes."""
    words = re.sub(r"[^\w .=+-]", "_", brief_values(values))
    return f"{number:05d} {words}"[:LONGEST_NAME].strip(" .")
