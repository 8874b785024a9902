import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core import table
from core.backbones import ANY_LENGTH, BACKBONES, ENCODER_BACKBONES, LAYERED_BACKBONES, WAVEFORM_BACKBONES
from core.backbones.lcnn import MaxFeatureMap
from core.backbones.resnet import SqueezeExcitation
from core.errors import InputError
from core.table import Block

SMALL = (20, 50)
WAVEFORM = (1, 4500)
NARROW: dict[str, dict[str, Any]] = {
    "aasist": {"n_filters": 12, "kernel": 17, "channels": [16, 16]},
    "rawnet2": {"kernel": 17, "channels": [8, 16], "units": 16},
}
"""Options that spare the tests the time that networks on waveforms need."""
NETWORKS = [name for name in BACKBONES if name not in {"identity", "statistics", *ENCODER_BACKBONES}]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def of(name: str, size: tuple[int, int] = SMALL) -> tuple[int, int]:
    """The size of an input for a backbone: this one, or that of a waveform."""
    return WAVEFORM if name in WAVEFORM_BACKBONES else size


def built(name: str, size: tuple[int, int] = SMALL, **options: Any) -> Any:
    size = of(name, size)
    context = (*size, 1) if name in LAYERED_BACKBONES else size
    return table.build("backbone", BACKBONES, Block(name, {**NARROW.get(name, {}), **options}), *context)


def with_statistics(backbone: Any, features: Tensor) -> Any:
    """The backbone in evaluation mode, with running statistics of these features."""
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the plain average
    with torch.no_grad():
        backbone.train()(features)
    return backbone.eval()


# By hand, for 512-d embeddings. A basic block of c channels has 18 c^2 + 4 c, the first of a stage, which doubles the
# channels, 14 c^2 + 6 c with its shortcut; the stem 784 + 32; the linear layer 128 * 512 + 512. The gates of c channels
# have c (c / 16) * 2 + c / 16 + c, so 49, 162, 580, 2184 and 8464 for 16 to 256.
RESNET34 = 816 + 3 * 4672 + (14528 + 3 * 18560) + (57728 + 5 * 73984) + (230144 + 2 * 295424) + 66048
# Bottlenecks of c inner channels after i: i c + 11 c^2 + 8 c, the first of each stage with 2 i c + 4 c on top.
RESNET50 = 816 + (3776 + 2 * 3456) + (14720 + 3 * 13568) + (58112 + 5 * 53760) + (230912 + 2 * 214016) + 131584
# Convolutions of LCNN-9 with their biases, its norms, and the last layer on 32 maps of 3 x 6.
LCNN_CONVOLUTIONS = 1664 + 2112 + 27744 + 4704 + 55424 + 8320 + 36928 + 2112 + 18496
LCNN = LCNN_CONVOLUTIONS + 2 * (32 + 48 + 48 + 64 + 32 + 32) + (32 * 18 + 1) * 512


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lcnn", LCNN),
        ("resnet18", 816 + 2 * 4672 + (14528 + 18560) + (57728 + 73984) + (230144 + 295424) + 66048),
        ("resnet34", RESNET34),
        ("resnet50", RESNET50),
        ("senet18", 766_576 + 2 * (49 + 162 + 580 + 2184)),
        ("senet34", RESNET34 + 3 * 49 + 4 * 162 + 6 * 580 + 3 * 2184),
        ("senet50", RESNET50 + 3 * 162 + 4 * 580 + 6 * 2184 + 3 * 8464),
    ],
)
def test_parameter_counts_by_hand(name: str, expected: int) -> None:
    assert sum(p.numel() for p in built(name, (60, 100)).parameters()) == expected


def test_senet34_has_the_known_number_of_parameters() -> None:
    assert sum(p.numel() for p in built("senet34").parameters()) == 1_410_555


def test_computer_vision_width_gives_the_well_known_resnet18() -> None:
    # 11,176,512 is the published trunk for three colours; one channel saves two of three stem kernels.
    trunk = built("resnet18", width=64, embedding_dim=1)
    assert sum(p.numel() for p in trunk.parameters()) == 11_176_512 - 2 * 49 * 64 + 512 + 1


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [SMALL, (60, 77)])
def test_one_by_one_equals_batched(name: str, size: tuple[int, int]) -> None:
    # In float64, where rounding cannot hide a real dependence on the other inputs of the batch.
    features = torch.randn(4, *of(name, size), dtype=torch.float64)
    backbone = with_statistics(built(name, size, embedding_dim=8).double(), features)
    with torch.no_grad():
        together = backbone(features)
        alone = torch.cat([backbone(each[None]) for each in features])
    assert together.shape == (4, 8)
    assert backbone.embedding_dim == 8
    torch.testing.assert_close(alone, together, rtol=1e-9, atol=1e-9)
    assert together.std(dim=0).min() > 1e-4  # different inputs, different embeddings


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_gets_a_finite_gradient(name: str) -> None:
    backbone = built(name)
    embeddings = backbone(torch.randn(6, *of(name)))
    assert embeddings.shape == (6, backbone.embedding_dim)
    assert backbone.embedding_dim == {"aasist": 160, "ssl_aasist": 160, "conformer": 144, "rawnet2": 1024}.get(
        name, 512
    )
    embeddings.square().sum().backward()
    gradients = [p.grad for p in backbone.parameters() if p.requires_grad]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert all(g.abs().sum() > 0 for g in gradients[-4:])


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_last_and_autocast_give_the_same(name: str) -> None:
    size = (64, 96)  # large enough that the deepest norms have statistics that bear rounding
    features = torch.randn(6, *of(name, size), dtype=torch.float64)
    backbone = with_statistics(built(name, size, embedding_dim=16).double(), features)
    with torch.no_grad():
        expected = backbone(features)
        backbone.to(memory_format=torch.channels_last)
        torch.testing.assert_close(backbone(features), expected, rtol=1e-9, atol=1e-9)
        backbone.float()
        with torch.autocast("cpu", dtype=torch.float16):
            rounded = backbone(features.float()).double()
    # Rounding alone: 0.3 to 0.5 % in most, 7 % in an untrained resnet50, whose float32 error is tenfold too.
    assert (rounded - expected).norm() < 0.2 * expected.norm()


