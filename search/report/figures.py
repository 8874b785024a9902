"""Draws the figures of a report into PNG files and into TensorBoard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from core import checkpoint
from core.config import experiment_from_plain
from core.cost import Cost
from core.detector import Detector, build_detector, embed_store
from core.evaluation import projection
from core.evaluation.words import encoded
from search.prepare.stores import StoreOpener
from search.report.importance import Importance
from search.report.layers import LayerWeights, plot_layer_weights
from search.report.score_figures import (
    literal,
    plot_det_curves,
    plot_eer_per_attack,
    plot_embeddings,
    plot_score_histogram,
)
from search.report.scoring import Place, Result
from search.report.search_figures import (
    plot_history,
    plot_importances,
    plot_parallel_coordinates,
    plot_pareto_front,
    plot_slices,
)
from search.runs.describe import brief_values
from search.runs.journal import TrialRecord
from search.runs.run import Run
from search.space.space import Space

MAX_DRAWN_TRIALS = 8
"""Maximum number of trials in the figures of scores: the best ones. More curves cannot be told apart."""

MAX_TSNE_UTTERANCES = 2000
"""Maximum number of utterances in a t-SNE."""


def draw_scores(run: Run, results: Sequence[Result], partitions: Sequence[str], folder: Path) -> None:
    """Draws DET curves, EER per attack and the best trial's score histogram for every partition.

    Args:
        run: The run.
        results: Results of the trials, the best first; at least one.
        partitions: Partitions on which the trials were scored.
        folder: Folder of the report.
    """
    drawn = list(results[:MAX_DRAWN_TRIALS])
    labels = [
        f"trial {result.record.number}: {literal(_shorten(brief_values(result.record.values)))}" for result in drawn
    ]
    best = results[0]
    threshold = float(_checkpoint(run, best.record)["best"]["metrics"]["dev_threshold"])
    with _open_writer(run, folder) as writer:
        for partition in partitions:
            title = f"trial {best.record.number} on {partition}"
            figures = {
                f"det-{partition}": plot_det_curves(drawn, partition, labels),
                f"attacks-{partition}": plot_eer_per_attack(drawn, partition, labels),
                f"scores-{partition}": plot_score_histogram(best.scores[partition], threshold, title),
            }
            for name, figure in figures.items():
                _save(figure, folder / f"{name}.png", writer, best.epoch)


def draw_search(
    run: Run,
    space: Space,
    records: Sequence[TrialRecord],
    costs: Mapping[int, Cost],
    importances: Sequence[Importance],
    folder: Path,
    *,
    layer_weights: LayerWeights,
) -> None:
    """Draws the history of a search, its hyperparameters, their importance, the Pareto front, and mixes of layers.

    Args:
        run: The run; the history and the hyperparameters are those of all its trials.
        space: The space that was searched.
        records: Trials whose cost is known, for the Pareto front.
        costs: Their cost by number; empty if it was not measured.
        importances: Importances of hyperparameters; possibly none.
        folder: Folder of the report.
        layer_weights: Weights of the layers of trials that learned a mix, the best trial first; possibly none.
    """
    trials = run.journal.trials()
    figures = {"history": plot_history(trials, run.journal.epochs(), space.metric)}
    if space.searched:
        figures["slices"] = plot_slices(space, trials, space.metric)
        figures["parallel"] = plot_parallel_coordinates(space, trials, space.metric)
    if importances:
        figures["importance"] = plot_importances(importances)
    if any(cost.gmacs is not None for cost in costs.values()):
        figures["tradeoff"] = plot_pareto_front(records, costs, space.metric)
    if layer_weights:
        figures["layers"] = plot_layer_weights(dict(list(layer_weights.items())[:MAX_DRAWN_TRIALS]))
    with _open_writer(run, folder) as writer:
        for name, figure in figures.items():
            _save(figure, folder / f"{name}.png", writer, len(trials))


def draw_embeddings(
    run: Run,
    record: TrialRecord,
    partition: str,
    folder: Path,
    *,
    store_of: StoreOpener,
    place: Place,
    console: Console,
) -> None:
    """Draws a t-SNE of a trial's embeddings after every epoch whose weights are kept (paper, figures 2 and 3).

    Args:
        run: The run.
        record: The trial, which has a checkpoint. Gaussian mixtures have no embeddings: nothing is drawn.
        partition: Partition whose utterances are drawn, at most MAX_TSNE_UTTERANCES of them.
        folder: Folder of the report.
        store_of: Returns the feature store of an experiment and a partition.
        place: Returns an experiment with the places where pretrained weights are now.
        console: Where progress is shown.
    """
    state, number = _checkpoint(run, record), record.number
    experiment = place(experiment_from_plain(state["experiment"]))
    if experiment.mode == "gmm":
        console.print(f"trial {number}: no t-SNE: Gaussian mixtures have no embeddings")
        return
    snapshots = {int(epoch): tensors for epoch, tensors in state["snapshots"].items()}
    snapshots[int(state["best"]["epoch"])] = state["best"]["detector"]
    store = store_of(experiment, partition)
    indices = projection.chosen(len(store), MAX_TSNE_UTTERANCES, experiment.seed)
    attack_ids = [store.attack_ids[index] for index in indices]
    labels = store.labels[indices]
    classes = ["bona fide" if label else "spoofed" for label in labels]
    # The columns of TensorBoard's table are separated by tabs, which names may contain.
    columns = [encoded([store.utterance_ids[index] for index in indices]), classes, encoded(attack_ids)]
    metadata = [list(row) for row in zip(*columns, strict=True)]
    header = ["utterance", "class", "attack"]
    positions = {}
    with _open_writer(run, folder) as writer:
        for epoch, tensors in sorted(snapshots.items()):
            console.print(f"t-SNE of {len(indices)} utterances of {partition} after epoch {epoch}", highlight=False)
            detector = build_detector(experiment, state["n_features"], state.get("layers", ()))
            detector.load_state_dict(tensors)
            assert isinstance(detector, Detector)
            embeddings = embed_store(detector, store)[torch.from_numpy(indices)]
            writer.add_embedding(embeddings, metadata, tag=f"trial {number}", global_step=epoch, metadata_header=header)
            title = f"trial {number}, {partition}, epoch {epoch}"
            positions[title] = projection.tsne(embeddings.numpy(), seed=experiment.seed)
        figure = plot_embeddings(positions, attack_ids, labels)
        _save(figure, folder / f"tsne-{partition}.png", writer, max(snapshots))


def _checkpoint(run: Run, record: TrialRecord) -> dict[str, Any]:
    path = run.checkpoint(record.number)
    assert path is not None
    return checkpoint.load(path)


def _open_writer(run: Run, folder: Path) -> Any:
    """A TensorBoard writer for a report, as a context manager."""
    writer: Any = SummaryWriter(str(run.tensorboard / folder.name))
    return writer


def _save(figure: Figure, path: Path, writer: Any, step: int) -> None:
    """Writes a figure to a PNG file and to TensorBoard."""
    canvas: Any = FigureCanvasAgg(figure)
    figure.set_dpi(120)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3]
    writer.add_image(f"report/{path.stem}", picture, step, dataformats="HWC")
    figure.savefig(path, dpi=120)


def _shorten(text: str, limit: int = 70) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
