"""Time of one training step: every utterance of the minibatch embedded once, against two towers over the pairs.

    python benchmarks/training_step.py                                      # the small setting, on the CPU
    python benchmarks/training_step.py --paper --device cuda --amp          # 512 features x 400 frames

All variants run in one process and take turns: each repetition measures every variant once, in alternating order. The
ratio is the median over the repetitions. Weights are channels last, as in a `Detector`, unless stated otherwise.

- `two towers`: the left and the right members of the pairs pass through the backbone as two batches.
- `embed once`: the minibatch passes once and the pairs index its embeddings, as in `core.siamese.network`.
- `embed once, channels first`: as `embed once`, with weights in torch's default order and without the fused Adam.
- `embed once, from host` (CUDA only): as `embed once`, with float16 features copied from pinned memory in every step.
"""

import argparse
import copy
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from core import table
from core.backbones import BACKBONES
from core.siamese.losses import LOSSES
from core.siamese.network import Siamese
from core.siamese.pairs import random
from core.table import Block

BASELINE = "two towers"


def variants(arguments: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """Variant -> its training step: forward, backward and Adam, on the same features, labels and pairs."""
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    size = (arguments.n_features, arguments.n_frames)
    usual: Any = table.build("backbone", BACKBONES, Block(arguments.backbone), *size).to(device)
    backbone = copy.deepcopy(usual).to(memory_format=torch.channels_last)
    host_labels = torch.arange(arguments.batch) % 2
    generator = torch.Generator().manual_seed(0)
    pairs = random(n_pairs=arguments.pairs)(host_labels, generator, torch.empty(0)).to(device)
    # All variants use the same pairs.
    siamese, first = (
        Siamese(b, lambda *given: pairs, LOSSES["contrastive"](margin=2.0)).train() for b in (backbone, usual)
    )
    optimizer = torch.optim.Adam(siamese.parameters(), lr=1e-4, fused=True)
    usual_optimizer = torch.optim.Adam(first.parameters(), lr=1e-4)
    scaler = GradScaler(device.type, enabled=arguments.amp and device.type == "cuda")
    half = torch.float16 if device.type == "cuda" else torch.bfloat16

    stored = torch.randn(arguments.batch, *size).half()
    if device.type == "cuda":
        stored = stored.pin_memory()
    features = stored.to(device).float()
    labels = host_labels.to(device)
    sides = torch.arange(2 * len(pairs), device=device).view(2, -1).T  # row i of the left meets row i of the right

    def train(forward: Callable[[], Tensor], optimizer: torch.optim.Optimizer = optimizer) -> None:
        with torch.autocast(device.type, dtype=half, enabled=arguments.amp):
            loss = forward()
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    def two_towers() -> Tensor:
        embeddings = torch.cat([backbone(features[side]) for side in pairs.T]).float()
        with torch.autocast(device.type, enabled=False):
            loss: Tensor = siamese.loss(embeddings, labels[pairs.T.flatten()], sides)
        return loss

    def embed_once() -> Tensor:
        loss: Tensor = siamese(features, labels, generator).loss
        return loss

    def embed_once_channels_first() -> Tensor:
        loss: Tensor = first(features, labels, generator).loss
        return loss

    def embed_once_from_host() -> Tensor:
        loss: Tensor = siamese(stored.to(device, non_blocking=True).float(), labels, generator).loss
        return loss

    chosen: dict[str, Callable[[], None]] = {
        BASELINE: lambda: train(two_towers),
        "embed once": lambda: train(embed_once),
        "embed once, channels first": lambda: train(embed_once_channels_first, usual_optimizer),
    }
    if device.type == "cuda":
        chosen["embed once, from host"] = lambda: train(embed_once_from_host)
    return chosen


def seconds(step: Callable[[], None], *, on_cuda: bool, n_steps: int) -> float:
    """Mean duration of a step in s over `n_steps` in a row, by events on CUDA and by the clock on the CPU."""
    if not on_cuda:
        start = time.perf_counter()
        for _ in range(n_steps):
            step()
        return (time.perf_counter() - start) / n_steps
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    for _ in range(n_steps):
        step()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) / 1000 / n_steps


def measured(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Variant -> seconds per step, one value per repetition; the first repetition is a warm-up and is left out."""
    on_cuda = torch.device(arguments.device).type == "cuda"
    steps = variants(arguments)
    durations: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(arguments.repetitions + 1):
        names = list(steps) if repetition % 2 else list(reversed(steps))
        for name in names:
            duration = seconds(steps[name], on_cuda=on_cuda, n_steps=arguments.steps)
            if repetition:
                durations[name].append(duration)
    return durations


def report(arguments: argparse.Namespace, durations: dict[str, list[float]]) -> Table:
    """Table of medians and ranges by variant, and of the speed relative to two towers."""
    arithmetic = "mixed precision" if arguments.amp else "float32"
    place = arguments.device if arguments.device != "cpu" else f"cpu, {torch.get_num_threads()} thread(s)"
    result = Table(
        title=f"{arguments.backbone}, {arguments.n_features} x {arguments.n_frames}, {arguments.batch} utterances, "
        f"{arguments.pairs} pairs, {place}, {arithmetic}, {arguments.repetitions} x {arguments.steps} steps",
        width=100,
    )
    for column in ("training step", "median ms", "range ms", "utterances/s", f"times faster than {BASELINE}"):
        result.add_column(column, justify="left" if column == "training step" else "right")
    for name, values in durations.items():
        ratio = median(slow / fast for slow, fast in zip(durations[BASELINE], values, strict=True))
        spread = f"{min(values) * 1000:.1f}-{max(values) * 1000:.1f}"
        rate = f"{arguments.batch / median(values):.0f}"
        result.add_row(name, f"{median(values) * 1000:.1f}", spread, rate, f"{ratio:.2f}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="senet34", choices=BACKBONES)
    parser.add_argument("--n-features", type=int, default=60)
    parser.add_argument("--n-frames", type=int, default=300)
    parser.add_argument("--paper", action="store_true", help="wav2vec's 512 features x 400 frames")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--amp", action="store_true", help="mixed precision: float16 on CUDA, bfloat16 on the CPU")
    parser.add_argument("--repetitions", type=int, default=7, help="measurements of every variant")
    parser.add_argument("--steps", type=int, default=1, help="steps per measurement; use 20 on a GPU")
    parser.add_argument("--threads", type=int, help="number of torch threads on the CPU")
    arguments = parser.parse_args()
    if arguments.paper:
        arguments.n_features, arguments.n_frames = 512, 400
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    Console(width=100).print(report(arguments, measured(arguments)))


if __name__ == "__main__":
    main()
