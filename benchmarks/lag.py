"""What a lag costs: idle workers and further epochs, by simulation.

    python benchmarks/lag.py                       # a minute on one core

Trials have made-up learning curves: a normal final value, and a hyperbola in the epoch whose height varies. The
duration of an epoch is log-normal with a deviation of `--spread` between trials. The scheduler is the one of a real
search. "asynchronous" is ASHA as Ray runs it, which decides with all that is known at the time. The idle share counts
all workers from the first start to the last end.
"""

import argparse
import heapq
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from core import table
from core.table import Block
from search.methods.schedulers import SCHEDULERS
from search.tuning.lagged import LaggedScheduler

TRIALS, EPOCHS = 100, 27


def simulate(seed: int, *, workers: int, lag: int | None, scheduler: str, spread: float) -> tuple[float, float, float]:
    """Makespan in mean epochs, idle share of the workers, and epochs trained, of one search."""
    draw = np.random.default_rng(seed)
    finals, heights = draw.normal(0, 1, TRIALS), draw.uniform(2, 6, TRIALS)
    durations = np.exp(draw.normal(0, spread, TRIALS))
    block = Block(scheduler, {} if scheduler == "none" else {"grace_epochs": 3})
    scheduler_of = partial(table.build, "scheduler", SCHEDULERS, block, "objective", EPOCHS)
    decider: Any = LaggedScheduler(lag, scheduler_of) if lag else scheduler_of()
    now, busy, epochs, started = 0.0, 0.0, 0, 0
    running: dict[int, Any] = {}
    events: list[tuple[float, int]] = []
    while started < TRIALS or running:
        # A trial starts once all trials up to its number less the lag have ended.
        while started < TRIALS and len(running) < workers and not (lag and running and min(running) <= started - lag):
            running[started] = SimpleNamespace(trial_id=str(started), config={"number": started}, epoch=0)
            decider.on_trial_add(None, running[started])
            heapq.heappush(events, (now + durations[started], started))
            started += 1
        now, number = heapq.heappop(events)
        trial = running[number]
        trial.epoch, busy, epochs = trial.epoch + 1, busy + durations[number], epochs + 1
        value = finals[number] + heights[number] / trial.epoch
        result = {"epoch": trial.epoch, "objective": value}
        if decider.on_trial_result(None, trial, result) == "STOP" or trial.epoch == EPOCHS:
            decider.on_trial_complete(None, running.pop(number), result)
        else:
            heapq.heappush(events, (now + durations[number], number))
    return now, 1 - busy / (workers * now), epochs


def main() -> None:
    """Prints one row per number of workers and lag: means over searches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--spread", type=float, default=0.3)
    options = parser.parse_args()
    print(f"{TRIALS} trials of up to {EPOCHS} epochs, means of {options.repeats} searches")
    print(f"{'scheduler':10}{'workers':>9}{'lag':>14}{'idle %':>9}{'epochs':>9}{'duration':>10}")
    for scheduler in ("asha", "none"):
        for workers in options.workers:
            for lag in (None, workers, 2 * workers, 4 * workers):
                how: dict[str, Any] = {"workers": workers, "lag": lag, "scheduler": scheduler}
                runs = [simulate(seed, **how, spread=options.spread) for seed in range(options.repeats)]
                duration, idle, epochs = np.mean(runs, axis=0)
                shown = "asynchronous" if lag is None else str(lag)
                print(f"{scheduler:10}{workers:>9}{shown:>14}{100 * idle:9.1f}{epochs:9.0f}{duration:10.1f}")


if __name__ == "__main__":
    main()