@pytest.mark.parametrize("name", NETWORKS)
def test_checkpoint_round_trip(name: str) -> None:
    features = torch.randn(2, *of(name))
    first = with_statistics(built(name), features)
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second = built(name).eval()
    assert not torch.equal(first(features), second(features))
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(first(features), second(features))


@pytest.mark.parametrize("name", NETWORKS)
def test_width_and_embedding_size_are_options(name: str) -> None:
    assert built(name, embedding_dim=3)(torch.randn(2, *of(name))).shape == (2, 3)
    if "width" not in table.option_defaults(BACKBONES[name]):
        return
    narrow, wide = (sum(p.numel() for p in built(name, width=w).parameters()) for w in (8, 32))
    assert narrow < wide / 3


def test_max_feature_map_by_hand() -> None:
    x = torch.tensor([1.0, -2.0, 0.5, 3.0]).view(1, 4, 1, 1)
    assert MaxFeatureMap()(x).flatten().tolist() == [1.0, 3.0]


def test_squeeze_excitation_against_the_formula() -> None:
    layer = SqueezeExcitation(4, reduction=2).double()
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64)
    first: Any = layer.gate[0]
    second: Any = layer.gate[2]
    for sample, out in zip(x, layer(x), strict=True):
        squeezed = torch.stack([channel.sum() / 30 for channel in sample])
        inner = (first.weight @ squeezed + first.bias).clamp_min(0)
        gates = 1 / (1 + torch.exp(-(second.weight @ inner + second.bias)))
        torch.testing.assert_close(out, torch.stack([g * c for g, c in zip(gates, sample, strict=True)]))


def test_lcnn_dropout_acts_in_training_only() -> None:
    features = torch.randn(2, *SMALL)
    backbone = with_statistics(built("lcnn", dropout=0.5), features)
    assert torch.equal(backbone(features), backbone(features))
    backbone.dropout.train()
    assert not torch.equal(backbone(features), backbone(features))


def test_lcnn_mean_pooling_takes_any_number_of_frames() -> None:
    backbone = built("lcnn", (20, 50), pooling="mean").eval()
    assert backbone(torch.randn(1, 20, 130)).shape == (1, 512)
    assert sum(p.numel() for p in backbone.linear.parameters()) == 33 * 512


def test_lcnn_keeps_16_by_16_and_refuses_less() -> None:
    assert built("lcnn", (16, 16))(torch.randn(2, 16, 16)).shape == (2, 512)
    for size in ((15, 400), (400, 15)):
        with pytest.raises(InputError, match="at least 16 x 16"):
            built("lcnn", size)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("senet34", {"embeding_dim": 2}, "did you mean 'embedding_dim'"),
        ("densenet", {"compression": 0.0}, "compression is 0.0"),
        ("densenet", {"n_layers": []}, "n_layers is"),
        ("lc_grnn", {"window": 51}, "window is 51; it must be from 4 to the 50 frames"),
        ("fg_lcnn", {"genuinizer_epochs": 0}, "genuinizer_epochs is 0"),
        ("statistics_pooling", {"n_layers": -1}, "n_layers is -1"),
        ("statistics_pooling", {"dropout": 1.0}, r"\[0, 1\)"),
        ("attentive_pooling", {"bottleneck": 0}, "bottleneck is 0"),
        ("ecapa_tdnn", {"width": 12}, "width is 12 and scale is 8"),
        ("resnet18", {"reduction": 8}, "takes embedding_dim, width"),
        ("senet18", {"reduction": 0}, "reduction is 0"),
        ("senet18", {"width": 0}, "width is 0"),
        ("resnet34", {"embedding_dim": 0}, "embedding_dim is 0"),
        ("mhfa", {"heads": 0}, "heads is 0"),
        ("sls", {"embedding_dim": 0}, "embedding_dim is 0"),
        ("nes2net", {"scale": 1}, "scale is 1"),
        ("nes2net_x", {"groups": 1}, "no number of groups from 2 to 1 divides the 20 features"),
        ("aasist", {"kernel": 128}, "kernel is 128; it must be odd"),
        ("aasist", {"kernel": 2315}, "n_frames is 4500 samples; at least 4501 are needed"),
        ("ssl_aasist", {"pool_ratios": [0.5, 0.5]}, r"pool_ratios is \[0.5, 0.5\]; it must be three"),
        ("conformer", {"width": 10}, "width is 10 and heads is 4"),
        ("ssl_aasist", {"graph_dims": [8]}, r"graph_dims is \[8\]"),
        ("rawnet2", {"channels": [4]}, r"channels is \[4\]"),
        ("lcnn", {"width": 18}, "multiple of 4"),
        ("lcnn", {"dropout": 1.0}, r"\[0, 1\)"),
        ("lcnn", {"embedding_dim": 0}, "embedding_dim is 0"),
        ("lcnn", {"pooling": "max"}, "one of flatten, mean"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        built(name, **options)


def test_identity_is_the_features() -> None:
    backbone = built("identity", (3, 2))
    assert backbone.embedding_dim == 6
    assert backbone(torch.arange(6.0).view(1, 3, 2)).tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]


