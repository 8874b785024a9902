"""A tabular benchmark of real trainings, and searches replayed on it.

    python -m benchmarks.curves train --set corpus.path=/data/LA --output study
    python -m benchmarks.curves collect study
    python -m benchmarks.curves replay --repetitions 1000

`train` trains every configuration of `space.yaml` with every seed; it goes on where it stopped. `collect` writes the
table beside this file. `replay` runs searches on the table with the searcher and the scheduler of the product, and a
clock instead of Ray. Its table has the regret of what a search would export, after 5 to 60 full trainings.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

SPACE = HERE / "space.yaml"
TRAININGS = (5, 10, 20, 40, 60)
"""Budgets, in full trainings."""


def train(options: argparse.Namespace) -> None:
    """Extracts the features that are missing, then runs the missing trainings."""
    from rich.console import Console

    from benchmarks.trainings import Job, run
    from core.config import experiment_to_plain
    from search.prepare.plan import make_plan
    from search.prepare.stores import store_opener
    from search.runs.storage import Storage
    from search.space.configurations import all_configurations, store_experiments
    from search.space.reader import read_space
    from search.space.space import store_name

    space = read_space(SPACE, options.set)
    options.output.mkdir(parents=True, exist_ok=True)
    plan = make_plan(space, Storage(str(options.output)))
    store_of = store_opener(plan, console=Console())
    stores = {
        store_name(experiment): {name: str(store_of(experiment, name).path) for name in ("train", "dev", "eval")}
        for experiment in store_experiments(space)
    }
    jobs = []
    for seed in range(options.seeds):
        for number, values in enumerate(all_configurations(space)):
            experiment = space.experiment(values)
            described = experiment_to_plain(experiment) | {"seed": seed}
            jobs.append(Job(options.output / f"{number:04d}.{seed}.npz", described, stores[store_name(experiment)]))
    # In a random order, so that an unfinished study is a sample of the configurations.
    order = np.random.default_rng(0).permutation(len(jobs) // options.seeds)
    n = len(order)
    run([jobs[seed * n + number] for seed in range(options.seeds) for number in order], workers=options.workers)


def collect(options: argparse.Namespace) -> None:
    """Writes the table of a study."""
    from benchmarks.curves.table import collect as write
    from search.space.configurations import all_configurations
    from search.space.reader import read_space

    configurations = list(all_configurations(read_space(SPACE)))
    write(options.folder, configurations, options.seeds, options.output)


def repeated(
    method: str, workers: int, seeds: range, folder: Path, objective: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Regret on dev and eval of one method with some seeds."""
    from benchmarks.curves.simulation import METHODS, Simulator, regrets
    from benchmarks.curves.table import read
    from search.space.reader import read_space

    simulator = Simulator(read_space(SPACE), read(folder), objective)
    longest = int(simulator.table.epochs[-1])
    budgets = np.array(TRAININGS) * longest
    found = (simulator.search(METHODS[method], budget=int(budgets[-1]), seed=seed, workers=workers) for seed in seeds)
    regret = regrets(simulator, found, budgets)
    return regret.dev, regret.eval


def replay(options: argparse.Namespace) -> None:
    """Prints the regret of every method after every budget, with 95 % intervals of the mean."""
    from benchmarks.curves.simulation import METHODS

    parts = np.array_split(np.arange(options.repetitions), max(1, options.repetitions // 25))
    names = options.methods or list(METHODS)
    with ProcessPoolExecutor(options.processes) as pool:
        waiting = {
            (name, workers): [
                pool.submit(repeated, name, workers, range(int(p[0]), int(p[-1]) + 1), options.table, options.objective)
                for p in parts
            ]
            for workers in options.workers
            for name in names
        }
        for partition in (0, 1):
            print(f"\nregret on {('dev', 'eval')[partition]}, points; {options.repetitions} repetitions\n")
            print(f"| method | at a time | {' | '.join(f'{n} trainings' for n in TRAININGS)} |")
            print(f"|---|---|{'---|' * len(TRAININGS)}")
            for (name, workers), futures in waiting.items():
                values = np.concatenate([future.result()[partition] for future in futures])
                means, widths = values.mean(axis=0), 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
                cells = [f"{mean:.2f} ± {width:.2f}" for mean, width in zip(means, widths, strict=True)]
                print(f"| {name} | {workers} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Runs the command `train`, `collect` or `replay`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)
    train_parser = commands.add_parser("train")
    train_parser.set_defaults(command=train)
    train_parser.add_argument("--set", action="append", default=[])
    train_parser.add_argument("--output", type=Path, required=True)
    train_parser.add_argument("--seeds", type=int, default=2)
    train_parser.add_argument("--workers", type=int, default=2)
    collect_parser = commands.add_parser("collect")
    collect_parser.set_defaults(command=collect)
    collect_parser.add_argument("folder", type=Path)
    collect_parser.add_argument("--seeds", type=int, default=2)
    collect_parser.add_argument("--output", type=Path, default=HERE)
    replay_parser = commands.add_parser("replay")
    replay_parser.set_defaults(command=replay)
    replay_parser.add_argument("--table", type=Path, default=HERE)
    replay_parser.add_argument("--objective", default="dev_eer")
    replay_parser.add_argument("--methods", nargs="*", help="all by default")
    replay_parser.add_argument("--repetitions", type=int, default=1000)
    replay_parser.add_argument("--workers", type=int, nargs="*", default=[1, 8], help="trials at a time")
    replay_parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
