"""The table of trainings: learning curves of every configuration and seed, in two small Parquet files.

`dev.parquet` has what a search may see, and `eval.parquet` the EER on eval, which only a study opens.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.trainings import Curve
from core.errors import TrainingDiverged
from core.evaluation.judgement import dev_metrics, judgement
from search.runs.journal import TrialRecord

Curves = NDArray[np.float64]


def key_of(values: Mapping[str, Any]) -> str:
    """A configuration as text, whatever the order of its parameters."""
    return json.dumps(values, sort_keys=True)


@dataclass(frozen=True)
class Table:
    """Learning curves of all configurations.

    Attributes:
        configurations: Values of the searched parameters, by path.
        epochs: Epochs of the evaluations, `(n_evaluations,)`.
        metrics: Metric on dev -> its values, `(n_configurations, n_seeds, n_evaluations)`; NaN after a training that
            has diverged.
        seconds: Duration of a training until an evaluation, of the same shape.
        eval_eer: EER on eval, of the same shape.
    """

    configurations: tuple[Mapping[str, Any], ...]
    epochs: NDArray[np.int64]
    metrics: Mapping[str, Curves]
    seconds: Curves
    eval_eer: Curves

    def objective(self, name: str) -> Curves:
        """What a search with this objective minimises: the metric with its tie-breaker."""
        at = self.metrics
        shape = self.seconds.shape
        flat = [judgement(name, {m: float(v.flat[i]) for m, v in at.items()}) for i in range(int(np.prod(shape)))]
        return np.where(np.isnan(at["dev_eer"]), np.inf, np.array(flat).reshape(shape))


def collect(folder: Path, configurations: Sequence[Mapping[str, Any]], n_seeds: int, output: Path) -> None:
    """Writes the table of the trainings in a folder; all of them must be there."""
    dev: list[dict[str, Any]] = []
    on_eval: list[dict[str, Any]] = []
    for number in range(len(configurations)):
        for seed in range(n_seeds):
            path = folder / f"{number:04d}.{seed}.npz"
            curve, unseen = Curve.read(path), Curve.read(path, "eval")
            eers = unseen.eers()
            for at, epoch in enumerate(curve.epochs):
                row = {"configuration": number, "seed": seed, "epoch": int(epoch)}
                store: Any = SimpleNamespace(labels=curve.labels, attack_ids=list(curve.attacks))
                try:
                    metrics = dev_metrics(curve.scores[at], store, int(epoch))
                except TrainingDiverged:
                    continue
                dev.append({**row, **metrics, "loss": curve.losses[at], "seconds": curve.seconds[at]})
                on_eval.append({**row, "eval_eer": float(eers[at])})
    write(output, configurations, dev, on_eval)


def write(
    folder: Path,
    configurations: Sequence[Mapping[str, Any]],
    dev: Sequence[Mapping[str, Any]],
    on_eval: Sequence[Mapping[str, Any]],
) -> None:
    """Writes a table from its rows: numbers of configuration, seed and epoch, and the metrics."""
    about = {"configurations": json.dumps(list(configurations))}
    for rows, name in ((dev, "dev"), (on_eval, "eval")):
        table = pa.Table.from_pylist(list(rows))
        small = [
            pa.field(f.name, {pa.float64(): pa.float32(), pa.int64(): pa.int16()}.get(f.type, f.type))
            for f in table.schema
        ]
        table = table.cast(pa.schema(small)).replace_schema_metadata(about)
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")


def of_run(records: Sequence[TrialRecord], reports: Sequence[tuple[int, int, float]]) -> Table:
    """The objectives that the trials of a run have reported, as a table with one seed.

    Args:
        records: The trials.
        reports: Number, epoch and objective of every report.
    """
    reports = [report for report in reports if np.isfinite(report[2])]  # none before the first evaluation
    epochs = sorted({epoch for _, epoch, _ in reports})
    curves = np.full((len(records), 1, len(epochs)), np.nan)
    for number, epoch, objective in reports:
        curves[number, 0, epochs.index(epoch)] = objective
    unknown = np.full_like(curves, np.nan)
    metrics = {"dev_eer": curves, "dev_auc": np.ones_like(curves)}  # so that the tie-breaker adds nothing
    return Table(tuple(record.values for record in records), np.array(epochs), metrics, unknown, unknown)


def read(folder: Path) -> Table:
    """The table in a folder."""
    dev, on_eval = pq.read_table(folder / "dev.parquet"), pq.read_table(folder / "eval.parquet")
    configurations = tuple(json.loads(dev.schema.metadata[b"configurations"]))
    columns = {name: dev[name].to_numpy().astype(np.float64) for name in dev.column_names}
    epochs = np.unique(columns["epoch"]).astype(np.int64)
    at = tuple(
        np.asarray(index, int)
        for index in (columns["configuration"], columns["seed"], np.searchsorted(epochs, columns["epoch"]))
    )
    shape = (len(configurations), int(columns["seed"].max()) + 1, len(epochs))

    def curves(values: Curves) -> Curves:
        filled = np.full(shape, np.nan)
        filled[at] = values
        return filled

    metrics = {name: curves(values) for name, values in columns.items() if name.startswith("dev_")}
    return Table(
        configurations,
        epochs,
        metrics,
        curves(columns["seconds"]),
        curves(on_eval["eval_eer"].to_numpy().astype(np.float64)),
    )
