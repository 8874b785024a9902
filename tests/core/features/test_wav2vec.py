"""The wav2vec network against a plain NumPy one, and the front end around it."""

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.features.wav2vec import wav2vec
from core.features.wav2vec_network import Wav2Vec, wav2vec_large, wav2vec_tiny
from tests.core.features.wav2vec_models import BRANCHED, noise, unlike_new


@pytest.mark.parametrize(("steps", "count"), [(0, 29_390_848), (12, 32_537_088)])
def test_large_has_the_published_number_of_parameters(steps, count):
    with torch.device("meta"):
        model = Wav2Vec(wav2vec_large(prediction_steps=steps))
    assert sum(parameter.numel() for parameter in model.encoder.parameters()) == 5_779_456
    assert sum(parameter.numel() for parameter in model.context.parameters()) == 23_611_392
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_large_gives_98_frames_of_512_for_a_second():
    front_end = wav2vec(random_init=True)
    assert sum(parameter.numel() for parameter in front_end.parameters()) == 29_390_848
    assert (front_end.n_features, front_end.hop_length, front_end.min_samples) == (512, 160, 465)
    features = front_end(noise(1, 16_000))
    assert features.shape == (1, 512, 98)
    assert torch.isfinite(features).all()
    assert features.std() > 0.01


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, stride: int) -> np.ndarray:
    kernel = weight.shape[2]
    starts = range(0, x.shape[1] - kernel + 1, stride)
    y = np.stack([np.tensordot(weight, x[:, s : s + kernel], axes=2) for s in starts], axis=1)
    return y if bias is None else y + bias[:, None]


def normed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * weight[:, None] + bias[:, None]


def test_network_against_numpy():
    model = unlike_new(wav2vec_tiny())
    tensors = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    waveform = noise(1, 2000)

    x = waveform.double().numpy()
    for i, (_, _, stride) in enumerate(model.config.encoder):
        x = convolved(x, tensors[f"encoder.{i}.convolution.weight"], None, stride)
        x = np.maximum(normed(x, tensors[f"encoder.{i}.norm.weight"], tensors[f"encoder.{i}.norm.bias"]), 0)
    encoded = np.log(np.abs(x) + 1)
    x = encoded
    for i, (_, kernel, _) in enumerate(model.config.context):
        past = np.hstack([np.repeat(x[:, :1], kernel - 1, axis=1), x])
        weight, bias = (tensors[f"context.{i}.convolution.{what}"] for what in ("weight", "bias"))
        y = normed(
            convolved(past, weight, bias, 1), tensors[f"context.{i}.norm.weight"], tensors[f"context.{i}.norm.bias"]
        )
        x = (np.maximum(y, 0) + x) * 0.5**0.5

    with torch.no_grad():
        np.testing.assert_allclose(model.encode(waveform)[0].numpy(), encoded, atol=1e-4)
        np.testing.assert_allclose(model(waveform)[0].numpy(), x, atol=1e-4)


def test_context_convolutions_are_causal():
    # Before the norm, whose statistics look ahead by nature.
    model = unlike_new(wav2vec_tiny()).double()
    encoded = torch.randn(1, 16, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    convolution = model.context[0].convolution
    output = convolution(torch.nn.functional.pad(encoded, (1, 0), mode="replicate"))
    (gradient,) = torch.autograd.grad(output[..., 20].sum(), encoded)
    assert set(gradient.abs().sum(dim=(0, 1)).nonzero().flatten().tolist()) == {19, 20}


def test_zeros_at_the_end_change_every_frame():
    front_end = wav2vec(random_init=True, size="tiny")
    padded = torch.nn.functional.pad(noise(), (0, 4000))
    features = front_end(noise())
    assert ((front_end(padded)[..., : features.shape[2]] - features).abs().amax(dim=1) > 1e-3).all()


def test_random_weights_come_from_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = wav2vec(random_init=True, size="tiny", seed=5)(noise())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(wav2vec(random_init=True, size="tiny", seed=5)(noise()), first)
    assert not torch.equal(wav2vec(random_init=True, size="tiny", seed=6)(noise()), first)


def test_head_predicts_encoder_features_of_each_step():
    model = unlike_new(BRANCHED)
    with torch.no_grad():
        context = model(noise())
        predicted = model.predictions(context)
        head = model.prediction_head
        # A transposed convolution with a kernel of (1, steps) is one matrix for each step.
        expected = torch.einsum("bct,cdk->bdtk", context, head.weight[:, :, 0]) + head.bias[None, :, None, None]
    assert predicted.shape == (1, 12, context.shape[2], 3)
    torch.testing.assert_close(predicted, expected)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.pt: a wav2vec checkpoint cannot be read here: No such file"):
        wav2vec(checkpoint=str(tmp_path / "nowhere.pt"))
    with pytest.raises(InputError, match="Is a directory"):
        wav2vec(checkpoint=str(tmp_path))


def test_weights_must_come_from_somewhere():
    with pytest.raises(InputError, match="needs `checkpoint: FILE` or `random_init: true`; neither was given"):
        wav2vec()
    with pytest.raises(InputError, match="both were given"):
        wav2vec(checkpoint="w.pt", random_init=True)
    with pytest.raises(InputError, match="seed is -1; it must be from 0"):
        wav2vec(random_init=True, seed=-1)
