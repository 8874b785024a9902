"""AASIST and RawNet2 against their published definitions."""

from typing import Any

import numpy as np
import pytest
import scipy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core import table
from core.backbones import BACKBONES
from core.backbones.aasist import aasist, ssl_aasist
from core.backbones.graph import GraphAttention, GraphPool, HeterogeneousAttention, SpectroTemporalGraph
from core.backbones.rawnet2 import rawnet2
from core.backbones.sinc import SincFilters
from core.config import experiment_from_plain
from core.cost import macs_of
from core.detector import build_detector
from core.errors import InputError
from core.heads import linear
from core.table import Block


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def n_parameters(*networks: nn.Module) -> int:
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def test_aasist_has_the_published_sizes() -> None:
    assert n_parameters(aasist(1, 64_600), linear(160, 2)) == 297_866
    small = aasist(1, 64_600, channels=[32, 24], graph_dims=[24, 32], pool_ratios=[0.4, 0.5, 0.7])
    assert n_parameters(small, linear(160, 2)) == 85_306  # AASIST-L


def test_ssl_aasist_has_the_published_size() -> None:
    # 447 thousand on 1,024 features, with a bias of 64 values that two softmaxes cancel.
    assert n_parameters(ssl_aasist(1024, 201), linear(160, 2)) + 64 == 447_242


def test_rawnet2_by_hand() -> None:
    def block(before: int, after: int, *, first: bool = False) -> int:
        shortcut = 0 if before == after else before * after + after
        norms = 2 * after + (0 if first else 2 * before)
        return (3 * before * after + after) + (3 * after * after + after) + norms + shortcut + after * after + after

    blocks = block(20, 20, first=True) + block(20, 20) + block(20, 128) + 3 * block(128, 128)
    recurrent = 3 * 1024 * (128 + 1024) + 6 * 1024 + 2 * (3 * 1024 * 2048 + 6 * 1024)
    assert n_parameters(rawnet2(1, 64_600)) == 40 + blocks + 256 + recurrent + 1024 * 1024 + 1024


def test_sinc_filters_are_those_that_scipy_designs() -> None:
    layer = SincFilters(70, kernel=129)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 71) / 2595) - 1)
    for number in (0, 1, 30, 68):
        kind = {"pass_zero": "lowpass"} if number == 0 else {"pass_zero": "bandpass"}
        band = edges[1] if number == 0 else edges[number : number + 2]
        expected = scipy.signal.firwin(129, band, window="hamming", scale=False, fs=16000, **kind)
        np.testing.assert_allclose(layer.filters[number, 0], expected, atol=1e-6)
    assert layer(torch.randn(2, 1, 400)).shape == (2, 70, 272)
    assert list(layer.state_dict()) == []  # they follow from the options


def test_attention_in_a_graph_against_a_loop_over_pairs() -> None:
    layer: Any = GraphAttention(3, 4).double().eval()
    nodes = torch.randn(1, 5, 3, dtype=torch.float64)
    x = nodes[0]
    with torch.no_grad():
        scores = torch.tensor([[float(torch.tanh(layer.pairs(a * b)) @ layer.score) for b in x] for a in x]).double()
        weights = (scores / 2.0).softmax(dim=1)
        sums = torch.stack([sum(w * b for w, b in zip(row, x, strict=True)) for row in weights])
        expected = layer.aggregation.with_attention(sums) + layer.aggregation.without_attention(x)
        torch.testing.assert_close(
            layer(nodes)[0], nn.functional.selu(expected / (1 + 1e-5) ** 0.5), rtol=1e-5, atol=1e-6
        )


def test_attention_across_graphs_against_a_loop_over_pairs() -> None:
    layer: Any = HeterogeneousAttention(3, 4).double().eval()
    for score in layer.scores:
        nn.init.normal_(score, std=100.0)  # so that the temperature of 100 does not hide the weights
    temporal, spectral = torch.randn(1, 3, 3).double(), torch.randn(1, 2, 3).double()
    stack = torch.randn(1, 1, 3).double()
    with torch.no_grad():
        x = torch.cat([layer.first(temporal[0]), layer.second(spectral[0])])
        scores = torch.zeros(5, 5, dtype=torch.float64)
        for i in range(5):
            for j in range(5):
                vector = layer.scores[0 if i < 3 and j < 3 else 1 if i >= 3 and j >= 3 else 2]
                scores[i, j] = torch.tanh(layer.pairs(x[i] * x[j])) @ vector.squeeze(1)
        sums = (scores / 100.0).softmax(dim=1) @ x
        mixed = layer.aggregation.with_attention(sums) + layer.aggregation.without_attention(x)
        expected = nn.functional.selu(mixed / (1 + 1e-5) ** 0.5)
        pulls = torch.stack([torch.tanh(layer.stack_pairs(node * stack[0, 0])) @ layer.scores[3] for node in x])
        received = ((pulls / 100.0).softmax(dim=0) * x).sum(dim=0)
        new_stack = layer.stack_aggregation.with_attention(received) + layer.stack_aggregation.without_attention(
            stack[0]
        )
        first, second, third = layer(temporal, spectral, stack)
    torch.testing.assert_close(torch.cat([first[0], second[0]]), expected)
    torch.testing.assert_close(third[0], new_stack)


