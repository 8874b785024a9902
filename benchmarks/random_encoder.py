"""A control for pretraining: the same encoder with random weights whose activations do not collapse.

    python benchmarks/random_encoder.py distillmos --corpus asvspoof2019_la=/data/LA --output random --seeds 5
    python benchmarks/random_encoder.py whisper --model FOLDER --corpus asvspoof2019_la=/data/LA --output random

All weights are drawn anew. Then every linear map and convolution, from the input to the output, is scaled and shifted
on two seconds of some clips of train. Its output has a mean of zero per channel, and the standard deviation that it has
in the pretrained encoder (as in layer-sequential unit variance, Mishkin and Matas 2016). Labels are not used, and
positions are kept.

The encoder is written in the format in which the front end reads it, and a table shows the spread of every layer: the
standard deviation between clips of a feature's mean over time, and between frames, averaged over the features.
"""

import argparse
import copy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.audio import SAMPLE_RATE, AudioOptions, load  # noqa: E402
from core.catalogue.packages import DISTILLMOS  # noqa: E402
from core.corpora.layouts import CORPORA  # noqa: E402
from core.features import FRONT_ENDS  # noqa: E402

MAPS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.MultiheadAttention)
NORMS = (nn.BatchNorm1d, nn.LayerNorm)


def maps_of(network: nn.Module) -> list[nn.Module]:
    """Linear maps and convolutions, each attention of PyTorch's as one."""
    attentions = [module for module in network.modules() if isinstance(module, nn.MultiheadAttention)]
    inside = {part for attention in attentions for part in attention.children()}
    return [module for module in network.modules() if isinstance(module, MAPS) and module not in inside]


def channels_first(module: nn.Module, output: Any) -> Tensor:
    """Output of a module as `(channels, n)`."""
    value: Tensor = output[0] if isinstance(output, tuple) else output
    if isinstance(module, nn.Linear | nn.MultiheadAttention):
        return value.reshape(-1, value.shape[-1]).T
    return value.transpose(0, 1).flatten(1)


def spread(value: Tensor) -> float:
    """Standard deviation around the means of the channels."""
    return float((value - value.mean(dim=1, keepdim=True)).square().mean().sqrt())


@torch.no_grad()
def randomise(network: nn.Module, run: Callable[[nn.Module], Any], seed: int) -> nn.Module:
    """A copy of a network with random, scaled weights; `run` calls a network on all clips at once."""
    torch.manual_seed(seed)
    wanted: list[float] = []
    handles = [
        module.register_forward_hook(lambda m, _, output: wanted.append(spread(channels_first(m, output))))
        for module in maps_of(network)
    ]
    run(network)
    for handle in handles:
        handle.remove()
    changed = copy.deepcopy(network)
    for module in changed.modules():
        if isinstance(module, NORMS):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        reset: Any = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if isinstance(module, MAPS) and reset is not None:
            reset()
    left = iter(wanted)

    def scale(module: Any, _: Any, output: Any) -> Any:
        value = channels_first(module, output)
        mean, factor = value.mean(dim=1), next(left) / max(spread(value), 1e-12)
        last = module.out_proj if isinstance(module, nn.MultiheadAttention) else module
        last.weight.mul_(factor)
        shift = torch.zeros_like(mean) if last.bias is None else mean
        if last.bias is not None:
            last.bias.sub_(mean).mul_(factor)
        changed_output = output[0] if isinstance(output, tuple) else output
        if not isinstance(module, nn.Linear | nn.MultiheadAttention):
            shift = shift.reshape(1, -1, *[1] * (changed_output.ndim - 2))
        changed_output = (changed_output - shift) * factor
        return (changed_output, *output[1:]) if isinstance(output, tuple) else changed_output

    def measure(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].transpose(0, 1).flatten(1)
        norm.running_mean.copy_(values.mean(dim=1))
        norm.running_var.copy_(values.var(dim=1))

    handles = [module.register_forward_hook(scale) for module in maps_of(changed)]
    norms = [module for module in changed.modules() if isinstance(module, nn.BatchNorm1d)]
    handles += [norm.register_forward_pre_hook(measure) for norm in norms]
    run(changed)
    for handle in handles:
        handle.remove()
    return changed


