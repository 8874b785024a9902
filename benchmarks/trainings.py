"""Trainings of a study. Each keeps the CM scores after every evaluated epoch, in files of its own.

`NAME.npz` has the scores of dev, and `NAME.eval.npz` those of eval, so that a study can choose without opening the
second. Only studies score eval for every training. No search may do so. The first file is written last: a training
without it is missing, and an interrupted study trains what is missing.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.evaluation import metrics  # noqa: E402

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """A training.

    Attributes:
        path: Its file with the scores of dev.
        experiment: The experiment, as plain data.
        stores: Partition -> folder of its feature store; `eval` may be missing.
        left_out: Attacks that are left out of train.
    """

    path: Path
    experiment: Mapping[str, Any]
    stores: Mapping[str, str]
    left_out: Sequence[str] = ()


def run(jobs: Sequence[Job], *, workers: int) -> None:
    """Runs the missing trainings, one thread each, and prints a line when one has ended."""
    missing = [job for job in jobs if not job.path.exists()]
    print(f"{len(jobs) - len(missing)} of {len(jobs)} trainings are there", flush=True)
    started = time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        waiting = [pool.submit(train_one, job) for job in missing]
        for n_done, done in enumerate(as_completed(waiting), start=1):
            minutes = (time.monotonic() - started) / 60
            print(f"{n_done}/{len(missing)} after {minutes:.1f} min: {done.result()}", flush=True)


def train_one(job: Job) -> str:
    """Trains, and writes the files of a job; returns a line about it."""
    import torch

    from core.config import experiment_from_plain
    from core.detector import build_detector, score_store
    from core.errors import TrainingDiverged
    from core.stores.store import FeatureStore
    from core.training.fit import epochs

    torch.set_num_threads(1)
    experiment = experiment_from_plain(job.experiment)
    stores = {name: FeatureStore.open(Path(folder)) for name, folder in job.stores.items()}
    train, dev = stores.pop("train"), stores["dev"]
    if job.left_out:
        train = train.subset(np.flatnonzero(~np.isin(train.attack_ids, job.left_out)))
    kept: dict[str, list[Scores]] = {name: [] for name in stores}
    curve: dict[str, list[float]] = {name: [] for name in ("epochs", "steps", "losses", "seconds")}
    said, seconds, begun = "", 0.0, time.monotonic()
    losses = []
    try:
        for measured, state in epochs(experiment, train, dev):
            losses.append(measured.get("loss", np.nan))
            if "dev_eer" in measured:
                seconds += time.monotonic() - begun  # scoring for the study is no part of the training
                detector = build_detector(experiment, train.n_features, train.layers)
                detector.load_state_dict(state.get("averaged", state["detector"]))
                for name, store in stores.items():
                    kept[name].append(score_store(detector, store))
                row = (state["epoch"], measured.get("step", 0), float(np.mean(losses)), seconds)
                for name, value in zip(curve, row, strict=True):
                    curve[name].append(value)
                losses, begun = [], time.monotonic()
                said = f"dev EER {100 * measured['dev_eer']:.1f} %"
    except TrainingDiverged as error:
        said = str(error)
    for name in reversed(kept):  # dev last
        labels, attacks, speakers = stores[name].labels, stores[name].attack_ids, stores[name].speaker_ids
        columns = {
            "labels": labels,
            "attacks": attacks,
            "speakers": speakers,
            "scores": np.float32(kept[name]),
            **curve,
        }
        path = job.path if name == "dev" else job.path.with_suffix(f".{name}.npz")
        temporary = path.with_name(f".{path.name}.part.npz")
        np.savez_compressed(temporary, **columns)
        temporary.replace(path)
    return f"{job.path.stem}: {said}"


@dataclass(frozen=True)
class Curve:
    """What a training kept of one partition.

    Attributes:
        scores: CM scores, `(n_evaluations, n_utterances)`.
        labels: Of the utterances; 1 = bona fide.
        attacks: Of the utterances.
        speakers: Of the utterances.
        epochs: Epoch of every evaluation.
        steps: Minibatches before every evaluation.
        losses: Mean training loss since the evaluation before.
        seconds: Duration of the training until every evaluation, without the scoring for the study.
    """

    scores: Scores
    labels: NDArray[np.int64]
    attacks: NDArray[np.str_]
    speakers: NDArray[np.str_]
    epochs: NDArray[np.int64]
    steps: NDArray[np.int64]
    losses: NDArray[np.float64]
    seconds: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path, partition: str = "dev") -> "Curve":
        """The curve of one partition of the training whose file of dev is `path`."""
        with np.load(path if partition == "dev" else path.with_suffix(f".{partition}.npz")) as kept:
            return cls(**{**kept, "scores": kept["scores"].astype(np.float64)})

    def eers(self, attacks: Sequence[str] | None = None) -> Scores:
        """EER after every evaluation, over some attacks or all."""
        spoofed = (self.labels == 0) & (True if attacks is None else np.isin(self.attacks, attacks))
        return np.array([metrics.eer(row[self.labels == 1], row[spoofed])[0] for row in self.scores])
