"""Overhead of a search: `spooftune launch` against a plain Tune script with the same trials.

    .venv/bin/python benchmarks/overhead.py --trials 200

Both run short trials of one space (about a second each), two at a time. Both report every epoch with a checkpoint, and
Optuna's TPE suggests the configurations. The plain script writes no records and no bundle. Tune's default loggers are
on, as in a typical script.
"""

import argparse
import logging
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from search.space.configurations import store_experiments  # noqa: E402
from search.space.reader import read_space  # noqa: E402
from search.space.space import store_name  # noqa: E402
from tests.search.conftest import SPACE  # noqa: E402
from tests.speech import make_corpus  # noqa: E402

EPOCHS = 4


def write_space(folder: Path, n_trials: int, n_per_class: int) -> Path:
    """Writes a space of short trials and its corpus; returns the path of the space."""
    corpus = make_corpus(folder / "LA", n_per_class=n_per_class)
    text = SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(folder / "storage"))
    text = text.replace("trials: 6", f"trials: {n_trials}").replace("epochs: 4", f"epochs: {EPOCHS}")
    text = text.replace("{name: asha, grace_epochs: 1, reduction_factor: 2}", "none")
    path = folder / "space.yaml"
    path.write_text(text)
    return path


def ours(space: Path, name: str) -> float:
    """Wall time of a search in s, without extraction, with export."""
    command = [sys.executable, "-m", "search.cli.main", "extract", space]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    began = time.perf_counter()
    command = [sys.executable, "-m", "search.cli.main", "launch", space, "--name", name]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


def plain(space: Path, folder: Path) -> float:
    """Wall time in s of the plain Tune script in a new process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--plain", space, folder], check=True, capture_output=True)
    return time.perf_counter() - began


def run_plain(path: Path, folder: Path) -> None:
    """Runs the plain Tune script in this process."""
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # or Ray writes one into the home folder
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    space = read_space(path)
    (experiment,) = store_experiments(space)
    stores = {}
    from core.stores.extraction import store_path
    from search.prepare.plan import open_corpus

    corpus = open_corpus(space)
    for partition in ("train", "dev"):
        root = Path(space.search.storage) / "stores"
        utterances = corpus.partition(partition)
        stores[partition] = str(store_path(utterances, experiment.front_end, experiment.audio, root=root))
    assert store_name(experiment)

    def train(config: dict[str, Any]) -> None:
        import torch

        from core import checkpoint
        from core.stores.store import FeatureStore
        from core.training.fit import fit

        torch.set_num_threads(1)
        values = {"backbone.name": config["backbone"], "loss.margin": config["margin"]}
        if config["backbone"] == "senet18":
            values["backbone.width"] = 4

        def report(metrics: dict[str, float], state: dict[str, Any]) -> None:
            with tempfile.TemporaryDirectory() as place:
                checkpoint.save(Path(place) / "checkpoint.pt", state)
                metrics = {"dev_eer": 1.0, **metrics}
                tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(place))

        opened = (FeatureStore.open(Path(stores[partition])) for partition in ("train", "dev"))
        fit(space.experiment(values), *opened, report)

    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={"backbone": tune.choice(["senet18", "lcnn"]), "margin": tune.uniform(0.5, 3)},
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(metric="dev_eer", mode="min"),
            num_samples=space.search.trials,
            max_concurrent_trials=2,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder), checkpoint_config=tune.CheckpointConfig(num_to_keep=2), verbose=0
        ),
    ).fit()


def main() -> None:
    """Prints both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--clips", type=int, default=64, help="clips per class and partition (trial length)")
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--plain", nargs=2, metavar=("SPACE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        run_plain(*map(Path, options.plain))
        return
    with tempfile.TemporaryDirectory() as folder:
        space = write_space(Path(folder), options.trials, options.clips)
        for number in range(options.repetitions):
            mine, theirs = ours(space, f"ours-{number}"), plain(space, Path(folder) / f"plain-{number}")
            print(
                f"{options.trials} trials: spooftune {mine:.1f} s, plain Tune {theirs:.1f} s, ratio {mine / theirs:.2f}"
            )


if __name__ == "__main__":
    main()
