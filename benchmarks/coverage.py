"""How often 95 % intervals of an EER hold the true EER of all speakers, by simulation.

    python benchmarks/coverage.py                      # a few minutes on two cores
    python benchmarks/coverage.py --repeats 2000 --rates 0.01 --counts 80/100

Scores are normal with a deviation of 1 within a speaker. A speaker's bona fide scores are shifted by a normal deviation
of 0.8, the spoofed ones by one of 0.3. The ratio of the deviations between and within speakers is 0.79 (bona fide) and
0.11 (spoofed) for the scores of the LFCC-GMM baseline on ASVspoof 2019 LA's eval. The classes are apart so that the EER
over infinitely many speakers is the stated one.
"""

import argparse
import itertools
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from core.evaluation.intervals import eer_interval

BETWEEN = {1: 0.8, 0: 0.3}
N_RESAMPLES = 200

Cell = tuple[int, int, float, int, int, int]


def draw_scores(
    n_bona_fide: int, n_spoof: int, true: float, n_speakers: int, draw: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Scores, labels and speakers of a corpus whose speakers have equally many utterances."""
    labels = np.repeat([1, 0], [n_bona_fide, n_spoof])
    speakers = np.r_[np.arange(n_bona_fide), np.arange(n_spoof)] % n_speakers
    scores = draw.normal(size=len(labels))
    for label, between in BETWEEN.items():
        shift = -ndtri(true) * np.hypot(1, between) * (1 if label else -1)
        deviations = shift + between * draw.normal(size=n_speakers)
        scores += np.where(labels == label, deviations[speakers], 0)
    return scores, labels, speakers


def percentile_bootstrap(
    scores: NDArray[np.float64], labels: NDArray[np.int64], speakers: NDArray[np.int64], draw: np.random.Generator
) -> tuple[float, float]:
    """The interval of earlier versions: whole speakers are drawn with replacement, the middle 95 % of the EERs kept."""
    n_speakers = int(speakers.max()) + 1
    thresholds = np.append(np.sort(scores), np.inf)
    below = {label: np.zeros((n_speakers, len(thresholds))) for label in (0, 1)}
    for label, speaker in itertools.product((0, 1), range(n_speakers)):
        chosen = np.sort(scores[(labels == label) & (speakers == speaker)])
        below[label][speaker] = np.searchsorted(chosen, thresholds)
    rates: list[float] = []
    while len(rates) < N_RESAMPLES:
        counts = np.bincount(draw.integers(n_speakers, size=n_speakers), minlength=n_speakers)
        spoof, bona_fide = counts @ below[0], counts @ below[1]
        if spoof[-1] and bona_fide[-1]:
            miss, alarm = bona_fide / bona_fide[-1], 1 - spoof / spoof[-1]
            closest = np.argmin(np.abs(miss - alarm))
            rates.append((miss[closest] + alarm[closest]) / 2)
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), float(high)


def measure(cell: Cell) -> tuple[float, float, float, float]:
    """Coverage of the old and the new interval, and their median widths; all in per cent."""
    n_bona_fide, n_spoof, true, n_speakers, repeats, seed = cell
    covered, widths = np.zeros(2), np.zeros((repeats, 2))
    for repeat in range(repeats):
        draw = np.random.default_rng([seed, n_bona_fide, round(1e4 * true), n_speakers, repeat])
        scores, labels, speakers = draw_scores(n_bona_fide, n_spoof, true, n_speakers, draw)
        try:
            interval = eer_interval(scores, labels, speakers)
            new = interval.low, interval.high
        except ValueError:  # too few speakers: no interval
            new = np.nan, np.nan
        for column, (low, high) in enumerate((percentile_bootstrap(scores, labels, speakers, draw), new)):
            covered[column] += low <= true <= high
            widths[repeat, column] = high - low
    old, new_rate = 100 * covered / repeats
    median = np.median(widths, axis=0)
    return float(old), float(new_rate), float(100 * median[0]), float(100 * median[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--speakers", default="2,3,4,6,10,20,48")
    parser.add_argument("--rates", default="0.005,0.02,0.1,0.3", help="True EERs, as fractions.")
    parser.add_argument("--counts", default="80/100,600/1000", help="Bona fide/spoofed utterances.")
    options = parser.parse_args()
    rates = [float(rate) for rate in options.rates.split(",")]
    counts = [tuple(map(int, pair.split("/"))) for pair in options.counts.split(",")]
    numbers = [int(number) for number in options.speakers.split(",")]
    cells = list(itertools.product(numbers, counts, rates))
    work = [(*pair, rate, n_speakers, options.repeats, options.seed) for n_speakers, pair, rate in cells]
    with ProcessPoolExecutor(options.processes) as pool:
        results = dict(zip(cells, pool.map(measure, work), strict=True))
    print("coverage of the old and the new 95 % interval, %; in brackets the median width of the new one, points;")
    print(f"{options.repeats} repeats, seed {options.seed}\n")
    heads = [f"{pair[0]}/{pair[1]}, EER {100 * rate:g} %" for pair, rate in itertools.product(counts, rates)]
    print("| speakers | " + " | ".join(heads) + " |")
    print("|---" * (len(heads) + 1) + "|")
    for n_speakers in numbers:
        row = [results[n_speakers, pair, rate] for pair, rate in itertools.product(counts, rates)]
        texts = [
            f"{old:.0f}, none" if np.isnan(width) else f"{old:.0f}, {new:.0f} ({width:.0f})"
            for old, new, _, width in row
        ]
        print(f"| {n_speakers} | " + " | ".join(texts) + " |")


if __name__ == "__main__":
    main()