@pytest.mark.parametrize("name", sorted(ANY_LENGTH))
def test_rows_of_any_length_take_one_frame_and_many(name: str) -> None:
    backbone = built(name, (20, 50)).eval()
    for n_frames in (1, 2, 130):
        assert torch.isfinite(backbone(torch.randn(1, 20, n_frames))).all()


def test_densenet_channels_grow_by_its_width() -> None:
    backbone = built("densenet", width=4, n_layers=[2, 3], compression=0.5, embedding_dim=5)
    # 8 from the stem, 16 after two layers, halved to 8, 20 after three more.
    assert backbone.linear.in_features == 20
    stem = 49 * 8
    layers = sum(2 * c + 16 * c + 2 * 16 + 9 * 16 * 4 for c in (8, 12, 8, 12, 16))
    assert sum(p.numel() for p in backbone.parameters()) == stem + layers + (2 * 16 + 16 * 8) + 2 * 20 + 21 * 5


def test_lc_grnn_sees_whole_windows_alone() -> None:
    backbone = built("lc_grnn", (20, 50), window=32, hop=12, width=4).eval()
    features = torch.randn(2, 20, 50)
    changed = features.clone()
    changed[:, :, 44:] = 9.0  # windows begin at 0 and 12; the next would end at 56
    assert torch.equal(backbone(features), backbone(changed))
    changed[:, :, 43] = 9.0
    assert not torch.equal(backbone(features), backbone(changed))


def test_lc_grnn_against_one_window_at_a_time() -> None:
    backbone = built("lc_grnn", (16, 56), width=4, embedding_dim=3).double().eval()
    features = torch.randn(2, 16, 56, dtype=torch.float64)

    def larger_half(maps: Tensor) -> Tensor:
        n = maps.shape[1] // 2
        return torch.where(maps[:, :n] > maps[:, n:], maps[:, :n], maps[:, n:])

    state = torch.zeros(2, 4, 4, 8, dtype=torch.float64)
    with torch.no_grad():
        for begin in (0, 12, 24):
            update, reset, candidate = backbone.from_input(features[:, None, :, begin : begin + 32])
            for_update, for_reset = backbone.from_state(state)[:, :8], backbone.from_state(state)[:, 8:]
            z = 1 / (1 + torch.exp(-update - larger_half(for_update)))
            r = 1 / (1 + torch.exp(-reset - larger_half(for_reset)))
            new = torch.tanh(candidate + larger_half(backbone.candidate(r * state)))
            state = state + z * (new - state)
        expected = backbone.linear(backbone.norm(state).max(dim=3).values.flatten(1))
        torch.testing.assert_close(backbone(features), expected)


def test_the_genuinizer_learns_bona_fide_speech_and_then_stays() -> None:
    pattern = torch.sin(torch.arange(16.0))[:, None] * torch.cos(torch.arange(24.0) / 3)
    batches = [5 + 3 * pattern + 0.1 * torch.randn(8, 16, 24) for _ in range(4)]
    backbone = built("fg_lcnn", (16, 24), width=8, genuinizer_width=4, genuinizer_epochs=40, genuinizer_lr=3e-3)

    def error(features: Tensor) -> float:
        wanted = backbone.genuinizer.standardised(features)
        with torch.no_grad():
            return float((backbone.genuinizer(wanted) - wanted).pow(2).mean() / wanted.pow(2).mean())

    backbone.prepare(lambda: iter(batches))
    assert error(batches[0]) < 0.2
    assert error(5 + 3 * pattern.flip(1) * torch.randn(8, 16, 1)) > 3 * error(batches[0])
    before = {name: value.clone() for name, value in backbone.genuinizer.state_dict().items()}
    backbone.train()(batches[0]).sum().backward()
    assert all(p.grad is None for p in backbone.genuinizer.parameters())
    assert all(torch.equal(before[name], value) for name, value in backbone.genuinizer.state_dict().items())
