"""The feature store against one torch.save per utterance: time to extract, time to read an epoch, size on disk.

    python benchmarks/extraction.py                                    # on generated noise
    python benchmarks/extraction.py --corpus /data/LA --partition dev  # on a corpus in the ASVspoof 2019 LA layout
    python benchmarks/extraction.py --front-end distillmos --option layers=all --utterances 48 --repetitions 3

The peers extract one utterance at a time, save a file per utterance and read the files in every epoch. Both ways run in
one process and take turns in alternating order. The first repetition is a warm-up and is left out, since libraries
initialise at the first call of a front end. Files are read from the page cache.
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
import yaml

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
    utterances = []
    for number in range(n_utterances):
        path = folder / f"{number:05d}.flac"
        soundfile.write(path, 0.1 * rng.normal(size=int(SAMPLE_RATE * rng.uniform(2, 5))), SAMPLE_RATE)
        utterances.append(Utterance(path.stem, path, number % 2, "-", "-", "train"))
    return utterances


def one_by_one(utterances: list[Utterance], front_end: Any, folder: Path) -> None:
    """Extracts as the peers do: one utterance at a time, one file per utterance, float32."""
    folder.mkdir()
    with torch.inference_mode():
        for utterance in utterances:
            waveform = torch.from_numpy(audio.load(utterance.path, AudioOptions()))[None]
            torch.save(front_end(waveform)[0].clone(), folder / f"{utterance.utterance_id}.pt")


def read_files(utterances: list[Utterance], folder: Path, order: Any, n_frames: int) -> int:
    """Reads one epoch of minibatches of 64 from one file per utterance; returns the number of values."""
    n_values = 0
    for indices in order:
        windows = []
        for index in indices:
            features = torch.load(folder / f"{utterances[index].utterance_id}.pt", weights_only=True)
            windows.append(features[:, np.arange(n_frames) % features.shape[1]])
        n_values += torch.stack(windows).float().numel()
    return n_values


def read_store(path: Path, order: Any, n_frames: int) -> int:
    """Opens the store as a trial does and reads one epoch of minibatches of 64; returns the number of values."""
    store = FeatureStore.open(path)
    return sum(store.windows(indices, n_frames).float().numel() for indices in order)


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall seconds and processor seconds of a call."""
    began, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - processor


def main() -> None:
    """Prints a table, and the median and range of the ratios of the repetitions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--partition", default="train")
    parser.add_argument("--utterances", type=int, default=400, help="number of noise clips, without --corpus")
    parser.add_argument("--front-end", default="lfcc", choices=list(FRONT_ENDS))
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="option of the front end")
    parser.add_argument("--n-frames", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=5, help="measurements of each way")
    options = parser.parse_args()
    named = (option.partition("=") for option in options.option)
    block = Block(options.front_end, {name: yaml.safe_load(value) for name, _, value in named})
    front_end = table.build("front_end", FRONT_ENDS, block)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        if options.corpus:
            utterances = list(CORPORA["asvspoof2019_la"](options.corpus).partition(options.partition))
        else:
            utterances = noise(root / "noise", options.utterances)
        duration = sum(soundfile.info(utterance.path).duration for utterance in utterances)
        order = np.array_split(np.random.default_rng(0).permutation(len(utterances)), max(1, len(utterances) // 64))
        times: dict[str, list[float]] = {"extract ours": [], "extract peers": [], "epoch ours": [], "epoch peers": []}
        processor: dict[str, list[float]] = {way: [] for way in times}
        for repetition in range(options.repetitions + 1):
            stores, files = root / f"stores{repetition}", root / f"files{repetition}"
            path = store_path(utterances, block, AudioOptions(), root=stores)
            works: dict[str, Callable[[], Any]] = {
                "extract ours": partial(extract, utterances, block, AudioOptions(), root=stores),
                "extract peers": partial(one_by_one, utterances, front_end, files),
                "epoch ours": partial(read_store, path, order, options.n_frames),
                "epoch peers": partial(read_files, utterances, files, order, options.n_frames),
            }
            for task in ("extract", "epoch"):
                for way in ("ours", "peers") if repetition % 2 else ("peers", "ours"):
                    elapsed, used = seconds(works[f"{task} {way}"])
                    if repetition:
                        times[f"{task} {way}"].append(elapsed)
                        processor[f"{task} {way}"].append(used)
        sizes = {
            "ours": sum(file.stat().st_size for file in path.iterdir()),
            "peers": sum(file.stat().st_size for file in files.iterdir()),
        }
    print(
        f"{options.front_end}, {len(utterances)} utterances, {duration:.0f} s of audio, median of {options.repetitions}"
    )
    print("          extract s   utterances/s   audio s/s   audio s/core-s   epoch s      MB")
    for name in ("ours", "peers"):
        extraction, epoch = median(times[f"extract {name}"]), median(times[f"epoch {name}"])
        rates = f"{len(utterances) / extraction:14.0f} {duration / extraction:11.0f}"
        rate = duration / median(processor[f"extract {name}"])
        print(f"{name:8s} {extraction:10.2f} {rates} {rate:16.1f} {epoch:9.3f} {sizes[name] / 1e6:7.1f}")
    for task in ("extract", "epoch"):
        ratios = [b / a for a, b in zip(times[f"{task} ours"], times[f"{task} peers"], strict=True)]
        print(f"{task}: peers / ours {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
