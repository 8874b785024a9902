"""Which objective selects models that generalise to unseen attacks: a study over random configurations.

    .venv/bin/python benchmarks/objectives.py train benchmarks/objectives.yaml --set corpus.path=/data/LA --output study
    .venv/bin/python benchmarks/objectives.py report study --folds "A01+A04,A02+A05,A03+A06"

`train` draws random configurations from a space. With every seed, it trains each configuration on all of train, and
once more without each group of attacks of `--left-out`. After every evaluated epoch it keeps the CM scores of dev, and
for the training on all of train also those of eval. Every training has its own file, so that an interrupted study
resumes. From these scores, `report` computes the value of every objective, and the EER on eval of the detector that a
search with this objective would have exported.

Only this study scores eval for every configuration. No search may do so.
"""

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.trainings import Curve, Job, Scores, run  # noqa: E402
from core.evaluation import metrics  # noqa: E402

ALL = "all"
"""Name of the training that leaves nothing out."""


def train(options: argparse.Namespace) -> None:
    """Runs the missing trainings."""
    from rich.console import Console

    from core.config import experiment_to_plain
    from search.prepare.plan import make_plan
    from search.prepare.stores import store_opener
    from search.runs.storage import Storage
    from search.space.configurations import store_experiments
    from search.space.optuna_space import random_values
    from search.space.reader import read_space
    from search.space.space import store_name

    space = read_space(Path(options.space), options.set)
    plan = make_plan(space, Storage(options.storage))
    options.output.mkdir(parents=True, exist_ok=True)
    store_of = store_opener(plan, console=Console())
    stores = {
        store_name(experiment): {name: str(store_of(experiment, name).path) for name in ("train", "dev", "eval")}
        for experiment in store_experiments(space)
    }
    jobs = []
    for seed, number in itertools.product(range(options.seeds), range(options.configurations)):
        values = random_values(space, space.search.seed * 100_000 + number)
        plain = {**experiment_to_plain(space.experiment(values)), "seed": seed}
        (options.output / f"{number:03d}.json").write_text(json.dumps(values))
        for left_out in [ALL, *options.left_out]:
            attacks = [] if left_out == ALL else left_out.split("+")
            where = stores[store_name(space.experiment(values))]
            scored = where if left_out == ALL else {name: where[name] for name in ("train", "dev")}
            jobs.append(Job(options.output / f"{number:03d}-{seed}-{left_out}.npz", plain, scored, attacks))
    run(jobs, workers=options.workers)


class Study:
    """The results of `train`: metrics by configuration, seed and epoch.

    Attributes:
        values: Objective -> its values at the best epochs, `(n_configurations, n_seeds)`; lower is better.
        worth: Objective -> EER on eval of the detectors of these epochs, `(n_configurations, n_seeds)`.
        numbers: Numbers of the configurations whose trainings are complete with every seed.
    """

    def __init__(self, folder: Path, objectives: dict[str, list[str]], metric: str) -> None:
        groups = sorted({group for left_out in objectives.values() for group in left_out} | {ALL})
        trained = {path.stem for path in folder.glob("*-*-*.npz") if not path.name.endswith(".eval.npz")}
        seeds = sorted({name.split("-")[1] for name in trained})
        numbers = sorted({name.split("-")[0] for name in trained})
        self.numbers = [n for n in numbers if all(f"{n}-{s}-{g}" in trained for s in seeds for g in groups)]
        self.n_seeds = len(seeds)
        shape = (len(self.numbers), len(seeds))
        self.values = {name: np.full(shape, np.nan) for name in objectives}
        self.worth = {name: np.full(shape, np.nan) for name in objectives}
        for row, number in enumerate(self.numbers):
            for column, seed in enumerate(seeds):
                curves = {g: _curve(folder / f"{number}-{seed}-{g}.npz", "dev", g, metric) for g in groups}
                on_eval = _curve(folder / f"{number}-{seed}-{ALL}.npz", "eval", ALL, "eer")
                for name, left_out in objectives.items():
                    judged = [curves[group] for group in left_out]
                    n_epochs = min(map(len, judged))
                    mean = np.mean([curve[:n_epochs] for curve in judged], axis=0)
                    self.values[name][row, column] = mean.min()
                    self.worth[name][row, column] = on_eval[mean.argmin()]


