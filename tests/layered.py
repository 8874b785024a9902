"""A front end with layers that tests use: LFCCs, and what a chain of fixed maps makes of them."""

from typing import ClassVar, Literal

import pytest
import torch
from torch import nn

from core import features as features_module
from core.features.spectral import lfcc

N_LAYERS = 4


class Layered(nn.Module):
    """Layer 0 is much like noise, layer 1 LFCCs, and every further layer a map of the one before; see FRONT_ENDS.

    Attributes:
        computed: Highest layer that each call of any instance computed.
    """

    version = 1
    computed: ClassVar[list[int]] = []

    def __init__(self, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.inner = lfcc(deltas=False)
        self.layers, self.weights = layers, {}
        self.n_features, self.hop_length = self.inner.n_features, self.inner.hop_length
        self.min_samples = self.inner.min_samples

    def forward(self, waveform):
        state = self.inner(waveform)
        states = [10 * torch.sin(20 * state), state]
        for number in range(2, max(self.layers) + 1):
            states.append(torch.tanh(0.3 * states[-1].roll(1, dims=1)) * number)
        Layered.computed.append(max(self.layers))
        return torch.cat([states[layer] for layer in self.layers], dim=1)


def layered(*, layers: list[int] | Literal["all"] = "all") -> Layered:
    chosen = range(N_LAYERS) if layers == "all" else layers
    return Layered(tuple(chosen)).requires_grad_(False).eval()


@pytest.fixture
def layered_front_end(monkeypatch):
    monkeypatch.setitem(features_module.FRONT_ENDS, "layered", layered)
    Layered.computed.clear()
