"""Low-rank adapters: small trained matrices beside the frozen weights of linear layers (LoRA, Hu et al. 2022)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """The weight of a linear layer plus a trained product of two matrices of low rank (Hu et al. 2022, section 4.1).

    The product starts at zero, as in the paper: `down` is random and `up` is zero. The paper's scale `alpha / r` is 1
    here, so that only the learning rate scales the change. The layer computes with the sum. Thus a module that reads
    the weight without calling the layer, as WavLM's attention does, is adapted as well.
    """

    def __init__(self, n_outputs: int, n_inputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, n_inputs))
        self.up = nn.Parameter(torch.zeros(n_outputs, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The adapted weight `(n_outputs, n_inputs)`."""
        return weight + self.up @ self.down


def adapt(network: nn.Module, rank: int) -> None:
    """Adds adapters to all linear layers of a network, which keep their own weights.

    Args:
        network: Network that is changed in place.
        rank: Rank of the adapters, at least 1.

    Raises:
        ValueError: A linear layer has fewer inputs or outputs than the rank.
    """
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    smallest = min((min(layer.weight.shape) for layer in linear), default=rank)
    if rank > smallest:
        raise ValueError(f"lora_rank is {rank}; the smallest linear layer that is adapted has a width of {smallest}")
    for layer in linear:
        adapter = LowRank(layer.out_features, layer.in_features, rank)
        parametrize.register_parametrization(layer, "weight", adapter)
