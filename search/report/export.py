"""Exports the detector of a trial as a bundle, and scores it on dev and eval."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from core import bundle, checkpoint, table
from core.bundle.trained_on import durations_of_store
from core.config import Experiment, experiment_from_plain
from core.errors import InputError
from core.evaluation import metrics, score_file
from core.evaluation.calibration import Calibration, fit_calibration
from core.evaluation.measure import measure
from core.evaluation.score_file import CmScores
from core.features import FRONT_ENDS
from core.features.layers import narrowed
from core.features.weights import files_of
from core.stores.extraction import is_complete, store_path
from core.stores.store import FeatureStore
from core.table import Block
from core.training.fit import best_detector
from search.methods.confirmations import NUMBER_STRIDE
from search.prepare.identity import check_identity, placed_experiment
from search.prepare.plan import Plan
from search.prepare.stores import store_opener
from search.report.scoring import scores_of, with_speakers
from search.runs.confirmed import ConfirmedConfiguration, race_data, select_trial
from search.runs.eval_looks import LOOKS, n_looks, record_look, record_result
from search.runs.journal import TrialRecord, now
from search.runs.run import Run


def export(
    run: Run,
    plan: Plan,
    folder: Path,
    *,
    rank: int = 1,
    number: int | None = None,
    eval_command: str | None = None,
    changed_corpus: bool = False,
    with_weights: bool = False,
    console: Console,
) -> tuple[TrialRecord, dict[str, Any]]:
    """Writes the detector of one trial as a bundle, with its CM scores on dev in the same folder, and those on eval.

    Eval takes no part in the selection. It is opened only if a user's command asks for it, and the run and the bundle
    record that look.

    Args:
        run: The run.
        plan: Plan of the run; names the corpus and the stores.
        folder: New folder of the bundle.
        rank: Rank of the trial, from 1 = best. Confirmed configurations come first, by the mean of their fresh seeds.
        number: Number of the trial, which then counts instead of the rank.
        eval_command: Command that asks for eval, for the record; None: eval is not opened.
        changed_corpus: Whether dev may differ from that of the launch; the detector is then measured on dev of now.
        with_weights: Whether the pretrained weights of the front end are copied into the bundle.
        console: Where progress is shown.

    Returns:
        The trial and the metrics by partition; without those of eval if it was not wanted or cannot be read.

    Raises:
        InputError: Corpus or weights are not those of the launch, no trial has that rank or number, or the folder is
            not empty.
    """
    check_identity(run, plan, corpus_may_differ=changed_corpus)
    if eval_command is None:
        plan = plan.sealed()
    record, path, confirmed = select_trial(run, rank, number)
    state = checkpoint.load(path)
    experiment = placed_experiment(experiment_from_plain(state["experiment"]), run, plan)
    detector = best_detector(state, experiment.front_end)
    store_of = store_opener(plan, run, console=console)
    stores = {"dev": store_of(experiment, "dev")}
    trainings = confirmed.trainings if confirmed and eval_command is not None else ()
    whole = {training.number: run.confirmation().checkpoint(training.number) for training in trainings}
    checkpoints = {number: path for number, path in whole.items() if path is not None}
    look, names = None, [folder.name]
    if eval_command is not None:
        try:
            stores["eval"] = store_of(experiment, "eval")
        except InputError as error:  # eval may be missing on this machine: the bundle is complete without it
            console.print(f"eval: not scored: {error.problems[0]}", highlight=False, markup=False)
        else:
            names += [f"{folder.name}, fresh seed {number % NUMBER_STRIDE}" for number in checkpoints]
            look = record_look(run.path, command=eval_command, detectors=names, corpus=plan.corpus.name)
    scores: dict[str, CmScores] = {
        partition: with_speakers(scores_of(detector, store), plan.corpus.partition(partition))
        for partition, store in stores.items()
    }
    calibration = _calibration(scores["dev"], console)
    measured: dict[str, Any] = {
        partition: measure(of_partition, calibration=calibration) for partition, of_partition in scores.items()
    }
    if confirmed and "eval" in stores:
        measured["eval"]["eer_by_seed"] = _eer_by_seed(checkpoints.values(), stores["eval"], experiment.front_end)
    if look is not None:
        measured["eval"]["look"] = look
        rates = [measured["eval"]["eer"], *measured["eval"].get("eer_by_seed", [])]
        record_result(run.path, look, dict(zip(names, rates, strict=True)))
    trained = experiment
    # The bundle computes no more layers than the detector reads. Checkpoints of earlier versions do not name layers.
    block, detector.layers = narrowed(experiment.front_end, experiment.input.layer, stores["dev"].layers, FRONT_ENDS)
    experiment = replace(experiment, front_end=block)
    front_end = table.build("front_end", FRONT_ENDS, block)
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
            "eval_looks": n_looks(run.path),
            **({"changed_corpus": True} if changed_corpus else {}),
            **({"confirmation": _confirmation(run, confirmed)} if confirmed else {}),
        },
        calibration=calibration,
        layers=detector.layers,
        durations=_durations(plan, trained, stores["dev"], front_end),
    )
    bundle.save(
        exported,
        folder,
        front_end_weights=front_end.weights,
        front_end_version=front_end.version,
        front_end_files=files_of(front_end) if with_weights else (),
    )
    for partition, partition_scores in scores.items():
        score_file.write_cm_scores(folder / "scores" / f"{partition}.txt", partition_scores)
    if (run.path / LOOKS).exists():
        shutil.copyfile(run.path / LOOKS, folder / LOOKS)
    return record, measured


def _durations(plan: Plan, experiment: Experiment, dev: FeatureStore, front_end: Any) -> dict[str, bundle.Durations]:
    """Durations of the utterances of train and dev, from their stores; without those of a store that is not here."""
    root = plan.storage.folder / "stores"
    train = store_path(plan.corpus.partition("train"), experiment.front_end, experiment.audio, root=root)
    stores = {"train": FeatureStore.open(train)} if is_complete(train) else {}
    measured = {
        name: durations_of_store(store, front_end.min_samples) for name, store in {**stores, "dev": dev}.items()
    }
    return {name: durations for name, durations in measured.items() if durations}


def _calibration(dev: CmScores, console: Console) -> Calibration | None:
    """Map of CM scores to log-likelihood ratios, fitted on dev; None if the scores rank the wrong way."""
    try:
        return fit_calibration(dev.bona_fide, dev.spoof)
    except ValueError as error:
        console.print(f"dev: the scores are not calibrated: {error}", highlight=False, markup=False)
        return None


def _eer_by_seed(checkpoints: Iterable[Path], store: FeatureStore, front_end: Block) -> list[float]:
    """EER of the detectors of fresh seeds on the utterances of a store, in the order of their checkpoints."""
    rates = []
    for path in checkpoints:
        scores = scores_of(best_detector(checkpoint.load(path), front_end), store)
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
        "race": race_data(run),
        # The index of the seed with the median result: its detector is exported.
        "seed_index": configuration.median.number % NUMBER_STRIDE,
    }
