"""Which objective picks detectors that hold on attacks nobody has seen: configurations trained, and judged in all ways.

    .venv/bin/python benchmarks/objectives.py train benchmarks/objectives.yaml --set corpus.path=/data/LA --output study
    .venv/bin/python benchmarks/objectives.py report study --folds "A01+A04,A02+A05,A03+A06"

`train` draws configurations from a space at random and trains each with every seed on all of train, and once more
without each group of attacks of `--left-out`. It keeps the CM scores of dev, and of the whole training those of eval,
after every evaluated epoch: a file for each training, so that it goes on where it was stopped. What an objective would
have said, and what the detector that it would have exported is worth on eval, `report` reckons from these scores alone.

This is a study of objectives, and the one place that looks at eval for every configuration: no search may.
"""

import argparse
import itertools
import json
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


ALL = "all"
"""Name of the training that leaves nothing out."""

Scores = NDArray[np.float64]


def train_one(job: dict[str, Any]) -> str:
    """Trains one configuration with one seed and one group left out; returns where its scores lie."""
    import torch

    from core.config import experiment_from_plain
    from core.detector import build_detector, score_store
    from core.features.store import FeatureStore
    from core.training import TrainingDiverged, epochs

    torch.set_num_threads(1)
    experiment = experiment_from_plain(job["experiment"])
    stores = {name: FeatureStore.open(Path(folder)) for name, folder in job["stores"].items()}
    train, dev = stores["train"], stores["dev"]
    attacks = [] if job["left_out"] == ALL else job["left_out"].split("+")
    train = train.subset(np.flatnonzero(~np.isin(train.attack_ids, attacks)))
    scored = {"dev": dev} | ({"eval": stores["eval"]} if not attacks else {})
    kept: dict[str, list[Scores]] = {name: [] for name in scored}
    at = []
    try:
        for measured, state in epochs(experiment, train, dev):
            if "dev_eer" not in measured:
                continue
            detector = build_detector(experiment, train.n_features)
            detector.load_state_dict(state["detector"])
            for name, store in scored.items():
                kept[name].append(score_store(detector, store))
            at.append(state["epoch"])
    except TrainingDiverged as error:
        print(f"{job['path']}: {error}", flush=True)
    columns = {
        f"{name}_{what}": values
        for name, store in scored.items()
        for what, values in (("labels", store.labels), ("attacks", store.attack_ids), ("speakers", store.speaker_ids))
    }
    path = Path(job["path"])
    temporary = path.with_suffix(".part.npz")
    np.savez(temporary, epochs=at, **columns, **{f"{name}_scores": np.array(each) for name, each in kept.items()})
    temporary.replace(path)
    return str(path)


def train(options: argparse.Namespace) -> None:
    """Trains what is not there yet."""
    from rich.console import Console

    from core.config import experiment_to_plain
    from search.plan import make_plan
    from search.space import store_name
    from search.space_reader import read_space
    from search.storage import Storage
    from search.stores import ensure_store

    space = read_space(Path(options.space), options.set)
    plan = make_plan(space, Storage(options.storage))
    options.output.mkdir(parents=True, exist_ok=True)
    console = Console()
    stores = {
        store_name(each): {name: str(ensure_store(plan, each, name, console).path) for name in ("train", "dev", "eval")}
        for each in space.store_experiments()
    }
    jobs = []
    for seed, number in itertools.product(range(options.seeds), range(options.configurations)):
        values = space.random_values(space.search.seed * 100_000 + number)
        plain = {**experiment_to_plain(space.experiment(values)), "seed": seed}
        (options.output / f"{number:03d}.json").write_text(json.dumps(values))
        for left_out in [ALL, *options.left_out]:
            path = options.output / f"{number:03d}-{seed}-{left_out}.npz"
            where = stores[store_name(space.experiment(values))]
            if not path.exists():
                jobs.append({"experiment": plain, "stores": where, "left_out": left_out, "path": str(path)})
    with ProcessPoolExecutor(options.workers, max_tasks_per_child=None) as pool:
        waiting = [pool.submit(train_one, job) for job in jobs]
        for done, each in enumerate(as_completed(waiting), start=1):
            print(f"{done}/{len(jobs)} {each.result()}", flush=True)


def main() -> None:
    """Trains, or reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)
    train_parser = commands.add_parser("train")
    train_parser.set_defaults(command=train)
    train_parser.add_argument("space")
    train_parser.add_argument("--set", action="append", default=[])
    train_parser.add_argument("--storage", default="storage")
    train_parser.add_argument("--output", type=Path, required=True)
    train_parser.add_argument("--configurations", type=int, default=24)
    train_parser.add_argument("--seeds", type=int, default=3)
    train_parser.add_argument("--workers", type=int, default=2)
    groups = ["A01+A04", "A02+A05", "A03+A06", "A01+A02+A03", "A04", "A05+A06"]
    train_parser.add_argument("--left-out", nargs="*", default=groups, help="groups of attacks, joined by +")
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
