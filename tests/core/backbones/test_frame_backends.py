"""Back ends for the frame features of pretrained encoders, against their published definitions."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.backbones import BACKBONES, LAYERED_BACKBONES
from core.backbones.mhfa import mhfa
from core.backbones.nes2net import InnerStacks, nes2net, nes2net_x
from core.backbones.sls import sls
from core.backbones.statistics import statistics
from core.config import experiment_from_plain
from core.cost import macs_of
from core.detector import build_detector
from core.heads import linear

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def stirred(network: Any) -> Any:
    """The network with other parameters than those it starts with, so that no term of a formula is 0 or 1."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.double()


def test_statistics_by_hand() -> None:
    features = torch.tensor([[[1.0, 3.0, 5.0, 7.0], [2.0, 2.0, 2.0, 4.0]]])
    backbone = statistics(2, 9)
    assert backbone.embedding_dim == 4
    torch.testing.assert_close(backbone(features), torch.tensor([[4.0, 2.5, 5**0.5, 0.75**0.5]]))
    for moments, expected in (("mean", [4.0, 2.5]), ("deviation", [5**0.5, 0.75**0.5])):
        part: Any = statistics(2, 9, moments=moments)
        assert part.embedding_dim == 2
        torch.testing.assert_close(part(features), torch.tensor([expected]))


@pytest.mark.parametrize("build", [mhfa, sls])
def test_every_parameter_of_a_layered_backbone_gets_a_gradient(build: Any) -> None:
    network = build(6, 12, 3, embedding_dim=4)
    network(torch.randn(5, 18, 12)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_mhfa_has_the_published_size() -> None:
    # Two sets of layer weights, two compressions with bias, the heads, the last layer; 13 layers of a base encoder.
    expected = 2 * 13 + 2 * (768 * 128 + 128) + 128 * 64 + (64 * 128 * 256 + 256)
    assert n_parameters(mhfa(768, 200, 13, embedding_dim=256, width=128, heads=64)) == expected


def test_mhfa_against_its_equations() -> None:
    network: Any = stirred(mhfa(3, 5, 2, embedding_dim=4, width=6, heads=2))
    features = torch.randn(1, 6, 5, dtype=torch.float64)
    first, second = features[0, :3].T, features[0, 3:].T  # frames by features, of either layer
    with torch.no_grad():
        k, v = network.key_logits.softmax(0), network.value_logits.softmax(0)
        keys, values = network.keys(k[0] * first + k[1] * second), network.values(v[0] * first + v[1] * second)
        pooled = []
        for head in network.attention.weight:
            scores = torch.stack([head @ key for key in keys]).exp()
            pooled.append(sum(s / scores.sum() * value for s, value in zip(scores, values, strict=True)))
        torch.testing.assert_close(network(features)[0], network.linear(torch.cat(pooled)))


def test_sls_has_the_published_size() -> None:
    # 23,399 thousand with the last layer of two logits: 24 layers of XLS-R, 201 frames of 1,024 values.
    network = sls(1024, 201, 24, embedding_dim=1024)
    assert network.linear.in_features == 22_847
    assert n_parameters(network) + 1024 * 2 + 2 == 23_399_429


def test_sls_against_its_equations() -> None:
    network: Any = stirred(sls(7, 6, 2, embedding_dim=3)).eval()
    features = torch.randn(1, 14, 6, dtype=torch.float64)
    mixed = torch.zeros(7, 6, dtype=torch.float64)
    with torch.no_grad():
        for layer in (features[0, :7], features[0, 7:]):
            gate = 1 / (1 + torch.exp(-(network.gate.weight[0] @ layer.mean(dim=1) + network.gate.bias[0])))
            mixed += gate * layer
        normed = mixed / (1 + 1e-5) ** 0.5 * network.norm.weight + network.norm.bias  # running mean 0, variance 1
        cells = [F.selu(normed[i : i + 3, j : j + 3]).max() for i in (0, 3) for j in (0, 3)]
        torch.testing.assert_close(network(features)[0], F.selu(network.linear(torch.stack(cells))))


@pytest.mark.parametrize("build", [nes2net, nes2net_x])
def test_nes2net_has_the_published_size(build: Any) -> None:
    # A block of 128 channels: two 1x1 convolutions, two norms, seven 3-tap convolutions of 16 channels with norms, and
    # squeeze-and-excitation without reduction. With one logit for the embedding: 511 thousand, in either variant.
    block = 2 * (128 * 128 + 128) + 2 * 256 + 7 * (16 * 16 * 3 + 16 + 32) + 2 * (128 * 128 + 128)
    weights = sum(range(2, 9)) if build is nes2net_x else 0
    expected = 7 * (block + weights + 256) + 2 * 1024 + (1024 + 1)
    assert n_parameters(build(1024, 200, embedding_dim=1)) == expected
    assert round(expected / 1e3) == 511


def test_the_outer_groups_of_nes2net_see_those_before_them() -> None:
    network: Any = nes2net(8, 20, groups=4).eval()
    seen: list[Tensor] = []
    network.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    features = torch.randn(1, 8, 20)
    network(features)
    features[:, 2:4] += 1.0
    network(features)
    changed = (seen[1] - seen[0]).abs().amax(dim=(0, 2)) > 0
    assert changed.tolist() == [False, False, True, True, True, True, False, False]
    assert torch.equal(seen[1][:, 6:], features[:, 6:])  # the last group passes


def test_a_stack_of_nes2net_x_by_hand() -> None:
    layer: Any = InnerStacks(1, 3, dilation=1, activation=nn.ReLU).eval()
    for convolution, _, norm in layer.layers:
        convolution.weight.data = torch.tensor([0.0, 2.0, 0.0]).view(1, 1, 3, 1)  # doubles a frame
        convolution.bias.data.zero_()
        norm.eps = 1e-12
    layer.weights[0].data, layer.weights[1].data = torch.tensor([1.0, 10.0]), torch.tensor([1.0, 10.0, 100.0])
    # Groups 1, 2 and the last one, 3. First step: 3, 1 -> 6, 2. Second step: 6, 2, 2 -> 12, 4, 4.
    x = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1)
    assert layer(x).flatten().tolist() == pytest.approx([6 + 20, 12 + 40 + 400, 3])


