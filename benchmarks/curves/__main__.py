"""A tabular benchmark of real trainings, and searches replayed on it.

    python -m benchmarks.curves train --set corpus.path=/data/LA --output study
    python -m benchmarks.curves collect study
    python -m benchmarks.curves replay --repetitions 1000
    python -m benchmarks.curves digits
    python -m benchmarks.curves replay --table benchmarks/curves/digits
    python -m benchmarks.curves agree RUN --storage storage
    python -m benchmarks.curves objectives
    python -m benchmarks.curves modes

`train` trains every configuration of `space.yaml` with every seed; it goes on where it stopped. `collect` writes the
table beside this file. `replay` runs searches on the table with the searcher and the scheduler of the product, and a
clock instead of Ray. Its table has the regret of what a search would export, after 5 to 60 full trainings. `digits`
makes a second table, from data that a package ships: see `digits.py`. `agree` replays a run whose trials ran one after
another, and says whether the replay makes the same decisions. `objectives` shows how well the metrics on dev rank the
configurations for eval, `modes` how the Siamese mode compares with the original one.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from search.space.space import Space

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

SPACE = HERE / "space.yaml"
DIGITS = HERE / "digits"
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
    """Regret on dev and eval of one method with some seeds, after every half of a full training."""
    from benchmarks.curves.methods import METHODS
    from benchmarks.curves.simulation import Simulator, regrets
    from benchmarks.curves.table import read

    simulator = Simulator(space_of(folder), read(folder), objective)
    budgets = half_trainings(int(simulator.table.epochs[-1]))
    found = (simulator.search(METHODS[method], budget=int(budgets[-1]), seed=seed, workers=workers) for seed in seeds)
    regret = regrets(simulator, found, budgets)
    return regret.dev, regret.eval


def space_of(folder: Path) -> "Space":
    """The space of the table in a folder."""
    from benchmarks.curves import digits
    from search.space.reader import read_space

    return digits.SPACE if folder.resolve() == DIGITS else read_space(SPACE)


def make_digits(options: argparse.Namespace) -> None:
    """Makes the second table."""
    from benchmarks.curves.digits import make

    make(DIGITS, seeds=options.seeds, processes=options.processes)


def agree(options: argparse.Namespace) -> int:
    """Replays a run from its own reports; prints the first decision that differs."""
    from benchmarks.curves.methods import Method
    from benchmarks.curves.simulation import Simulator
    from benchmarks.curves.table import of_run
    from search.runs.run import Run
    from search.runs.storage import Storage
    from search.space.reader import read_space

    run = Run.open(Storage(options.storage), options.run)
    space, records = read_space(run.path / "space.yaml"), run.journal.trials()
    simulator = Simulator(space, of_run(records, run.journal.epochs()), "dev_eer")
    budget = sum(record.epoch for record in records)
    method = Method(space.search.sampler, space.search.scheduler)
    try:
        trace = simulator.search(method, budget=budget, seed=space.search.seed)
    except KeyError as unknown:
        print(f"the replay suggests a configuration that the run does not have: {unknown}")
        return 1
    decided = [(record.number, record.epoch) for record in records]
    different = [pair for pair in zip(decided, trace.trials, strict=False) if pair[0] != pair[1]]
    if different or len(decided) != len(trace.trials):
        print(f"the run has trials and last epochs {decided}, the replay {trace.trials}")
        return 1
    stopped = sum(record.status == "stopped" for record in records)
    print(f"the same {len(records)} configurations in the same order, and the same {stopped} stops")
    return 0


def objectives(options: argparse.Namespace) -> None:
    """Prints how well the objectives rank configurations for eval."""
    from benchmarks.curves.rankings import print_rankings
    from benchmarks.curves.table import read

    print_rankings(read(options.table))


def modes(options: argparse.Namespace) -> None:
    """Prints how the Siamese mode compares with the original one."""
    from benchmarks.curves.modes import print_modes
    from benchmarks.curves.table import read

    print_modes(read(options.table))


def half_trainings(epochs: int) -> NDArray[np.int64]:
    """Budgets in epochs: every half of a training, up to the largest of TRAININGS."""
    return np.round(np.arange(1, 2 * TRAININGS[-1] + 1) * epochs / 2).astype(np.int64)


def replay(options: argparse.Namespace) -> None:
    """Prints the regret of every method after every budget, with 95 % intervals of the mean, and how much it saves."""
    from benchmarks.curves.methods import METHODS
    from benchmarks.curves.results import print_savings, print_table, save_plot

    size = 10
    # Small parts, so that the processes end together.
    parts = [range(start, min(start + size, options.repetitions)) for start in range(0, options.repetitions, size)]
    with ProcessPoolExecutor(options.processes) as pool:
        waiting = {
            (name, workers): [
                pool.submit(repeated, name, workers, part, options.table, options.objective) for part in parts
            ]
            for workers in options.workers
            for name in options.methods or METHODS
        }
        regret = {}
        for case, futures in waiting.items():
            results = [future.result() for future in futures]
            regret[case] = [np.concatenate([result[partition] for result in results]) for partition in (0, 1)]
    print_table(regret, TRAININGS)
    print_savings(regret, (20, 60))
    if options.plot:
        save_plot(regret, options.plot)


def main() -> int:
    """Runs one of the commands."""
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
    digits_parser = commands.add_parser("digits")
    digits_parser.set_defaults(command=make_digits)
    digits_parser.add_argument("--seeds", type=int, default=2)
    digits_parser.add_argument("--processes", type=int, default=2)
    replay_parser = commands.add_parser("replay")
    replay_parser.set_defaults(command=replay)
    replay_parser.add_argument("--table", type=Path, default=HERE)
    replay_parser.add_argument("--objective", default="dev_eer")
    replay_parser.add_argument("--methods", nargs="*", help="all by default")
    replay_parser.add_argument("--repetitions", type=int, default=200)
    replay_parser.add_argument("--workers", type=int, nargs="*", default=[1, 8], help="trials at a time")
    replay_parser.add_argument("--plot", type=Path, help="file of the plot, such as replay.svg")
    replay_parser.add_argument("--processes", type=int, default=2)
    agree_parser = commands.add_parser("agree")
    agree_parser.set_defaults(command=agree)
    agree_parser.add_argument("run")
    agree_parser.add_argument("--storage", default="storage")
    objectives_parser = commands.add_parser("objectives")
    objectives_parser.set_defaults(command=objectives)
    objectives_parser.add_argument("--table", type=Path, default=HERE)
    modes_parser = commands.add_parser("modes")
    modes_parser.set_defaults(command=modes)
    modes_parser.add_argument("--table", type=Path, default=HERE)
    options = parser.parse_args()
    return int(options.command(options) or 0)


if __name__ == "__main__":
    sys.exit(main())
