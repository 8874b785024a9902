"""Pooling back ends against their published definitions."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.backbones.ecapa_tdnn import Res2Layer, ecapa_tdnn
from core.backbones.pooling import AttentiveStatistics, attentive_pooling, statistics_pooling, weighted_statistics


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_statistics_are_the_mean_and_the_deviation_over_time() -> None:
    frames = torch.randn(3, 5, 40, dtype=torch.float64)
    expected = torch.cat([frames.mean(dim=2), frames.std(dim=2, correction=0)], dim=1)
    torch.testing.assert_close(weighted_statistics(frames), expected)


def test_weights_count_as_repeated_frames_do() -> None:
    frames = torch.randn(1, 4, 3, dtype=torch.float64)
    repeated = frames[:, :, [0, 1, 1, 1, 2, 2]]
    weights = torch.tensor([1 / 6, 3 / 6, 2 / 6], dtype=torch.float64)
    torch.testing.assert_close(weighted_statistics(frames, weights), weighted_statistics(repeated))


def test_half_precision_does_not_lose_a_small_deviation() -> None:
    frames = (100 + 0.25 * torch.randn(1, 1, 400)).half()
    deviation = weighted_statistics(frames)[0, 1]
    assert float(deviation) == pytest.approx(float(frames.float().std(correction=0)), rel=1e-3)


def test_silence_has_a_finite_gradient() -> None:
    frames = torch.zeros(2, 3, 10, requires_grad=True)
    weighted_statistics(frames).sum().backward()
    assert frames.grad is not None
    assert torch.isfinite(frames.grad).all()


def test_attention_against_the_formula_of_okabe() -> None:
    layer: Any = AttentiveStatistics(3, bottleneck=2, context=False).double()
    frames = torch.randn(1, 3, 6, dtype=torch.float64)
    first, last = layer.attention[0], layer.attention[2]
    scores = [
        float((last.weight[0, :, 0] @ torch.tanh(first.weight[:, :, 0] @ frames[0, :, t] + first.bias)).detach())
        for t in range(6)
    ]
    weights = torch.softmax(torch.tensor(scores, dtype=torch.float64), 0)
    mean = sum(weights[t] * frames[0, :, t] for t in range(6))
    square = sum(weights[t] * frames[0, :, t] ** 2 for t in range(6))
    assert isinstance(mean, Tensor)
    assert isinstance(square, Tensor)
    torch.testing.assert_close(layer(frames)[0], torch.cat([mean, (square - mean**2).sqrt()]))


def test_attention_with_context_weights_every_channel_on_its_own() -> None:
    layer: Any = AttentiveStatistics(3, bottleneck=2, context=True).double().eval()
    frames = torch.randn(2, 3, 6, dtype=torch.float64)
    seen = torch.cat([frames, weighted_statistics(frames)[:, :, None].expand(-1, -1, 6)], dim=1)
    weights = torch.softmax(layer.attention(seen), dim=2)
    assert weights.shape == (2, 3, 6)
    torch.testing.assert_close(layer(frames), weighted_statistics(frames, weights))


def test_a_res2_group_sees_the_groups_before_it() -> None:
    layer = Res2Layer(8, kernel=3, dilation=2, scale=4).eval()
    x = torch.randn(1, 8, 12)
    with torch.no_grad():
        before = layer(x)
        x[:, 2:4] += 1.0
        changed = (layer(x) - before).abs().amax(dim=(0, 2)) > 0
    assert changed.tolist() == [False, False, True, True, True, True, True, True]
    assert torch.equal(before[:, :2], x[:, :2])  # the first group passes


def test_ecapa_tdnn_has_the_published_size() -> None:
    # 6.2 million in the publication, whose last layer has batch norm.
    network = ecapa_tdnn(80, 200, embedding_dim=192, width=512, bottleneck=128)
    n_parameters = sum(parameter.numel() for parameter in network.parameters()) + 2 * 192
    assert round(n_parameters / 1e6, 1) == 6.2


@pytest.mark.parametrize("build", [statistics_pooling, attentive_pooling, ecapa_tdnn])
def test_any_number_of_frames_and_no_order_where_there_is_none(build: Any) -> None:
    network = build(6, 50, embedding_dim=4).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_var, 0.5, 2)
    frames = torch.randn(2, 6, 77)
    shuffled = frames[:, :, torch.randperm(77)]
    with torch.no_grad():
        same = torch.allclose(network(frames), network(shuffled), atol=1e-5)
    assert same == (build is not ecapa_tdnn)


def test_no_hidden_layer_is_a_linear_layer_on_the_statistics() -> None:
    network = statistics_pooling(6, 50, embedding_dim=4, n_layers=0)
    assert sum(p.numel() for p in network.parameters()) == 2 * 12 + 12 * 4 + 4
