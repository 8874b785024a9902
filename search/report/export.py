"""Exports the detector of a trial as a bundle, and scores it on dev and eval."""

from pathlib import Path
from typing import Any

from rich.console import Console

from core import bundle, checkpoint, table
from core.config import experiment_from_plain
from core.errors import InputError
from core.evaluation import metrics, score_file
from core.evaluation.calibration import Calibration, fit_calibration
from core.evaluation.measure import measure
from core.evaluation.score_file import CmScores
from core.features import FRONT_ENDS
from core.stores.store import FeatureStore
from core.training.fit import best_detector
from search.methods.confirmations import NUMBER_STRIDE
from search.prepare.plan import Plan
from search.prepare.stores import store_opener
from search.report.scoring import scores_of, with_speakers
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
    score_eval: bool = True,
    console: Console,
) -> tuple[TrialRecord, dict[str, Any]]:
    """Writes the detector of one trial as a bundle, with its CM scores on dev and eval in the same folder.

    Eval takes no part in the selection. It is scored only here, after the selection, and `run.json` counts how often.

    Args:
        run: The run.
        plan: Plan of the run; names the corpus and the stores.
        folder: New folder of the bundle.
        rank: Rank of the trial, from 1 = best. Confirmed configurations come first, by the mean of their fresh seeds.
        number: Number of the trial, which then counts instead of the rank.
        score_eval: Whether to score eval too, if the corpus has it.
        console: Where progress is shown.

    Returns:
        The trial and the metrics by partition.

    Raises:
        InputError: No trial has that rank or number, or the folder is not empty.
    """
    record, path, confirmed = select_trial(run, rank, number)
    state = checkpoint.load(path)
    detector = best_detector(state)
    experiment = experiment_from_plain(state["experiment"])
    store_of = store_opener(plan, console=console)
    stores = {"dev": store_of(experiment, "dev")}
    looks = int(run.info().get("eval_looks", 0))
    if score_eval and "eval" in plan.corpus.partitions():
        try:
            stores["eval"] = store_of(experiment, "eval")
        except InputError as error:  # eval may be missing on this machine: the bundle is complete without it
            console.print(f"eval: not scored: {error.problems[0]}", highlight=False, markup=False)
        else:
            looks += 1
            run.update(eval_looks=looks)
    scores: dict[str, CmScores] = {
        partition: with_speakers(scores_of(detector, store), plan.corpus.partition(partition))
        for partition, store in stores.items()
    }
    calibration = _calibration(scores["dev"], console)
    measured: dict[str, Any] = {
        partition: measure(of_partition, calibration=calibration) for partition, of_partition in scores.items()
    }
    if confirmed and "eval" in stores:
        measured["eval"]["eer_by_seed"] = _eer_by_seed(run, confirmed, stores["eval"])
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
        calibration=calibration,
    )
    bundle.save(exported, folder, front_end_weights=front_end.weights)
    for partition, partition_scores in scores.items():
        score_file.write_cm_scores(folder / "scores" / f"{partition}.txt", partition_scores)
    return record, measured


def _calibration(dev: CmScores, console: Console) -> Calibration | None:
    """Map of CM scores to log-likelihood ratios, fitted on dev; None if the scores rank the wrong way."""
    try:
        return fit_calibration(dev.bona_fide, dev.spoof)
    except ValueError as error:
        console.print(f"dev: the scores are not calibrated: {error}", highlight=False, markup=False)
        return None


def _eer_by_seed(run: Run, configuration: ConfirmedConfiguration, store: FeatureStore) -> list[float]:
    """EER of the detector of every fresh seed on the utterances of a store, in the order of the trainings."""
    rates = []
    for training in configuration.trainings:
        path = run.confirmation().checkpoint(training.number)
        assert path is not None
        scores = scores_of(best_detector(checkpoint.load(path)), store)
        rates.append(metrics.eer(scores.bona_fide, scores.spoof)[0])
    return rates


def _confirmation(run: Run, configuration: ConfirmedConfiguration) -> dict[str, Any]:
    """Results of the trainings with fresh seeds, for the provenance of a bundle."""
    return {
        "objective": run.info()["objective"],
        "in_search": configuration.record.objective,
        "by_seed": [training.objective for training in configuration.trainings],
        "mean": configuration.mean,
        "worst": configuration.worst,
        "failed_seeds": configuration.n_failed,
        # The index of the seed with the median result: its detector is exported.
        "seed_index": configuration.median.number % NUMBER_STRIDE,
    }
