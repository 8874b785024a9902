import copy
import warnings

import pytest
import torch

from core.config import experiment_from_plain
from core.detector import build_detector, check_detector
from core.errors import InputError
from core.features.transformer import transformer
from core.optimizer import adam, parameter_groups, set_learning_rate
from tests.core.features.pretrained.family_models import MODELS, saved_family

N_SAMPLES = 4000
LAYERS = {"sew-d": "model.encoder.encoder.layer", "audio-spectrogram-transformer": "model.layers"}


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    torch.set_num_threads(1)
    return request.param, saved_family(request.param, tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory):
    return saved_family("wav2vec2, stable", tmp_path_factory.mktemp("models") / "wav2vec2")


def experiment(folder, mode="original", n_samples=N_SAMPLES, **options):
    backbone = {"name": "fine_tuned", "back_end": "statistics_pooling", "embedding_dim": 8, **options}
    front_end = {"name": "waveform", "model": str(folder)}
    plain = {"front_end": front_end, "input": {"n_frames": n_samples}, "mode": mode, "backbone": backbone}
    return experiment_from_plain(plain)


def built(folder, **options):
    torch.manual_seed(0)
    return build_detector(experiment(folder, **options), 1)


def waveforms(n=2):
    return torch.randn(n, 1, N_SAMPLES, generator=torch.Generator().manual_seed(1)) / 10


def reached(detector):
    """The parameters of the encoder that a gradient reaches."""
    detector.train().embed(waveforms()).square().sum().backward()
    encoder = detector.backbone.encoder
    return {name for name, p in encoder.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def in_layers(name, detector, numbers):
    """The parameters of some transformer layers of the encoder."""
    places = tuple(f"{LAYERS.get(name, 'model.encoder.layers')}.{number}." for number in numbers)
    return {each for each, _ in detector.backbone.encoder.named_parameters() if each.startswith(places)}


def test_gradients_reach_exactly_the_top_layers_of_every_family(model):
    name, folder = model
    detector = built(folder, layer=2, top_layers=1)  # of the two layers that are computed
    with torch.inference_mode():  # an evaluation before the training leaves nothing behind that has no gradients
        detector.eval().embed(waveforms())
    expected = in_layers(name, detector, [1])
    assert expected
    assert reached(detector) == expected


def test_a_norm_behind_the_last_layer_is_trained_with_it(wav2vec2):
    detector = built(wav2vec2, top_layers=2)
    norm = {"model.encoder.layer_norm.weight", "model.encoder.layer_norm.bias"}
    assert reached(detector) == in_layers("", detector, [1, 2]) | norm
    assert not reached(built(wav2vec2, top_layers=0))


def test_adapters_start_as_the_encoder_and_alone_are_trained(model):
    _, folder = model
    frozen, adapted = built(folder, top_layers=0), built(folder, top_layers=1, lora_rank=2)
    adapted.backbone.back_end.load_state_dict(frozen.backbone.back_end.state_dict())
    with torch.no_grad():
        assert torch.equal(adapted.eval().embed(waveforms()), frozen.eval().embed(waveforms()))
    names = reached(adapted)
    assert names
    assert all(name.endswith("parametrizations.weight.0.up") for name in names)  # while `up` is zero
    assert {n for n, p in adapted.backbone.encoder.named_parameters() if p.requires_grad} == {
        name.removesuffix("up") + matrix for name in names for matrix in ("up", "down")
    }


def test_the_frozen_part_is_the_front_end_and_never_in_training_mode(wav2vec2):
    waveform = waveforms().squeeze(1)
    front_end = transformer(model=str(wav2vec2), layer=3)
    encoder = built(wav2vec2, top_layers=1).train().backbone.encoder
    assert torch.equal(encoder.eval()(waveform), front_end(waveform))
    detector = built(wav2vec2, top_layers=1).train()
    layers = detector.backbone.encoder.model.encoder.layers
    assert layers[2].training
    assert layers[2].dropout.training
    trained = set(layers[2].modules()) | {detector.backbone.encoder.model.encoder.layer_norm}
    assert not any(module.training for module in detector.backbone.encoder.modules() if module not in trained)
    assert not any(module.training for module in detector.eval().modules())


def test_the_encoder_has_its_own_learning_rate(wav2vec2):
    detector = built(wav2vec2, top_layers=1, lr_factor=0.25)
    groups = parameter_groups(detector)
    optimizer = adam(groups)
    set_learning_rate(optimizer, 0.5)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    of_encoder = {id(p) for p in detector.backbone.encoder.parameters() if p.requires_grad}
    assert {rates[key] for key in of_encoder} == {0.125}
    assert {rate for key, rate in rates.items() if key not in of_encoder} == {0.5}
    assert set(rates) == {id(p) for p in detector.parameters() if p.requires_grad}
    assert len(parameter_groups(detector.classifier)) == 1


def test_a_state_has_what_is_trained_and_refuses_other_weights(wav2vec2, tmp_path):
    options = {"layers": "all", "top_layers": 1}
    detector, fresh = built(wav2vec2, **options), built(wav2vec2, **options)
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.01 if parameter.requires_grad else 0.0)
    state = detector.state_dict()
    learned = {name for name, parameter in detector.named_parameters() if parameter.requires_grad}
    assert {name for name in state if name.startswith("backbone.encoder.")} == {
        name for name in learned if name.startswith("backbone.encoder.")
    }
    assert check_detector(experiment(wav2vec2, **options), 1) == sum(tensor.numel() for tensor in state.values())
    fresh.load_state_dict(state)
    assert torch.equal(fresh.eval().embed(waveforms()), detector.eval().embed(waveforms()))
    assert copy.deepcopy(detector).state_dict().keys() == state.keys()
    torch.manual_seed(3)
    other = saved_family("wav2vec2, stable", tmp_path / "model")
    path = other / "model.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="the detector was trained with"):
        built(other, **options).load_state_dict(state)


