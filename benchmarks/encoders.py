"""Features x back ends x training modes, with seeds: does pretraining help, and does the Siamese phase?

    python benchmarks/encoders.py train benchmarks/encoders.yaml --corpus asvspoof2019_la=/data/LA --output study
    python benchmarks/encoders.py report study

Every cell is an experiment, and every seed of it a training. The trainings that are there already are kept. `report`
gives the mean over the seeds with its 95 % interval (Student), at the epoch with the lowest EER on dev, and the
difference between two modes, paired by seed.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.trainings import Curve, Job, Scores, run


def cells(study: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name `features.back end.mode` and experiment of every cell. A back end with a mode of its own has only that."""
    from core.systems import laid_over

    for (feature, features), (back_end, network) in itertools.product(
        study["features"].items(), study["back_ends"].items()
    ):
        modes = {network["mode"]: {}} if "mode" in network else study["modes"]
        for mode, changes in modes.items():
            plain = study["experiment"]
            for layer in (features, network, changes):
                plain = laid_over(plain, layer)
            if "layers" not in plain["front_end"]:
                plain["input"] = {name: value for name, value in plain["input"].items() if name != "layer"}
            yield f"{feature}.{back_end}.{mode}", {name: value for name, value in plain.items() if value is not None}


def train(options: argparse.Namespace) -> None:
    """Extracts the features that are missing, then runs the missing trainings."""
    from core.config import experiment_from_plain, experiment_to_plain
    from core.corpora.layouts import CORPORA
    from core.stores.extraction import extract

    text = options.study.read_text()
    for word in options.put:
        name, _, value = word.partition("=")
        text = text.replace(name, value)
    study = yaml.safe_load(text)
    layout, _, place = options.corpus.partition("=")
    corpus = CORPORA[layout](Path(place))
    options.output.mkdir(parents=True, exist_ok=True)
    stores: dict[str, dict[str, str]] = {}
    jobs = []
    for name, plain in cells(study):
        feature = name.split(".")[0]
        if not any(name.startswith(prefix) for prefix in options.only or [""]):
            continue
        experiment = experiment_from_plain(plain)
        if feature not in stores:
            folders = {}
            for partition in ("train", "dev", "eval"):
                utterances = corpus.partition(partition)
                store = extract(utterances, experiment.front_end, experiment.audio, root=options.output / "stores")
                folders[partition] = str(store.path)
            stores[feature] = folders
            print(f"{feature}: features are there", flush=True)
        for seed in range(options.seeds):
            described = experiment_to_plain(experiment) | {"seed": seed}
            jobs.append(Job(options.output / f"{name}.{seed}.npz", described, stores[feature]))
    jobs.sort(key=lambda job: int(job.path.stem.split(".")[3]))  # a seed of every cell, then the next
    run(jobs, workers=options.workers)


class Cell:
    """The trainings of a cell.

    Attributes:
        seeds: Seeds of the trainings.
        dev: EER on dev at the best epoch by dev, by seed.
        eval: EER on eval at this epoch, by seed.
        last: EER on eval after the last epoch, by seed.
        steps: Steps of a training.
        minutes: Mean duration of a training.
        fall: Mean loss of the last evaluation's epochs over the one at three quarters of the training.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.seeds = [int(path.stem.split(".")[3]) for path in paths]
        curves = [(Curve.read(path), Curve.read(path, "eval")) for path in paths]
        best = [int(np.argmin(on_dev.eers())) for on_dev, _ in curves]
        self.dev = np.array([on_dev.eers().min() for on_dev, _ in curves])
        self.eval = np.array([on_eval.eers()[at] for (_, on_eval), at in zip(curves, best, strict=True)])
        self.last = np.array([on_eval.eers()[-1] for _, on_eval in curves])
        self.steps = int(curves[0][0].steps[-1])
        self.minutes = float(np.mean([on_dev.seconds[-1] for on_dev, _ in curves])) / 60
        losses = [on_dev.losses for on_dev, _ in curves]
        self.fall = float(np.mean([loss[-1] / loss[max(0, 3 * len(loss) // 4 - 1)] for loss in losses]))


def interval(values: Scores) -> str:
    """Mean and 95 % interval of Student, in percent."""
    mean = 100 * values.mean()
    if len(values) < 2:
        return f"{mean:.1f}"
    width = 100 * stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean:.1f} ({mean - width:.1f} to {mean + width:.1f})"


def report(options: argparse.Namespace) -> None:
    """Prints the table of the cells, and the paired differences between the modes."""
    names = sorted({".".join(path.stem.split(".")[:3]) for path in options.folder.glob("*.*.*.*.npz")} - {""})
    names = [name for name in names if not name.startswith(".")]
    found = {}
    for name in names:
        paths = sorted(path for path in options.folder.glob(f"{name}.*.npz") if not path.name.endswith(".eval.npz"))
        if paths:
            found[name] = Cell(paths)
    print("| features | back end | mode | seeds | steps | dev EER % | eval EER % | after the last epoch | min | loss |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, cell in found.items():
        words = [*name.split("."), str(len(cell.seeds)), str(cell.steps), interval(cell.dev), interval(cell.eval)]
        print(f"| {' | '.join([*words, interval(cell.last), f'{cell.minutes:.1f}', f'{cell.fall:.2f}'])} |")
    pairs = [(name, name.replace(".siamese", ".original")) for name in found if name.endswith(".siamese")]
    print("\nsiamese minus original on eval, points, paired by seed\n")
    print("| features | back end | seeds | difference | p (paired t) | seeds where siamese is lower |")
    print("|---|---|---|---|---|---|")
    for one, other in pairs:
        if other not in found:
            continue
        shared = sorted(set(found[one].seeds) & set(found[other].seeds))
        values = [[found[n].eval[found[n].seeds.index(seed)] for seed in shared] for n in (one, other)]
        difference = np.subtract(*values)
        p = float(stats.ttest_rel(*values).pvalue) if len(shared) > 1 else float("nan")
        cell_words = [*one.split(".")[:2], str(len(shared)), interval(difference), f"{p:.3f}"]
        print(f"| {' | '.join(cell_words)} | {int((difference < 0).sum())} of {len(shared)} |")


def main() -> None:
    """Runs the command `train` or `report`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)
    train_parser = commands.add_parser("train")
    train_parser.set_defaults(command=train)
    train_parser.add_argument("study", type=Path)
    train_parser.add_argument("--corpus", required=True, metavar="LAYOUT=FOLDER")
    train_parser.add_argument("--put", action="append", default=[], metavar="NAME=TEXT", help="such as WHISPER=FOLDER")
    train_parser.add_argument("--only", nargs="*", help="cells whose names begin so")
    train_parser.add_argument("--output", type=Path, required=True)
    train_parser.add_argument("--seeds", type=int, default=5)
    train_parser.add_argument("--workers", type=int, default=2)
    report_parser = commands.add_parser("report")
    report_parser.set_defaults(command=report)
    report_parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
