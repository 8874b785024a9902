"""Memory of several processes that read one feature store: does the store take its size once, or once per process?

Every process opens the store and reads all of it, as a trial does in an epoch. PSS counts a page that n processes share
as 1/n in each process, so the sum over the processes is the memory that the store takes.

    python benchmarks/shared_memory.py storage/stores/lfcc-0123456789abcdef --processes 2
"""

import argparse
import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from core.stores.store import FeatureStore


def mapped(folder: Path) -> dict[str, int]:
    """Size in KiB of this process's mappings of files below a folder, by the names of /proc/self/smaps."""
    sums: dict[str, int] = {"Rss": 0, "Pss": 0, "Private_Dirty": 0}
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            inside = len(words) > 5 and words[5].startswith(f"{folder}/")
        elif inside and words[0].rstrip(":") in sums:
            sums[words[0].rstrip(":")] += int(words[1])
    return sums


def read(folder: Path, barrier: Barrier, results: "multiprocessing.Queue[dict[str, int]]") -> None:
    """Opens and reads a store, waits until all processes have done so, and reports the memory of this process."""
    store = FeatureStore.open(folder)
    total = sum(float(np.sum(store.frames(index), dtype=np.float64)) for index in range(len(store)))
    assert np.isfinite(total)
    barrier.wait()
    results.put(mapped(folder))
    barrier.wait()  # a process that ends no longer shares its pages


def main() -> None:
    """Prints a table with one row per process, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="folder of a complete feature store")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    folder = options.store.resolve()
    size = sum(path.stat().st_size for path in folder.glob("*.arrow"))
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(options.processes), context.Queue()
    processes = [context.Process(target=read, args=(folder, barrier, results)) for _ in range(options.processes)]
    for process in processes:
        process.start()
    rows = [results.get() for _ in processes]
    for process in processes:
        process.join()
    print(f"{folder.name}: {size / 1e6:.1f} MB of shards, read by {options.processes} processes at once")
    print("process   RSS MB   PSS MB   private dirty MB")
    for number, row in enumerate(rows):
        print(f"{number:7d} {row['Rss'] / 1e3:8.1f} {row['Pss'] / 1e3:8.1f} {row['Private_Dirty'] / 1e3:18.1f}")
    total = {name: sum(row[name] for row in rows) * 1024 for name in rows[0]}
    print(f"    sum {total['Rss'] / 1e6:8.1f} {total['Pss'] / 1e6:8.1f} {total['Private_Dirty'] / 1e6:18.1f}")
    print(f"PSS summed / size of the store: {total['Pss'] / size:.2f} (1 = the store is in memory once)")


if __name__ == "__main__":
    main()
