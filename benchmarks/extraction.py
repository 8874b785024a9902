"""Our feature store against the way of the peers: one utterance at a time, one torch.save each, read back every epoch.

    python benchmarks/extraction.py                                    # on noise that it makes itself
    python benchmarks/extraction.py --corpus /data/LA --partition dev  # on a corpus in the ASVspoof 2019 LA layout

Both ways share one process and take turns, the one first and then the other. The first repetition is warm-up and left
out: whoever calls a front end first pays for what libraries set up once. Files are read from the page cache.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
import torch

from core import audio, table
from core.audio import SAMPLE_RATE, AudioOptions
from core.corpora.corpus import Utterance
from core.corpora.layouts import CORPORA
from core.features import FRONT_ENDS
from core.stores.extraction import extract, store_path
from core.stores.store import FeatureStore
from core.table import Block


def noise(folder: Path, n_utterances: int) -> list[Utterance]:
    """Utterances of 2 to 5 s of noise as FLAC, half of them labelled bona fide."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    found = []
    for number in range(n_utterances):
        path = folder / f"{number:05d}.flac"
        soundfile.write(path, 0.1 * rng.normal(size=int(SAMPLE_RATE * rng.uniform(2, 5))), SAMPLE_RATE)
        found.append(Utterance(path.stem, path, number % 2, "-", "-", "train"))
    return found


def one_by_one(utterances: list[Utterance], front_end: Any, folder: Path) -> None:
    """The peers' way: decode, compute, save, next; float32, one file an utterance."""
    folder.mkdir()
    with torch.inference_mode():
        for each in utterances:
            waveform = torch.from_numpy(audio.load(each.path, AudioOptions()))[None]
            torch.save(front_end(waveform)[0].clone(), folder / f"{each.utterance_id}.pt")


def read_files(utterances: list[Utterance], folder: Path, order: Any, n_frames: int) -> int:
    """One epoch of minibatches of 64 from one file an utterance."""
    n_values = 0
    for indices in order:
        windows = []
        for index in indices:
            features = torch.load(folder / f"{utterances[index].utterance_id}.pt", weights_only=True)
            windows.append(features[:, np.arange(n_frames) % features.shape[1]])
        n_values += torch.stack(windows).float().numel()
    return n_values


def read_store(path: Path, order: Any, n_frames: int) -> int:
    """One epoch of minibatches of 64 from the store, which is opened anew as a trial does."""
    store = FeatureStore.open(path)
    return sum(store.windows(indices, n_frames).float().numel() for indices in order)


def seconds(work: Callable[[], Any]) -> float:
    """Wall seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Prints a table and, of the repetitions' ratios, the median and the range."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--partition", default="train")
    parser.add_argument("--utterances", type=int, default=400, help="clips of noise, without --corpus")
    parser.add_argument("--front-end", default="lfcc", choices=list(FRONT_ENDS))
    parser.add_argument("--n-frames", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=5, help="times that both ways are measured")
    options = parser.parse_args()
    block = Block(options.front_end)
    front_end = table.build("front_end", FRONT_ENDS, block)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        if options.corpus:
            utterances = list(CORPORA["asvspoof2019_la"](options.corpus).partition(options.partition))
        else:
            utterances = noise(root / "noise", options.utterances)
        duration = sum(soundfile.info(each.path).duration for each in utterances)
        order = np.array_split(np.random.default_rng(0).permutation(len(utterances)), max(1, len(utterances) // 64))
        times: dict[str, list[float]] = {"extract ours": [], "extract peers": [], "epoch ours": [], "epoch peers": []}
        for repetition in range(options.repetitions + 1):
            stores, files = root / f"stores{repetition}", root / f"files{repetition}"
            path = store_path(utterances, block, AudioOptions(), root=stores)
            works: dict[str, Callable[[], Any]] = {
                "extract ours": partial(extract, utterances, block, AudioOptions(), root=stores),
                "extract peers": partial(one_by_one, utterances, front_end, files),
                "epoch ours": partial(read_store, path, order, options.n_frames),
                "epoch peers": partial(read_files, utterances, files, order, options.n_frames),
            }
            for what in ("extract", "epoch"):
                for who in ("ours", "peers") if repetition % 2 else ("peers", "ours"):
                    elapsed = seconds(works[f"{what} {who}"])
                    if repetition:
                        times[f"{what} {who}"].append(elapsed)
        sizes = {
            "ours": sum(each.stat().st_size for each in path.iterdir()),
            "peers": sum(each.stat().st_size for each in files.iterdir()),
        }
    print(
        f"{options.front_end}, {len(utterances)} utterances, {duration:.0f} s of audio, median of {options.repetitions}"
    )
    print("          extract s   utterances/s   audio s/s   epoch s      MB")
    for name in ("ours", "peers"):
        extraction, epoch = median(times[f"extract {name}"]), median(times[f"epoch {name}"])
        rates = f"{len(utterances) / extraction:14.0f} {duration / extraction:11.0f}"
        print(f"{name:8s} {extraction:10.2f} {rates} {epoch:9.3f} {sizes[name] / 1e6:7.1f}")
    for what in ("extract", "epoch"):
        ratios = [b / a for a, b in zip(times[f"{what} ours"], times[f"{what} peers"], strict=True)]
        print(f"{what}: peers / ours {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
