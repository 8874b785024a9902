"""From a run's trial to a bundle, and the one look at eval."""

from pathlib import Path
from typing import Any

from rich.console import Console

from core import bundle, checkpoint, table
from core.config import experiment_from_plain
from core.errors import InputError
from core.evaluation import metrics, score_file
from core.evaluation.measure import measure
from core.evaluation.score_file import CmScores
from core.features import FRONT_ENDS
from core.stores.store import FeatureStore
from core.training.fit import best_detector
from search.methods.confirmations import NUMBER_STRIDE
from search.prepare.plan import Plan
from search.prepare.stores import store_opener
from search.report.scoring import scores_of
from search.runs.confirmed import ConfirmedConfiguration, select_trial
from search.runs.journal import TrialRecord, now
from search.runs.run import Run


def export(
    run: Run,
    plan: Plan,
    folder: Path,
    *,
    rank: int = 1,
    number: int | None = None,
    look_at_eval: bool = True,
    console: Console,
) -> tuple[TrialRecord, dict[str, Any]]:
    """Writes the bundle of a run's trial of the given rank, with its scores on dev and eval beside it.

    Eval decides nothing: it is read here, for a detector that dev has chosen, and every look is counted in run.json.

    Args:
        run: The run.
        plan: Its plan; names the corpus and the stores.
        folder: New folder of the bundle.
        rank: 1 = best, by the mean of fresh seeds where there are such.
        number: A trial's, instead of the rank.
        look_at_eval: Whether to score eval too, where the corpus has one.
        console: Where progress is shown.

    Returns:
        The trial and the metrics by partition.

    Raises:
        InputError: no trial of that rank, or the folder is not empty.
    """
    record, path, confirmed = select_trial(run, rank, number)
    state = checkpoint.load(path)
    detector = best_detector(state)
    experiment = experiment_from_plain(state["experiment"])
    store_of = store_opener(plan, console=console)
    stores = {"dev": store_of(experiment, "dev")}
    looks = int(run.info().get("eval_looks", 0))
    if look_at_eval and "eval" in plan.corpus.partitions():
        try:
            stores["eval"] = store_of(experiment, "eval")
        except InputError as error:  # there may be none yet, or none at hand: the detector is worth as much
            console.print(f"eval: not scored: {error.problems[0]}", highlight=False, markup=False)
        else:
            looks += 1
            run.update(eval_looks=looks)
    measured: dict[str, Any] = {}
    scores: dict[str, CmScores] = {}
    for partition, store in stores.items():
        scores[partition] = scores_of(detector, store)
        measured[partition] = measure(scores[partition])
    if confirmed and "eval" in stores:
        measured["eval"]["eer_by_seed"] = _by_seed(run, confirmed, stores["eval"])
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
            "rank": rank if number is None else None,
            "epoch": state["best"]["epoch"],
            "seed": experiment.seed,
            "values": record.values,
            "corpus": plan.corpus.name,
            "created": now(),
            "eval_looks": looks,
            **({"confirmation": _confirmation(run, confirmed)} if confirmed else {}),
        },
    )
    bundle.save(exported, folder, front_end_weights=front_end.weights)
    for partition, each in scores.items():
        score_file.write_cm_scores(folder / "scores" / f"{partition}.txt", each)
    return record, measured


def _by_seed(run: Run, found: ConfirmedConfiguration, store: FeatureStore) -> list[float]:
    """EER on a partition of the detector of each fresh seed: the choice is made, and one seed says little."""
    rates = []
    for training in found.trainings:
        path = run.confirmation().checkpoint(training.number)
        assert path is not None
        scores = scores_of(best_detector(checkpoint.load(path)), store)
        rates.append(metrics.eer(scores.bona_fide, scores.spoof)[0])
    return rates


def _confirmation(run: Run, found: ConfirmedConfiguration) -> dict[str, Any]:
    """What the bundle tells of the trainings with fresh seeds."""
    return {
        "objective": run.info()["objective"],
        "in_search": found.record.objective,
        "by_seed": [training.objective for training in found.trainings],
        "mean": found.mean,
        "worst": found.worst,
        "failed_seeds": found.n_failed,
        "seed_index": found.median.number % NUMBER_STRIDE,  # of the seed with the median result, which is exported
    }