def test_a_graph_pool_keeps_and_weights_the_best_nodes() -> None:
    pool: Any = GraphPool(1, ratio=0.5).eval()
    pool.score[1].weight.data.fill_(1.0)
    pool.score[1].bias.data.zero_()
    nodes = torch.tensor([1.0, 3.0, -2.0, 2.0, 0.0]).view(1, 5, 1)
    sigmoid = torch.sigmoid(torch.tensor([3.0, 2.0]))
    torch.testing.assert_close(pool(nodes).flatten(), sigmoid * torch.tensor([3.0, 2.0]))


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (aasist(1, 9000, channels=[4, 6], graph_dims=[6, 5]), (1, 9000)),
        (rawnet2(1, 9000, channels=[4, 6], units=5, kernel=129), (1, 9000)),
        (ssl_aasist(10, 30, channels=[4, 6], graph_dims=[6, 5]), (10, 30)),
    ],
    ids=["aasist", "rawnet2", "ssl_aasist"],
)
def test_every_parameter_gets_a_gradient(network: nn.Module, size: tuple[int, int]) -> None:
    network(torch.randn(8, *size)).square().sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert without == []


def test_waveform_networks_refuse_features() -> None:
    with pytest.raises(InputError, match="has 60 features per frame; this network needs `front_end: waveform`"):
        table.build("backbone", BACKBONES, Block("aasist"), 60, 4000)


def test_the_cost_of_a_network_on_waveforms_is_counted() -> None:
    # The stack node, which is a parameter, must not disturb the counter.
    plain = {"front_end": "waveform", "mode": "original", "backbone": "aasist", "input": {"n_frames": 3000}}
    detector: Any = build_detector(experiment_from_plain(plain), 1)
    sinc = 70 * 129 * (3000 - 128)
    first_block = 23 * (3000 - 128) // 3 * (6 * 32 + 3 * 32 + 6 * 32 * 32)  # two convolutions and the shortcut
    assert macs_of(detector, 1) > sinc + first_block


def test_the_graphs_against_the_published_order_of_steps() -> None:
    """The whole graph part again, from its state dict with plain functions, for one utterance."""
    graph: Any = SpectroTemporalGraph(4, 5, dims=(6, 3), pool_ratios=(0.6, 0.5, 0.5)).double().eval()
    for parameter in graph.parameters():
        nn.init.normal_(parameter)
    state = dict(graph.named_parameters())
    spectral, temporal = torch.randn(1, 4, 5).double(), torch.randn(1, 4, 8).double()

    def linear_of(name: str, x: Tensor) -> Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def normed(name: str, x: Tensor) -> Tensor:
        return F.selu(x / (1 + 1e-5) ** 0.5 * state[f"{name}.norm.norm.weight"] + state[f"{name}.norm.norm.bias"])

    def aggregated(name: str, weights: Tensor, x: Tensor, own: Tensor) -> Tensor:
        return linear_of(f"{name}.with_attention", weights @ x) + linear_of(f"{name}.without_attention", own)

    def attended(name: str, x: Tensor) -> Tensor:
        scores = torch.tanh(linear_of(f"{name}.pairs", x[:, None] * x)) @ state[f"{name}.score"]
        weights = (scores[..., 0] / 2).softmax(1)
        return normed(name, aggregated(f"{name}.aggregation", weights, x, x))

    def pooled(name: str, x: Tensor, ratio: float) -> Tensor:
        scores = torch.sigmoid(linear_of(f"{name}.score.1", x))
        return (x * scores)[scores[:, 0].argsort(descending=True)[: max(1, int(ratio * len(x)))]]

    def crossed(name: str, x: Tensor, y: Tensor, master: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nodes = torch.cat([linear_of(f"{name}.first", x), linear_of(f"{name}.second", y)])
        pairs, n = torch.tanh(linear_of(f"{name}.pairs", nodes[:, None] * nodes)), len(x)
        scores = (pairs @ state[f"{name}.scores.2"])[..., 0]
        scores[:n, :n] = (pairs @ state[f"{name}.scores.0"])[:n, :n, 0]
        scores[n:, n:] = (pairs @ state[f"{name}.scores.1"])[n:, n:, 0]
        pull = torch.tanh(linear_of(f"{name}.stack_pairs", nodes * master)) @ state[f"{name}.scores.3"]
        new = aggregated(f"{name}.stack_aggregation", (pull.T / 100).softmax(1), nodes, master)
        nodes = normed(name, aggregated(f"{name}.aggregation", (scores / 100).softmax(1), nodes, nodes))
        return nodes[:n], nodes[n:], new

    with torch.no_grad():
        bands = pooled("spectral.1", attended("spectral.0", spectral[0].T + state["position"][0]), 0.6)
        times = pooled("temporal.1", attended("temporal.0", temporal[0].T), 0.5)
        branches = []
        for branch in ("branches.0", "branches.1"):
            t, s, m = crossed(f"{branch}.attention", times, bands, state[f"{branch}.stack"][0])
            t, s = pooled(f"{branch}.temporal_pool", t, 0.5), pooled(f"{branch}.spectral_pool", s, 0.5)
            more = crossed(f"{branch}.second_attention", t, s, m)
            branches.append((t + more[0], s + more[1], m + more[2]))
        t, s, m = (torch.max(a, b) for a, b in zip(*branches, strict=True))
        expected = torch.cat([t.abs().max(0).values, t.mean(0), s.abs().max(0).values, s.mean(0), m[0]])
        torch.testing.assert_close(graph(spectral, temporal)[0], expected)
