"""The conformer against its published size and against torchaudio's."""

from typing import Any

import pytest
import torch
from torch import nn
from torchaudio.models.conformer import ConformerLayer

from core.backbones.conformer import Attention, ConformerBlock, conformer


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_the_published_size() -> None:
    # By hand: projection, batch norm, token; blocks of two feed-forward layers, attention with 1,025 distances, a
    # convolution of twice the width, a norm; the last layer of two logits. 2.51 million in the publication.
    feed_forward = 288 + 144 * 576 + 576 + 576 * 144 + 144
    attention = 288 + 3 * 144 * 144 + 144 * 144 + 144 + 1025 * 36
    convolution = 288 + 144 * 576 + 576 + 31 * 288 + 288 + 576 + 288 * 144 + 144
    expected = 1024 * 144 + 144 + 2 + 144 + 4 * (2 * feed_forward + attention + convolution + 288)
    assert sum(parameter.numel() for parameter in conformer(1024, 200).parameters()) == expected
    assert round((expected + 2 * 144 + 2) / 1e6, 2) == 2.51


def test_a_block_without_positions_is_that_of_torchaudio() -> None:
    ours: Any = ConformerBlock(8, heads=2, kernel=5, expansion=1).double()
    theirs: Any = ConformerLayer(8, 32, 2, 5).double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.4)
    theirs.self_attn.in_proj_bias.data.zero_()
    module = theirs.conv_module.sequential
    pairs = [
        (ours.first, theirs.ffn1.sequential),
        (ours.attention.norm, theirs.self_attn_layer_norm),
        (ours.attention.output, theirs.self_attn.out_proj),
        (ours.convolution.norm, theirs.conv_module.layer_norm),
        *((ours.convolution.layers[k], module[k]) for k in (0, 2, 3, 5)),
        (ours.second, theirs.ffn2.sequential),
        (ours.norm, theirs.final_layer_norm),
    ]
    for mine, other in pairs:
        for parameter, value in zip(mine.parameters(), other.parameters(), strict=True):
            parameter.data.copy_(value.data.view_as(parameter))
    ours.attention.queries.weight.data, ours.attention.keys_values.weight.data = theirs.self_attn.in_proj_weight.split(
        [8, 16]
    )
    x = torch.randn(3, 11, 8, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x.transpose(0, 1), None).transpose(0, 1)
        torch.testing.assert_close(ours(x), expected)


def test_scores_contain_the_distance() -> None:
    layer: Any = Attention(4, heads=2, positions=2, dropout=0.0).double()
    x = torch.randn(1, 5, 4, dtype=torch.float64)
    normed = layer.norm(x)[0]
    q, (k, v) = layer.queries(normed), layer.keys_values(normed).chunk(2, dim=1)
    heads = []
    for part in (slice(0, 2), slice(2, 4)):
        scores = torch.zeros(5, 5, dtype=torch.float64)
        for i in range(5):
            for j in range(5):
                distance = layer.distances.weight[max(-2, min(2, i - j)) + 2]
                scores[i, j] = q[i, part] @ (k[j, part] + distance) / 2**0.5
        heads.append(scores.softmax(dim=1) @ v[:, part])
    torch.testing.assert_close(layer(x)[0], layer.output(torch.cat(heads, dim=1)))


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_every_parameter_gets_a_gradient(pooling: Any) -> None:
    network = conformer(6, 12, width=8, heads=2, n_layers=2, pooling=pooling, embedding_dim=3)
    network(torch.randn(5, 6, 12)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
