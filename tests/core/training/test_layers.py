"""Training on a layer of a store of several layers, on their mean, and on a learned mix; bundles of such detectors."""

import dataclasses

import numpy as np
import pytest
import torch

from core import bundle
from core.audio import AudioOptions
from core.backbones import layer_mix
from core.config import experiment_from_plain
from core.corpora.layouts import CORPORA
from core.detector import build_detector, check_detector, score_store
from core.errors import InputError
from core.evaluation.folds import Fold
from core.features import FRONT_ENDS
from core.features.augmentation import AugmentOptions, augmented
from core.features.layers import narrowed
from core.stores.extraction import extract
from core.table import Block
from core.training import prefetch
from core.training.fit import best_detector
from core.training.fit_folds import fit_folds
from tests.core.training.test_fit import PLAIN, run, same
from tests.layered import Layered, layered, layered_front_end  # noqa: F401
from tests.speech import make_corpus

pytestmark = pytest.mark.usefixtures("layered_front_end")

SMALL = {
    "backbone": {"name": "statistics_pooling", "width": 8, "embedding_dim": 8},
    "gmm": {"n_components": 2},
    "epochs": 2,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    torch.set_num_threads(1)
    return CORPORA["asvspoof2019_la"](make_corpus(tmp_path_factory.mktemp("corpus") / "LA"))


@pytest.fixture
def stores(corpus, tmp_path):
    """Stores by the layers that their front end returns."""

    def of(layers):
        front_end = Block("layered", {"layers": layers})
        parts = {name: corpus.partition(name) for name in ("train", "dev")}
        return {name: extract(part, front_end, AudioOptions(), root=tmp_path) for name, part in parts.items()}

    return of


def plain(layer, *, layers="all", **changes):
    front_end = {"name": "layered", "layers": layers}
    return {**SMALL, "front_end": front_end, "input": {"n_frames": 32, "layer": layer}, **changes}


@pytest.mark.parametrize("mode", ["siamese", "original", "multiclass", "classifier", "gmm"])
def test_one_layer_of_several_trains_as_a_store_of_it_alone(stores, mode):
    changes = {"mode": mode, "epochs": 1 if mode == "classifier" else 2}
    several, state = run(stores("all"), **plain(2, **changes))
    single, alone = run(stores([2]), **plain("mean", layers=[2], **changes))
    assert several == single
    assert same(state["detector"], alone["detector"])
    assert (state["layers"], alone["layers"]) == ([0, 1, 2, 3], [2])
    other, _ = run(stores("all"), **plain(0, **changes))
    assert other != several


def test_folds_read_the_layer_too(stores):
    indices = np.arange(24)
    fold = Fold(indices[indices % 4 < 2], indices[indices % 4 >= 2], "train")
    results = []
    for layers, layer in (("all", 1), ([1], "mean")):
        experiment, opened = experiment_from_plain({**PLAIN, **plain(layer, layers=layers)}), stores(layers)
        reports = []
        fit_folds(experiment, opened["train"], opened["dev"], [fold], lambda metrics, _, r=reports: r.append(metrics))
        results.append(reports)
    assert results[0] == results[1]
    assert "fold_eer" in results[0][-1]


@pytest.mark.parametrize("mode", ["siamese", "original", "multiclass"])
def test_a_mix_learns_which_layer_separates_the_classes_and_resumes(stores, mode):
    opened = stores([0, 1])
    changes = plain("mix", layers=[0, 1], mode=mode, epochs=6, lr_schedule={"name": "constant", "lr": 0.05})
    reported, state = run(opened, **changes)
    first, saved = run(opened, stop_after=3, **changes)
    rest, resumed = run(opened, resume=saved, **changes)
    assert first + rest == reported
    assert same(resumed["detector"], state["detector"])
    weights = best_detector(state).layer_weights()
    assert list(weights) == [0, 1]
    assert sum(weights.values()) == pytest.approx(1)
    assert reported[-1]["layer_1_weight"] > 0.6  # layer 0 is much like noise
    assert reported[-1]["layer_1_weight"] == pytest.approx(1 - reported[-1]["layer_0_weight"])
    assert not any(name.endswith("_weight") for each in run(opened, **plain("mean", mode=mode))[0] for name in each)


def test_a_mix_learns_behind_a_part_that_is_frozen(stores):
    backbone = {"name": "fg_lcnn", "width": 4, "genuinizer_epochs": 1, "genuinizer_width": 4}
    changes = {"mode": "original", "epochs": 1, "lr_schedule": {"name": "constant", "lr": 0.01}}
    reported, _ = run(stores([1, 2]), **plain("mix", layers=[1, 2], backbone=backbone, **changes))
    assert reported[0]["layer_1_weight"] != 0.5


@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_mix_by_hand(layer_norm):
    options = {"front_end": "layered", "input": {"n_frames": 5, "layer": "mix", "layer_norm": layer_norm}}
    detector = build_detector(experiment_from_plain({**SMALL, **options}), 3, (4, 9))
    detector.mix.logits.data = torch.tensor([0.0, 2.0]).log_softmax(0)
    features = torch.arange(30.0).reshape(1, 6, 5).square().half()
    first, second = features.float().chunk(2, dim=1)
    if layer_norm:
        first, second = (
            torch.nn.functional.layer_norm(x.transpose(1, 2), (3,)).transpose(1, 2) for x in (first, second)
        )
    share = float(np.exp(2) / (1 + np.exp(2)))
    torch.testing.assert_close(detector.mix(features), (1 - share) * first + share * second, rtol=1e-5, atol=1e-5)
    assert detector.layer_weights() == pytest.approx({4: 1 - share, 9: share})
    uniform = build_detector(experiment_from_plain({**SMALL, **options}), 3, (4, 9))
    assert uniform.layer_weights() == {4: 0.5, 9: 0.5}


@pytest.mark.parametrize("mode", ["siamese", "gmm"])
@pytest.mark.parametrize("layer", [1, 3, "mean", "mix", "all"])
def test_a_bundle_scores_as_the_store_and_computes_no_layer_more(corpus, stores, tmp_path, mode, layer):
    if mode == "gmm" and layer in ("mix", "all"):
        pytest.skip("Gaussian mixtures take one layer")
    opened = stores("all")
    backbone = {"backbone": {"name": "mhfa", "embedding_dim": 8}} if layer == "all" else {}
    _, state = run(opened, **plain(layer, mode=mode, epochs=1, **backbone))
    detector = best_detector(state)
    expected = score_store(detector, opened["dev"])
    experiment = experiment_from_plain(state["experiment"])
    block, layers = narrowed(experiment.front_end, experiment.input.layer, state["layers"], FRONT_ENDS)
    assert layers == ((layer,) if isinstance(layer, int) else (0, 1, 2, 3))
    experiment = dataclasses.replace(experiment, front_end=block)
    made = bundle.Bundle(detector, experiment, state["n_features"], 0.0, {}, {"run": "r", "trial": 0}, layers=layers)
    bundle.save(made, tmp_path / "bundle", front_end_weights={}, front_end_version=layered().version)
    Layered.computed.clear()
    scores = bundle.score(bundle.load(tmp_path / "bundle"), [each.path for each in corpus.partition("dev")])
    np.testing.assert_allclose([score for _, score in scores], expected, rtol=1e-5, atol=1e-6)
    assert set(Layered.computed) == {layer if isinstance(layer, int) else 3}
    card = (tmp_path / "bundle" / "README.md").read_text()
    words = f"(layer {layer})" if isinstance(layer, int) else "the layers 0, 1, 2, 3)"
    if layer == "mix":
        words = f"learned mix of the layers 0 ({100 * detector.layer_weights()[0]:.1f} %), 1 ("
    assert words in card


@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_mix_in_parts_has_the_gradient_of_autograd(monkeypatch, layer_norm):
    monkeypatch.setitem(layer_mix.MAX_VALUES, "cpu", 2 * 3 * 6 * 5)  # two windows at a time, of five
    generator = torch.Generator().manual_seed(0)
    features = (5 * torch.randn(5, 3 * 6, 5, generator=generator)).half()
    wanted = torch.randn(5, 6, 5, generator=generator)
    results = []
    for live in (False, True):  # features of a front end that is trained, too, have gradients
        mix = layer_mix.LayerMix(3, normalize=layer_norm)
        mix.logits.data = torch.tensor([0.3, -1.0, 0.5])
        inputs = features.float().requires_grad_(live)
        mixed = mix(inputs if live else features)
        (mixed * wanted).sum().backward()
        results.append((mixed.detach(), mix.logits.grad))
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad((mix(inputs) * wanted).sum(), inputs)
    assert gradient.abs().min() > 0


def test_few_minibatches_of_many_layers_wait(stores, monkeypatch):
    depths = []
    ahead = prefetch.read_ahead
    monkeypatch.setattr(
        prefetch, "read_ahead", lambda items, *, depth: depths.append(depth) or ahead(items, depth=depth)
    )
    run(stores("all"), **plain("mean", mode="original", epochs=1))
    monkeypatch.setattr(prefetch, "AHEAD_BYTES", 2 * (8 * 32 * 20 * 2) * 4)  # two minibatches of four layers
    for layer in ("mean", "mix"):
        run(stores("all"), **plain(layer, mode="original", epochs=1))
    monkeypatch.setattr(prefetch, "AHEAD_BYTES", 1)
    run(stores("all"), **plain("mix", mode="original", epochs=1))
    assert depths == [3, 3, 2, 1]


def test_a_detector_of_a_layer_that_is_not_stored_cannot_be_built():
    experiment = experiment_from_plain({**SMALL, "front_end": "layered", "input": {"layer": 5}})
    with pytest.raises(InputError, match=r"input\.layer is 5; front end layered has layers 0, 2; also valid"):
        check_detector(experiment, 20, (0, 2))
    assert check_detector(dataclasses.replace(experiment, front_end=Block("layered")), 20, (0, 5)) > 0
    with pytest.raises(InputError, match="front end layered has no layers to choose from"):
        check_detector(dataclasses.replace(experiment, mode="gmm"), 20)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input": {"layer": "mix"}, "mode": "gmm"}, "mode gmm models the frames of one layer"),
        ({"input": {"layer": "all"}, "mode": "gmm"}, "mode gmm models the frames of one layer"),
        ({"input": {"layer": "mix"}, "mode": "classifier", "epochs": 1}, "mode classifier trains no weights of layers"),
        ({"input": {"layer": "all"}, "backbone": "lcnn"}, "backbone lcnn takes one layer"),
    ],
)
def test_modes_and_backbones_that_cannot_take_layers(changes, words):
    with pytest.raises(InputError, match=rf"^input\.layer is {changes['input']['layer']}; {words}") as caught:
        experiment_from_plain({"front_end": "layered", **changes})
    assert caught.value.located[0].path == ("input", "layer")


def test_masks_cover_the_same_features_of_all_layers():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 2 * 10, 30, generator=generator)
    options = AugmentOptions(time_masks=1, frequency_masks=1, frequency_mask_share=0.5)
    changed = augmented(features, torch.zeros(3), options, generator, n_layers=2) != features
    assert changed.any()
    assert torch.equal(*changed.chunk(2, dim=1))