def _curve(path: Path, partition: str, group: str, metric: str) -> Scores:
    """A metric after each evaluated epoch, over the attacks that were left out; over all attacks if none were."""
    kept = Curve.read(path, partition)
    spoofed = kept.labels == 0 if group == ALL else np.isin(kept.attacks, group.split("+"))
    curve = []
    for scores in kept.scores:
        bona_fide, spoof = scores[kept.labels == 1], scores[spoofed]
        by_attack = [*metrics.eer_per_attack(bona_fide, spoof, kept.attacks[spoofed]).values()]
        all_metrics = {
            "eer": metrics.eer(bona_fide, spoof)[0],
            "attack_eer": float(np.mean(by_attack)),
            "worst_attack_eer": max(by_attack),
            "auc": 1 - metrics.auc(bona_fide, spoof),
            "loss": float((np.logaddexp(0, -bona_fide).mean() + np.logaddexp(0, spoof).mean()) / 2),
        }
        curve.append(all_metrics[metric])
    return np.array(curve)


def report(options: argparse.Namespace) -> None:
    """Prints rank correlation and regret of each objective, as a Markdown table."""
    folds = options.folds.split(",")
    objectives = {"dev": [ALL]}
    objectives |= {f"held_out_attacks: [{group.replace('+', ', ')}]": [group] for group in folds}
    objectives[f"attack_folds: {len(folds)}"] = folds
    draw = np.random.default_rng(0)
    for metric in options.metrics:
        study = Study(options.folder, objectives, metric)
        n = len(study.numbers)
        print(f"\n{metric}: {n} configurations, {study.n_seeds} seeds; EER on eval's unseen attacks")
        heads = ("objective", "Spearman (95 %)", "with one seed", "picks, EER %", "regret, points (95 %)")
        print(f"| {' | '.join(heads)} |")
        print("|---|---|---|---|---|")
        resampled = [(draw.integers(n, size=n), draw.integers(study.n_seeds, size=study.n_seeds)) for _ in range(2000)]
        best = {name: worth.mean(1).min() for name, worth in study.worth.items()}
        lowest = min(best.values())
        for name in objectives:
            values, worth = study.values[name], study.worth[name]
            rho = _rank_correlation(values.mean(1), worth.mean(1))
            drawn = [(values[np.ix_(c, s)], worth[np.ix_(c, s)]) for c, s in resampled]
            many = [_rank_correlation(v.mean(1), w.mean(1)) for v, w in drawn]
            single = np.mean([_rank_correlation(values[:, s], worth.mean(1)) for s in range(study.n_seeds)])
            picks = 100 * worth.mean(1)[values.argmin(0)]  # a search with each seed, scored by the mean over all
            regrets = [_regret(v, w) for v, w in drawn]
            cells = (
                name,
                f"{rho:+.2f} ({_ends(many)})",
                f"{single:+.2f}",
                f"{picks.mean():.1f} ({', '.join(f'{pick:.1f}' for pick in picks)})",
                f"{picks.mean() - 100 * lowest:.1f} ({_ends(100 * np.array(regrets), '.1f')})",
            )
            print(f"| {' | '.join(cells)} |")
        random_pick = 100 * study.worth["dev"].mean()
        print(f"a random configuration: {random_pick:.1f} %; the best configuration: {100 * lowest:.1f} %")


def _rank_correlation(one: Scores, other: Scores) -> float:
    constant = np.ptp(one) == 0 or np.ptp(other) == 0
    return np.nan if constant else float(spearmanr(one, other).statistic)


def _regret(values: Scores, worth: Scores) -> float:
    means = worth.mean(1)
    return float(np.mean(means[values.argmin(0)]) - means.min())


def _ends(sample: Any, form: str = "+.2f") -> str:
    low, high = np.nanpercentile(sample, [2.5, 97.5])
    return f"{low:{form}} to {high:{form}}"


def main() -> None:
    """Runs the command `train` or `report`."""
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
    groups = ["A01+A04", "A02+A05", "A03+A06"]
    train_parser.add_argument("--left-out", nargs="*", default=groups, help="groups of attacks, joined by +")
    report_parser = commands.add_parser("report")
    report_parser.set_defaults(command=report)
    report_parser.add_argument("folder", type=Path)
    report_parser.add_argument("--folds", default="A01+A04,A02+A05,A03+A06", help="groups that were left out")
    metric_names = ["eer", "attack_eer", "worst_attack_eer", "auc", "loss"]
    report_parser.add_argument("--metrics", nargs="*", default=metric_names)
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
