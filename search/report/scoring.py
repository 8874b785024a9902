"""Scores the detectors of a run's trials on partitions of the corpus, and measures the scores."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from core import checkpoint
from core.config import experiment_from_plain
from core.corpora.corpus import Corpus, Utterance
from core.detector import Detector, score_store
from core.errors import InputError
from core.evaluation import score_file
from core.evaluation.measure import measure
from core.evaluation.metrics import AsvErrorRates
from core.evaluation.score_file import CmScores
from core.gmm import GmmDetector
from core.stores.store import FeatureStore
from core.training.fit import best_detector
from search.prepare.stores import StoreOpener
from search.runs.journal import TrialRecord
from search.runs.run import Run


@dataclass(frozen=True)
class Result:
    """One trial's best detector, measured.

    Attributes:
        record: The trial.
        epoch: The epoch of its best detector.
        scores: CM scores by partition.
        measured: Metrics by partition; see `core.evaluation.measure.measure`.
    """

    record: TrialRecord
    epoch: int
    scores: Mapping[str, CmScores]
    measured: Mapping[str, Mapping[str, Any]]


def scores_of(detector: Detector | GmmDetector, store: FeatureStore) -> CmScores:
    """CM scores of a detector on every utterance of a feature store, with what the store knows of the utterances."""
    return CmScores(
        np.asarray(store.utterance_ids),
        score_store(detector, store),
        attack_ids=np.asarray(store.attack_ids),
        labels=store.labels,
        speaker_ids=np.asarray(store.speaker_ids),
    )


def spoken_by(scores: CmScores, utterances: Sequence[Utterance]) -> CmScores:
    """Scores with the speakers that the corpus tells; the organisers' format of score files has none."""
    speakers = {utterance.utterance_id: utterance.speaker_id for utterance in utterances}
    ids = np.array([speakers.get(str(utterance), "-") for utterance in scores.utterance_ids])
    return dataclasses.replace(scores, speaker_ids=ids)


def collect(
    run: Run,
    records: Sequence[TrialRecord],
    *,
    corpus: Corpus,
    store_of: StoreOpener,
    partitions: Sequence[str],
    asv: Mapping[str, AsvErrorRates],
    console: Console,
) -> list[Result]:
    """The results of some trials; detectors that were not scored yet are scored now, and their scores are kept.

    Scores lie in `<run>/scores/<trial>-epoch<epoch>/<partition>.txt`, in the format of the ASVspoof organisers.

    Args:
        run: The run.
        records: Trials with a checkpoint.
        corpus: Of the run.
        store_of: Gives the feature stores on which a detector is scored.
        partitions: What to score. Looks at eval are counted in run.json.
        asv: Error rates of the ASV by partition, for the t-DCF.
        console: Where progress is shown.

    Raises:
        InputError: a partition that the corpus lacks, or a checkpoint or score file that cannot be read.
    """
    missing = [name for name in partitions if name not in corpus.partitions()]
    if missing:
        raise InputError(f"the corpus at {corpus.root} has no partition {', '.join(missing)}")
    results = []
    for position, record in enumerate(records, start=1):
        path = run.checkpoint(record.number)
        assert path is not None
        state = checkpoint.load(path)
        epoch = int(state["best"]["epoch"])
        folder = run.path / "scores" / f"{record.number:05d}-epoch{epoch:03d}"
        todo = [name for name in partitions if not (folder / f"{name}.txt").exists()]
        if todo:
            console.print(
                f"[{position}/{len(records)}] scoring trial {record.number} on {', '.join(todo)}", markup=False
            )
            _score(run, state, folder, todo, store_of)
        scores = {
            name: spoken_by(score_file.read_cm_scores(folder / f"{name}.txt"), corpus.partition(name))
            for name in partitions
        }
        measured = {name: measure(each, asv.get(name)) for name, each in scores.items()}
        results.append(Result(record, epoch, scores, measured))
    return results


def _score(run: Run, state: Mapping[str, Any], folder: Path, partitions: Sequence[str], store_of: StoreOpener) -> None:
    detector = best_detector(dict(state))
    experiment = experiment_from_plain(state["experiment"])
    for partition in partitions:
        if partition == "eval":
            run.update(eval_looks=int(run.info().get("eval_looks", 0)) + 1)
        store = store_of(experiment, partition)
        score_file.write_cm_scores(folder / f"{partition}.txt", scores_of(detector, store))
