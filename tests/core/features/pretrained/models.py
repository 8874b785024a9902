"""Small networks with random weights, saved in the formats of the published files."""

from pathlib import Path

import torch

from core.features.pretrained import distillmos, resemblyzer


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    """Random weights that neither vanish nor grow from layer to layer; norms that change their input."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if len(shape) == 1 and name.endswith(("running_var", "weight")):
            tensors[name] = 0.5 + values.abs()
        else:
            tensors[name] = values / max(1, values[0].numel()) ** 0.5 if len(shape) > 1 else 0.1 * values
    return tensors


def saved_distillmos(folder: Path, *, n_positions: int = 40, n_layers: int = 3) -> Path:
    """A file in the format of the package `distillmos`, of three layers and 16 features per frame."""
    network = distillmos.Network(
        channels=(4, 4, 8, 8, 8, 8), n_features=16, n_positions=n_positions, n_hidden=24, n_layers=n_layers
    )
    begins = {
        "norms.0": "transformer_pool_attn.norm_input",
        "norms.1": "transformer_pool_attn.transformer.norm",
        "projection": "transformer_pool_attn.transformer.linear_proj",
        "positions": "transformer_pool_attn.transformer.position_encoding.pe",
        "layers": "transformer_pool_attn.transformer.transformer_encoder.layers",
        **{f"convolutions.{index}": f"cnn.cnn.{2 * index}" for index in range(6)},
    }
    shapes = {}
    for name, tensor in network.state_dict().items():
        begin = next(begin for begin in begins if name.startswith(begin))
        shapes[begins[begin] + name[len(begin) :]] = tuple(tensor.shape)
    tensors = random_tensors({name: shape for name, shape in shapes.items() if shape}, seed=3)
    counters = {name: torch.tensor(7) for name, shape in shapes.items() if not shape}
    rest = {"norm_trans.weight": torch.ones(16), "pool.linear1.weight": torch.ones(32, 16)}
    rest = {f"transformer_pool_attn.{name}": tensor for name, tensor in rest.items()}
    path = folder / "distill_mos.pt"
    torch.save({"model": {**tensors, **counters, **rest}, "step": 245000}, path)
    return path


def saved_resemblyzer(folder: Path) -> Path:
    """A file in the format of the package `Resemblyzer`, of 12 features."""
    network = resemblyzer.Network(8, 16, 12)
    tensors = random_tensors({name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}, seed=9)
    extra = {"similarity_weight": torch.ones(1), "similarity_bias": torch.zeros(1)}
    path = folder / "pretrained.pt"
    torch.save({"step": 1, "model_state": {**extra, **tensors}, "optimizer_state": {"state": {}}}, path)
    return path
