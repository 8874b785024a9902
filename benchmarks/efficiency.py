"""Best objective for a budget of epochs: TPE with ASHA against random search without early stopping.

    .venv/bin/python benchmarks/efficiency.py run benchmarks/objectives.yaml --set corpus.path=/data/LA --output study
    .venv/bin/python benchmarks/efficiency.py report study

`run` launches searches of a space, one trial at a time, with several seeds of each kind. A search stops when it has
spent its budget of epochs. Existing searches are kept. `report` takes the detector that a search would have exported
after a fraction of its budget, and scores it on eval. The searches themselves do not use eval.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from search.prepare.plan import make_plan  # noqa: E402
from search.prepare.stores import store_opener  # noqa: E402
from search.report.scoring import score_trials  # noqa: E402
from search.runs.run import Run  # noqa: E402
from search.runs.storage import Storage  # noqa: E402
from search.space.configurations import baseline  # noqa: E402
from search.space.reader import read_space  # noqa: E402

KINDS: dict[str, dict[str, Any]] = {
    "tpe + asha": {
        "sampler": {"name": "tpe", "n_startup_trials": 5},
        "scheduler": {"name": "asha", "grace_epochs": 2, "reduction_factor": 2},
    },
    "random": {"sampler": "random", "scheduler": "none"},
}
SHARES = (0.25, 0.5, 0.75, 1.0)


def run(options: argparse.Namespace) -> None:
    """Launches the missing searches."""
    options.output.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.at_once) as pool:
        searches = [pool.submit(search, options, kind, seed) for seed in range(options.repetitions) for kind in KINDS]
        for done in as_completed(searches):
            print(*done.result(), "epochs", flush=True)


def search(options: argparse.Namespace, kind: str, seed: int) -> tuple[str, int]:
    """Launches a search if it is missing, and stops it at its budget; returns its name and its epochs."""
    name = f"{options.prefix}-{kind.replace(' + ', '-')}-{seed}"
    space = read_space(Path(options.space), options.set)
    plain = dict(space.plain)
    # Early stopping leaves epochs for more trials: the number of trials assumes the minimum of epochs for each.
    epochs = space.experiment(baseline(space)).epochs
    minimum = 2 if kind != "random" else epochs
    plain["search"] = {
        **plain["search"],
        **KINDS[kind],
        "seed": seed,
        "trials": options.budget // minimum,
        "concurrency": 1,
        "baseline": False,
        "confirm": "none",
    }
    path = options.output / f"{name}.yaml"
    path.write_text(yaml.safe_dump(plain, sort_keys=False))
    searched = Run(Storage(options.storage).folder / "runs" / name)
    if not (searched.path / "run.json").exists():
        command = [sys.executable, "-m", "search.cli.main", "launch", str(path), "--name", name]
        process = subprocess.Popen([*command, "--storage", options.storage], cwd=ROOT)
        while process.poll() is None:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                if len(searched.journal.epochs()) >= options.budget:
                    process.terminate()
                    process.wait()
    return name, len(searched.journal.epochs())


def report(options: argparse.Namespace) -> None:
    """Prints the best objective and its EER on eval at fractions of the budget, as means over the repetitions."""
    storage, console = Storage(options.storage), Console(stderr=True)
    results: dict[str, list[list[tuple[float, float]]]] = {kind: [] for kind in KINDS}
    for path in sorted(options.output.glob(f"{options.prefix}-*.yaml")):
        kind = next(kind for kind in KINDS if path.stem.startswith(f"{options.prefix}-{kind.replace(' + ', '-')}-"))
        searched = Run(storage.folder / "runs" / path.stem)
        epochs = searched.journal.epochs()[: options.budget]
        plan = make_plan(read_space(path), storage)
        records = {record.number: record for record in searched.journal.trials()}
        curve = []
        for share in SHARES:
            spent = epochs[: int(share * options.budget)]
            value, number = min((objective, number) for number, _, objective in spent)
            (result,) = score_trials(
                searched,
                [records[number]],
                corpus=plan.corpus,
                store_of=store_opener(plan, console=console),
                partitions=["eval"],
                asv={},
                console=console,
            )
            curve.append((value, result.measured["eval"]["eer"]))
        results[kind].append(curve)
        print(path.stem, len(records), "trials", json.dumps(curve), file=sys.stderr)
    print(f"mean over repetitions (standard error), budget {options.budget} epochs: objective %, EER on eval %")
    print("| search | " + " | ".join(f"{int(share * options.budget)} epochs" for share in SHARES) + " |")
    print("|---|" + "---|" * len(SHARES))
    for kind, repetitions in results.items():
        table = 100 * np.array(repetitions)  # (repetitions, shares, 2)
        error = table.std(0, ddof=1) / len(table) ** 0.5
        cells = [f"{m[0]:.1f} ({e[0]:.1f}), {m[1]:.1f} ({e[1]:.1f})" for m, e in zip(table.mean(0), error, strict=True)]
        print(f"| {kind}, {len(table)} times | {' | '.join(cells)} |")


def main() -> None:
    """Runs the command `run` or `report`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)
    for command, function in (("run", run), ("report", report)):
        added = commands.add_parser(command)
        added.set_defaults(command=function)
        if command == "run":
            added.add_argument("space")
            added.add_argument("--set", action="append", default=[])
            added.add_argument("--repetitions", type=int, default=5)
            added.add_argument("--at-once", type=int, default=1, help="number of searches that run at once")
        added.add_argument("--storage", default="storage")
        added.add_argument("--prefix", default="efficiency")
        added.add_argument("--budget", type=int, default=96, help="epochs per search")
        added.add_argument("output", type=Path) if command == "report" else added.add_argument(
            "--output", type=Path, required=True
        )
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