def test_recomputed_activations_have_the_same_gradients(wav2vec2):
    gradients = []
    for recompute in (False, True):
        detector = built(wav2vec2, top_layers=1, recompute=recompute)
        calls = []
        detector.backbone.encoder.model.encoder.layers[2].attention.register_forward_hook(
            lambda *_, c=calls: c.append(1)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            torch.manual_seed(1)
            names = reached(detector)
        assert len(calls) == 1 + recompute
        gradients.append({name: dict(detector.backbone.encoder.named_parameters())[name].grad for name in names})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(gradient, gradients[1][name]) for name, gradient in gradients[0].items())


@pytest.mark.parametrize("back_end", ["mhfa", "ssl_aasist", "attentive_pooling"])
def test_back_ends_take_all_layers_or_their_mix(wav2vec2, back_end):
    detector = built(wav2vec2, layers="all", back_end=back_end, top_layers=1, embedding_dim=None, n_samples=64000)
    assert detector.embed(torch.randn(2, 1, 64000)).shape == (2, detector.backbone.embedding_dim)
    assert hasattr(detector.backbone.mix, "logits") == (back_end != "mhfa")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"top_layers": 3, "layer": 2}, "top_layers is 3; 2 transformer layers are computed"),
        ({"top_layers": -1}, "at least 0"),
        ({"lr_factor": 0.0}, "lr_factor is 0.0"),
        ({"lora_rank": 17}, "lora_rank is 17"),
        ({"back_end": "lcnn"}, "back_end: no 'lcnn'"),
        ({"layer": 1, "layers": "all"}, "not both"),
        ({"layer": 4, "top_layers": 1}, "no layer 4"),
        ({"n_samples": 100}, "n_frames is 100"),
    ],
)
def test_what_cannot_be_is_refused(wav2vec2, options, text):
    for make in (build_detector, check_detector):
        with pytest.raises(InputError, match=text):
            make(experiment(wav2vec2, **{"top_layers": 1, **options}), 1)


def test_the_front_end_must_name_an_encoder(wav2vec2):
    for front_end in ("waveform", {"name": "transformers", "model": str(wav2vec2)}):
        plain = {"front_end": front_end, "input": {"n_frames": 4000}, "backbone": "fine_tuned"}
        with pytest.raises(InputError, match=r"needs front_end: \{name: waveform, model: MODEL\}"):
            check_detector(experiment_from_plain(plain), 1)