def table(front_end: Any, clips: list[Tensor]) -> list[tuple[float, float]]:
    """For every layer: spread between clips of the mean over time, and between all frames."""
    features = [front_end(clip[None])[0] for clip in clips]
    rows = []
    for part in range(len(front_end.layers)):
        chosen = [f[part * front_end.n_features : (part + 1) * front_end.n_features] for f in features]
        means = torch.stack([f.mean(dim=1) for f in chosen], dim=1)
        rows.append((float(means.std(dim=1).mean()), float(torch.cat(chosen, dim=1).std(dim=1).mean())))
    return rows


def write_distillmos(network: Any, weights: Path, output: Path) -> Path:
    """Writes the weights of a network in the format of the package's file `weights`."""
    from core.features.pretrained.distillmos import _renamed

    stored = torch.load(weights, weights_only=True, map_location="cpu")
    own = {str(original): name for name, original in _renamed({name: name for name in stored["model"]}).items()}
    new = network.state_dict()
    for name in stored["model"]:
        if own.get(name) in new:
            stored["model"][name] = new[own[name]].clone()
    path = output.with_suffix(".pt")
    torch.save(stored, path)
    return path


def write_folder(network: Any, model: Path, output: Path) -> Path:
    """Writes an encoder of the library transformers as a folder, with the description of the folder `model`."""
    output.mkdir(exist_ok=True)
    if (model / "preprocessor_config.json").is_file():
        shutil.copyfile(model / "preprocessor_config.json", output / "preprocessor_config.json")
    network.save_pretrained(output)
    return output


def main() -> None:
    """Writes the random encoders and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("front_end", choices=["distillmos", "whisper", "transformers"])
    parser.add_argument("--model", type=Path, help="folder (whisper, transformers) or file (distillmos)")
    parser.add_argument("--corpus", required=True, metavar="LAYOUT=FOLDER")
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    layout, _, place = options.corpus.partition("=")
    train = CORPORA[layout](Path(place)).partition("train")
    chosen = np.random.default_rng(0).permutation(len(train))[: options.clips]
    clips = [torch.from_numpy(load(train[index].path, AudioOptions())) for index in chosen]
    key = "weights" if options.front_end == "distillmos" else "model"
    attribute = {"distillmos": "network", "whisper": "encoder", "transformers": "model"}[options.front_end]
    model = options.model or DISTILLMOS.installed()
    if model is None or (options.model is None and options.front_end != "distillmos"):
        parser.error("give --model the encoder")
    made = FRONT_ENDS[options.front_end](layers="all", **{key: str(model)})

    crops = torch.stack([clip.repeat(4)[: 2 * SAMPLE_RATE] for clip in clips])

    def run(network: nn.Module) -> None:
        setattr(made, attribute, network)
        made(crops)

    pretrained = getattr(made, attribute)
    tables = {"pretrained": table(made, clips)}
    options.output.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        setattr(made, attribute, randomise(pretrained, run, seed))
        tables[f"random {seed}"] = table(made, clips)
        path = options.output / f"{options.front_end}-{seed}"
        write = write_distillmos if options.front_end == "distillmos" else write_folder
        print(write(getattr(made, attribute), model, path), flush=True)
        setattr(made, attribute, pretrained)
    print(f"\nspread between clips (between frames), {len(clips)} clips\n")
    print(f"| encoder | {' | '.join(f'layer {layer}' for layer in made.layers)} |")
    print(f"|---|{'---|' * len(made.layers)}")
    for name, rows in tables.items():
        print(f"| {name} | {' | '.join(f'{clip:.3f} ({frame:.3f})' for clip, frame in rows)} |")


if __name__ == "__main__":
    main()