@pytest.mark.parametrize("build", [nes2net, nes2net_x])
def test_nes2net_uses_the_largest_number_of_groups_that_divides(build: Any) -> None:
    assert [build(n, 10).channels for n in (1024, 768, 384, 200, 60, 20)] == [128, 96, 48, 25, 10, 4]
    network = build(200, 10, activation="selu")
    network(torch.randn(4, 200, 10)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


DOCUMENTED = re.findall(
    r"^\| `(\w+)` \| .* \| ([\d.]+)(?: M)? \| ([\d.]+) \|$", (ROOT / "docs/spaces.md").read_text(), re.M
)


@pytest.mark.parametrize(("name", "weights", "gmacs"), DOCUMENTED)
def test_documented_sizes(name: str, weights: str, gmacs: str) -> None:
    plain = {"front_end": "lfcc", "mode": "classifier", "epochs": 1, "backbone": name, "input": {"n_frames": 200}}
    detector: Any = build_detector(experiment_from_plain({**plain, "classifier": "svm"}), 1024)
    assert f"{n_parameters(detector) / 1e6:.2f}" == f"{float(weights):.2f}"
    assert f"{macs_of(detector, 1024) / 1e9:.2f}" == gmacs


LEARNING: dict[str, dict[str, Any]] = {
    "statistics_pooling": {},
    "attentive_pooling": {},
    "ecapa_tdnn": {"width": 16},
    "nes2net": {},
    "nes2net_x": {},
    "mhfa": {},
    "sls": {},
    "conformer": {"width": 16, "n_layers": 1},
    "ssl_aasist": {"projection": 12, "channels": [8, 8]},
}


@pytest.mark.parametrize("name", LEARNING)
def test_training_tells_two_kinds_of_frames_apart(name: str) -> None:
    """One kind has louder frames for a while."""
    labels = torch.arange(32) % 2
    context = (1,) if name in LAYERED_BACKBONES else ()
    network: Any = BACKBONES[name](16, 24, *context, embedding_dim=4, **LEARNING[name])
    head = linear(4, 2)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=5e-3)
    losses = []
    for _ in range(30):
        features = torch.randn(32, 16, 24)
        features[1::2, :, 9:18] *= 3
        loss = head.loss(network(features), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert max(losses[-3:]) < 0.55  # 0.69 is chance
