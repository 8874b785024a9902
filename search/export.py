"""From a run's trial to a bundle, and the one look at eval."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from core import bundle, checkpoint, score_file, table
from core.config import experiment_from_plain
from core.detector import score_store
from core.errors import InputError
from core.features import FRONT_ENDS
from core.score_file import CmScores
from core.training import best_detector
from search.plan import Plan
from search.results import measure
from search.run import Run, TrialRecord, now
from search.stores import ensure_store


def export(
    run: Run,
    plan: Plan,
    folder: Path,
    *,
    rank: int = 1,
    look_at_eval: bool = True,
    console: Console,
) -> tuple[TrialRecord, dict[str, Any]]:
    """Writes the bundle of a run's trial of the given rank, with its scores on dev and eval beside it.

    Eval decides nothing: it is read here, for a detector that dev has chosen, and every look is counted in run.json.

    Args:
        run: The run.
        plan: Its plan; names the corpus and the stores.
        folder: New folder of the bundle.
        rank: 1 = best on dev.
        look_at_eval: Whether to score eval too, where the corpus has one.
        console: Where progress is shown.

    Returns:
        The trial and the metrics by partition.

    Raises:
        InputError: no trial of that rank, or the folder is not empty.
    """
    ranked = run.ranked()
    if not 1 <= rank <= len(ranked):
        raise InputError(f"run {run.name}: no trial of rank {rank}; {len(ranked)} trials have a detector to export")
    record = ranked[rank - 1]
    path = run.checkpoint(record.number)
    assert path is not None
    state = checkpoint.load(path)
    detector = best_detector(state)
    experiment = experiment_from_plain(state["experiment"])
    stores = {"dev": ensure_store(plan, experiment, "dev", console)}
    looks = int(run.info().get("eval_looks", 0))
    if look_at_eval and "eval" in plan.corpus.partitions():
        looks += 1
        run.update(eval_looks=looks)
        stores["eval"] = ensure_store(plan, experiment, "eval", console)
    measured: dict[str, Any] = {}
    scores: dict[str, CmScores] = {}
    for partition, store in stores.items():
        columns = {"attack_ids": np.asarray(store.attack_ids), "labels": store.labels}
        scores[partition] = CmScores(np.asarray(store.utterance_ids), score_store(detector, store), **columns)
        measured[partition] = measure(scores[partition])
    front_end = table.build("front_end", FRONT_ENDS, experiment.front_end)
    exported = bundle.Bundle(
        detector,
        experiment,
        state["n_features"],
        threshold=float(state["best"]["metrics"]["dev_threshold"]),
        metrics=measured,
        provenance={
            "run": run.name,
            "trial": record.number,
            "rank": rank,
            "epoch": state["best"]["epoch"],
            "values": record.values,
            "corpus": plan.corpus.name,
            "created": now(),
            "eval_looks": looks,
        },
    )
    bundle.save(exported, folder, front_end_weights=front_end.weights)
    for partition, each in scores.items():
        score_file.write_cm_scores(folder / "scores" / f"{partition}.txt", each)
    return record, measured
