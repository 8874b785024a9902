"""Clips per processor-second of `spooftune score`, of this checkout and of another one, in one run.

    python benchmarks/scoring.py BUNDLE CLIPS [--other CHECKOUT] [--clips 1000] [--rounds 3]

CLIPS is a folder of recordings; copies of them, which are links, make up the number. The two checkouts take turns, on
one processor and with one thread of the linear algebra. Runs with one clip measure the start, whose median is
subtracted. All clips are scored as the search scored utterances, also those that are longer.
"""

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent.parent
RUN = "import sys; from search.cli.main import main; sys.exit(main(sys.argv[1:]))"


WHOLE = ["--longer-than", "1000"]
"""Options of this checkout, since the other one may not know segments."""


def processor_seconds(checkout: Path, bundle: Path, paths: list[str], output: Path) -> float:
    """Processor seconds of scoring recordings with a checkout, its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", RUN, "score", str(bundle), *paths, "--output", str(output)]
    command += WHOLE if checkout == HERE else []
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def scores(output: Path) -> dict[str, float]:
    """Scores of an output file, by recording."""
    rows = (line.split("\t") for line in output.read_text(encoding="utf-8").splitlines())
    return {row[0]: float(row[1]) for row in rows}


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("recordings", type=Path, metavar="CLIPS")
    parser.add_argument("--other", type=Path, help="another checkout, for the ratio")
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sources = sorted(path for path in options.recordings.resolve().iterdir() if path.suffix in (".flac", ".wav"))
    checkouts = {"here": HERE, **({"other": options.other.resolve()} if options.other else {})}
    starts: dict[str, list[float]] = {name: [] for name in checkouts}
    totals: dict[str, list[float]] = {name: [] for name in checkouts}
    outputs: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, source in zip(range(options.clips), itertools.cycle(sources), strict=False):
            paths.append(str(Path(folder) / f"{number:06d}{source.suffix}"))
            Path(paths[-1]).symlink_to(source)
        for round_number in range(options.rounds):
            for name, checkout in checkouts.items():
                files = [Path(folder) / f"{name}-{round_number}-{part}.tsv" for part in ("start", "all")]
                starts[name].append(processor_seconds(checkout, options.bundle.resolve(), paths[:1], files[0]))
                totals[name].append(processor_seconds(checkout, options.bundle.resolve(), paths, files[1]))
                outputs[name] = scores(files[1])
                print(f"{name}: {totals[name][-1]:.1f} s, start {starts[name][-1]:.1f} s", flush=True)
    medians = {name: statistics.median(values) for name, values in starts.items()}
    rates = {name: [(len(paths) - 1) / (total - medians[name]) for total in totals[name]] for name in checkouts}
    for name, values in rates.items():
        whole = len(paths) / statistics.median(totals[name])
        after = statistics.median(values)
        print(f"{name}: {after:.1f} clips per processor-second after the start, {whole:.1f} with it (medians)")
    if options.other:
        for words, of in (
            ("after the start", rates),
            ("with it", {name: [1 / x for x in totals[name]] for name in totals}),
        ):
            ratios = [ours / others for ours, others in zip(of["here"], of["other"], strict=True)]
            print(f"ratio in every round, {words}: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
        ours, others = (np.array([outputs[name][path] for path in paths]) for name in ("here", "other"))
        difference = float(np.abs(ours - others).max())
        print(f"scores: {np.mean(ours == others):.1%} equal in six decimals, largest difference {difference:.2g}")


if __name__ == "__main__":
    main()
