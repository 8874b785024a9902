"""Every family of the library transformers against the library's own forward pass, layer by layer."""

import pytest
import torch
import transformers

from core.errors import InputError
from core.features.pretrained.families import FAMILIES
from core.features.pretrained.mels import fbank
from core.features.transformer import transformer
from tests.core.features.pretrained.family_models import MODELS, saved_family
from tests.core.features.pretrained.whisper_models import saved_whisper

SQUEEZED = ("sew", "sew-d")


@pytest.fixture(scope="module", params=MODELS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def folder(name, tmp_path_factory):
    return saved_family(name, tmp_path_factory.mktemp("model"))


def noise(batch: int, time: int) -> torch.Tensor:
    return 0.2 + 0.1 * torch.randn(batch, time, generator=torch.Generator().manual_seed(8))


def library_states(name: str, folder, waveforms: torch.Tensor) -> list[torch.Tensor]:
    """What enters the first layer, what leaves every layer, and the library's norm behind the last: by hooks."""
    family = FAMILIES[name.split(",")[0]]
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor([*waveforms.numpy()], sampling_rate=16000, return_tensors="pt")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    layers = model.get_submodule(family.layers)
    states: list[torch.Tensor] = []

    def first(output):
        return output[0] if isinstance(output, tuple) else output

    layers[0].register_forward_pre_hook(
        lambda _, inputs, names: states.append(inputs[0] if inputs else names["hidden_states"]), with_kwargs=True
    )
    for layer in layers:
        layer.register_forward_hook(lambda _, inputs, output: states.append(first(output)))
    with torch.no_grad():
        output = model(**inputs)
        if family.has_norm(model.config):
            states[-1] = model.get_submodule(family.norm)(states[-1])
            torch.testing.assert_close(states[-1], output.last_hidden_state)
    if name == "audio-spectrogram-transformer":  # tokens: 2 for the whole, then all times of a band, band by band
        states = [state[:, 2:].reshape(len(state), 3, 6, 16).mean(dim=1) for state in states]
    return states


@pytest.mark.parametrize("time", [4000, 4321])
def test_every_layer_is_the_librarys(name, folder, time):
    waveforms = noise(2, time)
    states = library_states(name, folder, waveforms)
    assert len(states) == 4
    features = transformer(model=str(folder), layers="all")(waveforms)
    n_frames = features.shape[2]
    expected = torch.cat(states, dim=2).transpose(1, 2)[:, :, :n_frames]
    assert all((state - states[0]).abs().max() > 0.1 for state in states[1:])  # the layers do something
    # The library computes the mel spectra of w2v-BERT in float64.
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=2e-3 if name == "wav2vec2-bert" else 1e-4)
    for layer in range(4):
        alone = transformer(model=str(folder), layer=layer)(waveforms)
        torch.testing.assert_close(alone, features[:, 16 * layer : 16 * layer + 16], rtol=1e-3, atol=1e-4)


def test_frames_are_as_announced(name, folder):
    front_end = transformer(model=str(folder))
    hop = {"audio-spectrogram-transformer": 1600, "wav2vec2-bert": 320}.get(name, 320 if name in SQUEEZED else 160)
    assert front_end.hop_length == hop
    for time, n_frames in ((0, 1), (hop - 1, 1), (hop, 2), (5 * hop - 1, 5)):
        assert front_end(noise(1, front_end.min_samples + time)).shape == (1, 16, n_frames)
    with pytest.raises(RuntimeError, match="a frame needs"):
        front_end(noise(1, front_end.min_samples - 1))


def test_a_waveform_alone_has_the_same_features(name, folder):
    front_end = transformer(model=str(folder), layers=[0, 3])
    waveforms = noise(3, 4000) * torch.tensor([[1.0], [5.0], [0.1]])
    together = front_end(waveforms)
    for index in range(3):
        torch.testing.assert_close(front_end(waveforms[index : index + 1])[0], together[index], rtol=1e-4, atol=1e-4)


def test_layers_above_the_highest_are_left_out(name, folder):
    path = FAMILIES[name.split(",")[0]].layers
    sizes = [len(transformer(model=str(folder), layer=layer).model.get_submodule(path)) for layer in (0, 1, 3)]
    assert sizes == [0, 1, 3]


def test_longer_audio_is_cut_into_segments_where_the_length_is_limited(tmp_path):
    front_end = transformer(model=str(saved_family("audio-spectrogram-transformer", tmp_path)))
    waveform = noise(1, front_end.min_samples + 13 * 1600 + 50)
    features = front_end(waveform)
    assert features.shape == (1, 16, 14)
    torch.testing.assert_close(features[:, :, :6], front_end(waveform[:, : 2800 + 5 * 1600]))
    torch.testing.assert_close(features[:, :, 12:], front_end(waveform[:, 8 * 1600 : 2800 + 13 * 1600])[:, :, 4:])


def test_every_family_is_tested():
    assert {name.split(",")[0] for name in MODELS} == set(FAMILIES)


def test_another_row_is_named_for_whisper(tmp_path):
    with pytest.raises(InputError, match=r"is of type whisper; .*the front end `whisper` takes it"):
        transformer(model=str(saved_whisper(tmp_path)))


def test_fbank_is_kaldis_as_the_library_computes_it():
    extractor = transformers.SeamlessM4TFeatureExtractor()
    waveform = noise(1, 8000)
    expected = torch.from_numpy(extractor._extract_fbank_features(waveform[0].numpy())).float()
    torch.testing.assert_close(fbank(waveform * 2**15, "povey", 80)[0], expected, rtol=1e-3, atol=1e-3)
