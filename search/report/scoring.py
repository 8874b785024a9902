"""CM scores and metrics of the detectors of a run's trials on partitions of the corpus."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from core import checkpoint
from core.config import Experiment, experiment_from_plain
from core.corpora.corpus import Corpus, Utterance
from core.detector import Detector, score_store
from core.errors import InputError
from core.evaluation import score_file
from core.evaluation.measure import measure, swapped_sign
from core.evaluation.score_file import CmScores
from core.evaluation.tandem import AsvErrorRates
from core.gmm import GmmDetector
from core.stores.store import FeatureStore
from core.training.fit import best_detector
from search.prepare.stores import StoreOpener
from search.runs.eval_looks import EvalAct
from search.runs.journal import TrialRecord
from search.runs.trial_folder import TrialFolder

Place = Callable[[Experiment], Experiment]
"""Returns an experiment of a training with the places where pretrained weights are now."""


@dataclass(frozen=True)
class Result:
    """Scores and metrics of a trial's best detector.

    Attributes:
        record: The trial.
        epoch: Epoch of the best detector.
        scores: CM scores by partition.
        measured: Metrics by partition; see `core.evaluation.measure.measure`.
    """

    record: TrialRecord
    epoch: int
    scores: Mapping[str, CmScores]
    measured: Mapping[str, Mapping[str, Any]]


def scores_of(detector: Detector | GmmDetector, store: FeatureStore) -> CmScores:
    """CM scores of a detector on every utterance of a feature store, with attacks, labels and speakers."""
    return CmScores(
        np.asarray(store.utterance_ids),
        score_store(detector, store),
        attack_ids=np.asarray(store.attack_ids),
        labels=store.labels,
        speaker_ids=np.asarray(store.speaker_ids),
    )


def with_speakers(scores: CmScores, utterances: Sequence[Utterance]) -> CmScores:
    """Scores with the speakers and conditions of the corpus, which the ASVspoof format of score files lacks.

    Args:
        scores: The scores.
        utterances: Utterances of the corpus. The speaker of an utterance that is not among them becomes `-`.
    """
    known = {utterance.utterance_id: utterance for utterance in utterances}
    listed = [known.get(str(utterance)) for utterance in scores.utterance_ids]
    names = dict.fromkeys(name for utterance in utterances for name, _ in utterance.conditions)
    conditions = {
        name: np.array([dict(utterance.conditions).get(name, "-") if utterance else "-" for utterance in listed])
        for name in names
    }
    speakers = np.array([utterance.speaker_id if utterance else "-" for utterance in listed])
    return dataclasses.replace(scores, speaker_ids=speakers, conditions=conditions)


def score_trials(
    run: TrialFolder,
    records: Sequence[TrialRecord],
    *,
    corpus: Corpus,
    store_of: StoreOpener,
    partitions: Sequence[str],
    asv: Mapping[str, AsvErrorRates],
    act: EvalAct | None = None,
    place: Place = lambda experiment: experiment,
    console: Console,
) -> list[Result]:
    """Results of trials on partitions of the corpus, in the order of `records`.

    The scores are kept in `<run>/scores/<trial>-epoch<epoch>/<partition>.txt`, in the ASVspoof format. A detector is
    scored only if this file is missing.

    Args:
        run: Folder of the trials: the run, or its confirmation.
        records: Trials with a checkpoint.
        corpus: Corpus of the run.
        store_of: Returns the feature store of an experiment and a partition.
        partitions: Partitions to score.
        asv: Error rates of the ASV by partition, for min t-DCF; partitions without them get none.
        act: Records the look at eval before a detector is scored on it; needed if `partitions` has eval.
        place: Returns an experiment with the places where pretrained weights are now.
        console: Where progress is shown.

    Raises:
        InputError: The corpus lacks a partition, or a checkpoint or score file cannot be read.
    """
    missing = [name for name in partitions if name not in corpus.partitions()]
    if missing:
        raise InputError(f"corpus {corpus.root}: no partition {', '.join(missing)}")
    results = []
    for position, record in enumerate(records, start=1):
        path = run.checkpoint(record.number)
        assert path is not None
        state = checkpoint.load(path)
        epoch = int(state["best"]["epoch"])
        folder = run.path / "scores" / f"{record.number:05d}-epoch{epoch:03d}"
        unscored = [name for name in partitions if not (folder / f"{name}.txt").exists()]
        if unscored:
            console.print(
                f"[{position}/{len(records)}] scoring trial {record.number} on {', '.join(unscored)}", markup=False
            )
            if "eval" in unscored:
                assert act is not None
                act.begin()
            _score(state, folder, unscored, store_of, place)
        scores = {
            name: with_speakers(score_file.read_cm_scores(folder / f"{name}.txt"), corpus.partition(name))
            for name in partitions
        }
        measured = {name: measure(cm_scores, asv.get(name)) for name, cm_scores in scores.items()}
        for name, values in measured.items():
            warning = swapped_sign(values)
            if warning:
                console.print(f"warning: trial {record.number} on {name}: {warning}", markup=False, soft_wrap=True)
        results.append(Result(record, epoch, scores, measured))
    return results


def _score(
    state: Mapping[str, Any], folder: Path, partitions: Sequence[str], store_of: StoreOpener, place: Place
) -> None:
    experiment = place(experiment_from_plain(state["experiment"]))
    detector = best_detector(dict(state), experiment.front_end)
    for partition in partitions:
        store = store_of(experiment, partition)
        score_file.write_cm_scores(folder / f"{partition}.txt", scores_of(detector, store))
