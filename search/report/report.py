"""Writes the report of a run: its tables in four forms, its figures, and both for TensorBoard."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from core import checkpoint
from core.atomic import replacing
from core.config import experiment_from_plain, experiment_to_plain
from core.cost import Cost, cost_of
from core.detector import Detector, build_detector, embed_store
from core.errors import InputError
from core.evaluation import projection
from core.evaluation.metrics import AsvErrorRates
from search.prepare.plan import Plan, StorePlan
from search.prepare.stores import StoreOpener, store_opener
from search.report.importance import Importance, importances
from search.report.paper import PAPER
from search.report.score_figures import attack_bars, det_curves, histogram, planes
from search.report.scoring import Result, collect
from search.report.search_figures import history, importance_bars, parallel, slices, tradeoff
from search.report.tables import (
    Sheet,
    as_csv,
    as_markdown,
    as_text,
    attacks_sheet,
    comparison_sheet,
    cost_sheet,
    importance_sheet,
    paper_sheet,
    results_sheet,
)
from search.runs.describe import describe_values
from search.runs.journal import TrialRecord, now
from search.runs.run import Run
from search.space.space import Space, store_name

DRAWN = 8
"""Trials in the figures: the best ones, since more curves cannot be told apart."""

COMPARED = 20
"""Trials at most that are compared with the best."""

COSTLY = ("front_end", "input", "mode", "backbone", "classifier", "head", "gmm")
"""Fields of an experiment that decide what its detector costs to run."""

PROJECTED = 2000
"""Utterances at most in a t-SNE."""


@dataclass(frozen=True)
class ReportOptions:
    """What goes into a report.

    Attributes:
        partitions: What the trials are scored on, dev first.
        top: How many of the best trials; None = all.
        asv: Error rates of the ASV by partition, for the t-DCF.
        figures: Whether to draw.
        cost: Whether to measure what the detectors cost to run.
        tsne: Whether to draw embeddings too.
    """

    partitions: tuple[str, ...] = ("dev",)
    top: int | None = None
    asv: Mapping[str, AsvErrorRates] | None = None
    figures: bool = True
    cost: bool = True
    tsne: bool = False


def publish(run: Run, plan: Plan, folder: Path, options: ReportOptions, console: Console) -> dict[str, str]:
    """Writes the report into a new folder; returns its tables by form: `text`, `markdown`, `csv`, `json`.

    Raises:
        InputError: the folder is there already, no trial has a detector, or a partition is missing.
    """
    if folder.exists():
        raise InputError(f"--output {folder}: is there already; nothing of it was touched")
    ranked = run.ranked()[: options.top]
    if not ranked:
        raise InputError(f"run {run.name}: no trial has a detector yet; there is nothing to report")
    store_of = store_opener(plan, console=console)
    results = collect(
        run,
        ranked,
        corpus=plan.corpus,
        store_of=store_of,
        partitions=options.partitions,
        asv=options.asv or {},
        console=console,
    )
    sheets = [results_sheet(results, options.partitions)]
    sheets += [attacks_sheet(results, partition) for partition in options.partitions]
    if len(results) > 1:
        sheets += [comparison_sheet(results[:COMPARED], partition) for partition in options.partitions]
    costs = costs_of(plan.space, plan.stores, ranked, console) if options.cost else {}
    if costs:
        sheets.append(cost_sheet(ranked, costs, plan.space.metric))
    important = importances(plan.space, run.journal.trials())
    if important:
        sheets.append(importance_sheet(important))
    paper = PAPER.get(plan.space.name)
    if paper is not None:
        sheets.insert(0, paper_sheet(paper, results))
    forms = {
        "text": "\n".join(map(as_text, sheets)),
        "markdown": "\n".join([f"# Run {run.name}", "", *map(as_markdown, sheets)]),
        "csv": "\n".join(map(as_csv, sheets)),
        "json": json.dumps(as_data(run, results, sheets), indent=2, allow_nan=False) + "\n",
    }
    endings = {"text": "txt", "markdown": "md", "csv": "csv", "json": "json"}
    try:
        folder.mkdir(parents=True)
        for form, text in forms.items():
            with replacing(folder / f"report.{endings[form]}") as temporary:
                temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: the report could not be written: {error}") from error
    if options.figures:
        _draw(run, results, options, folder, store_of, console)
        _draw_landscape(run, plan.space, ranked, costs, important, folder)
    return forms


def costs_of(
    space: Space, stores: Sequence[StorePlan], records: Sequence[TrialRecord], console: Console
) -> dict[int, Cost]:
    """What the detectors of some trials cost; configurations that cost the same are measured once.

    Args:
        space: What was searched.
        stores: Its feature stores.
        records: The trials.
        console: Where progress is shown.
    """
    features = {store_name(planned.experiment): planned.n_features for planned in stores}
    known: dict[str, Cost] = {}
    found: dict[int, Cost] = {}
    console.print(f"measuring what {len(records)} detectors cost", highlight=False)
    for each in records:
        experiment = space.experiment(each.values)
        key = json.dumps({name: experiment_to_plain(experiment)[name] for name in COSTLY}, sort_keys=True)
        if key not in known:
            known[key] = cost_of(experiment, features[store_name(experiment)])
        found[each.number] = known[key]
    return found


def as_data(run: Run, results: Sequence[Result], sheets: Sequence[Sheet]) -> dict[str, Any]:
    """The report as plain data: every number unrounded, the tables as they are shown."""
    trials = [
        {
            "trial": each.record.number,
            "values": each.record.values,
            "epoch": each.epoch,
            "seconds": each.record.seconds,
            "metrics": {partition: dict(values) for partition, values in each.measured.items()},
        }
        for each in results
    ]
    tables = [{"title": each.title, "columns": each.columns, "rows": each.rows} for each in sheets]
    return {"run": run.name, "created": now(), "trials": trials, "tables": tables}


def _draw(
    run: Run,
    results: Sequence[Result],
    options: ReportOptions,
    folder: Path,
    store_of: StoreOpener,
    console: Console,
) -> None:
    writer: Any = SummaryWriter(str(run.tensorboard / folder.name))
    drawn = list(results[:DRAWN])
    labels = [f"trial {each.record.number}: {_short(describe_values(each.record.values))}" for each in drawn]
    best = results[0]
    path = run.checkpoint(best.record.number)
    assert path is not None
    state = checkpoint.load(path)
    threshold = float(state["best"]["metrics"]["dev_threshold"])
    try:
        for partition in options.partitions:
            title = f"trial {best.record.number} on {partition}"
            figures = {
                f"det-{partition}": det_curves(drawn, partition, labels),
                f"attacks-{partition}": attack_bars(drawn, partition, labels),
                f"scores-{partition}": histogram(best.scores[partition], threshold, title),
            }
            for name, figure in figures.items():
                _save(figure, folder / f"{name}.png", writer, best.epoch)
        if options.tsne:
            at = "eval" if "eval" in options.partitions else "dev"
            _project(state, best.record.number, at, folder, store_of, writer, console)
    finally:
        writer.close()


def _draw_landscape(
    run: Run,
    space: Space,
    ranked: Sequence[TrialRecord],
    costs: Mapping[int, Cost],
    important: Sequence[Importance],
    folder: Path,
) -> None:
    records = run.journal.trials()
    figures = {"history": history(records, run.journal.epochs(), space.metric)}
    if space.searched:
        figures["slices"] = slices(space, records, space.metric)
        figures["parallel"] = parallel(space, records, space.metric)
    if important:
        figures["importance"] = importance_bars(important)
    if any(each.gmacs is not None for each in costs.values()):
        figures["tradeoff"] = tradeoff(ranked, costs, space.metric)
    writer: Any = SummaryWriter(str(run.tensorboard / folder.name))
    try:
        for name, figure in figures.items():
            _save(figure, folder / f"{name}.png", writer, len(records))
    finally:
        writer.close()


def _project(
    state: dict[str, Any],
    number: int,
    partition: str,
    folder: Path,
    store_of: StoreOpener,
    writer: Any,
    console: Console,
) -> None:
    """t-SNE of the best trial's embeddings after each epoch that its checkpoint keeps (paper, figures 2 and 3)."""
    experiment = experiment_from_plain(state["experiment"])
    if experiment.mode == "gmm":
        console.print(f"trial {number} is a pair of Gaussian mixtures: it has no embeddings to draw")
        return
    kept = {int(epoch): tensors for epoch, tensors in state["snapshots"].items()}
    kept[int(state["best"]["epoch"])] = state["best"]["detector"]
    store = store_of(experiment, partition)
    indices = projection.chosen(len(store), PROJECTED, experiment.seed)
    attack_ids = [store.attack_ids[index] for index in indices]
    labels = store.labels[indices]
    classes = ["bona fide" if label else "spoofed" for label in labels]
    metadata = [list(row) for row in zip([store.utterance_ids[i] for i in indices], classes, attack_ids, strict=True)]
    positions = {}
    for epoch, tensors in sorted(kept.items()):
        console.print(f"t-SNE of {len(indices)} utterances of {partition} after epoch {epoch}", highlight=False)
        detector = build_detector(experiment, state["n_features"])
        detector.load_state_dict(tensors)
        assert isinstance(detector, Detector)
        embeddings = embed_store(detector, store)[torch.from_numpy(indices)]
        header = ["utterance", "class", "attack"]
        writer.add_embedding(embeddings, metadata, tag=f"trial {number}", global_step=epoch, metadata_header=header)
        title = f"trial {number}, {partition}, epoch {epoch}"
        positions[title] = projection.tsne(embeddings.numpy(), seed=experiment.seed)
    _save(planes(positions, attack_ids, labels), folder / f"tsne-{partition}.png", writer, max(kept))


def _save(figure: Figure, path: Path, writer: Any, step: int) -> None:
    canvas: Any = FigureCanvasAgg(figure)
    figure.set_dpi(120)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3]
    writer.add_image(f"report/{path.stem}", picture, step, dataformats="HWC")
    figure.savefig(path, dpi=120)


def _short(text: str, limit: int = 50) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
