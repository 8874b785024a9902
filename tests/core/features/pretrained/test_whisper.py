"""Whisper's encoder against the library's own forward pass, in every form in which models are distributed."""

import json

import pytest
import torch
import transformers

from core.errors import InputError
from core.features.pretrained.mels import slaney_filters
from core.features.pretrained.whisper import log_mel, whisper
from tests.core.features.pretrained.whisper_models import POSITIONS, saved_ctranslate2, saved_whisper, whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved_whisper(tmp_path_factory.mktemp("whisper"))


def noise(batch: int, time: int) -> torch.Tensor:
    return 0.1 * torch.randn(batch, time, generator=torch.Generator().manual_seed(6))


def library_states(folder, waveforms: torch.Tensor) -> list[torch.Tensor]:
    """Hidden states `(batch, POSITIONS, 16)` as the library computes them."""
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    inputs = extractor([*waveforms.numpy()], sampling_rate=16000, return_tensors="pt").input_features
    encoder = transformers.WhisperModel.from_pretrained(folder).eval().get_encoder()
    with torch.no_grad():
        output = encoder(inputs, output_hidden_states=True)
    return [*output.hidden_states[:-1], output.last_hidden_state]


@pytest.mark.parametrize("n_mels", [80, 128])
def test_log_mel_is_the_librarys(n_mels):
    extractor = transformers.WhisperFeatureExtractor(feature_size=n_mels)
    waveforms = noise(2, 30000) * torch.linspace(0.01, 5, 30000)
    expected = extractor([*waveforms.numpy()], sampling_rate=16000, return_tensors="pt").input_features
    spectrum = log_mel(waveforms, slaney_filters(400, n_mels), n_hops=3000)
    torch.testing.assert_close(spectrum, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("time", [POSITIONS * 320, POSITIONS * 320 - 1, 5000])
def test_every_layer_with_padding_is_the_librarys(folder, time):
    waveforms = noise(2, time)
    front_end = whisper(model=str(folder), layers="all", pad=True)
    assert (front_end.layers, front_end.n_features, front_end.hop_length) == ((0, 1, 2), 16, 320)
    expected = torch.cat(library_states(folder, waveforms), dim=2).transpose(1, 2)[:, :, : time // 320]
    torch.testing.assert_close(front_end(waveforms), expected, rtol=1e-4, atol=1e-4)


def test_without_padding_the_transformer_attends_to_the_audio_alone(folder):
    waveforms = noise(2, 5111)
    waveforms[:, 4990:] *= 50  # the loudest samples are behind the last whole frame
    states = [library_states(folder, waveforms)[0][:, :15]]
    encoder = whole().get_encoder()
    with torch.no_grad():
        for layer in encoder.layers:
            states.append(layer(states[-1], None))
        states[-1] = encoder.layer_norm(states[-1])
    features = whisper(model=str(folder), layers="all")(waveforms)
    torch.testing.assert_close(features, torch.cat(states, dim=2).transpose(1, 2), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(whisper(model=str(folder))(waveforms), features[:, 32:])


def test_longer_audio_is_cut_into_segments(folder):
    waveforms = noise(1, 130 * 320 + 100)
    front_end = whisper(model=str(folder), layers=[2, 0])
    features = front_end(waveforms)
    assert features.shape == (1, 32, 130)
    torch.testing.assert_close(features[:, :, :50], front_end(waveforms[:, :16000]))
    torch.testing.assert_close(features[:, :, 100:], front_end(waveforms[:, 80 * 320 : 130 * 320])[:, :, 20:])


@pytest.mark.parametrize("form", ["generation", "encoder", "shards", "pickle"])
def test_all_forms_of_a_model_are_read(folder, tmp_path, form):
    front_end = whisper(model=str(saved_whisper(tmp_path, form)), layers=[1, 2])
    expected = whisper(model=str(folder), layers=[1, 2])(noise(1, 4000))
    tolerance = 5e-3 if form == "pickle" else 1e-5  # the pickle holds half precision
    torch.testing.assert_close(front_end(noise(1, 4000)), expected, rtol=tolerance, atol=tolerance)
    assert any(name.endswith((".safetensors", ".bin")) for name in front_end.weights)


@pytest.mark.parametrize(("kind", "tolerance"), [("float32", 1e-5), ("float16", 5e-3), ("int8", 5e-2)])
def test_ctranslate2_holds_the_same_model(folder, tmp_path, kind, tolerance):
    front_end = whisper(model=str(saved_ctranslate2(tmp_path, kind=kind)), layers="all")
    assert (list(front_end.weights), front_end.configuration) == (["model.bin"], {})
    features = whisper(model=str(folder), layers="all")(noise(1, 4000))
    torch.testing.assert_close(front_end(noise(1, 4000)), features, rtol=tolerance, atol=tolerance)


def test_models_of_the_hub_may_have_the_format_of_ctranslate2(tmp_path, monkeypatch):
    asked = []

    def snapshot(model, *, revision, allow_patterns):
        asked.append(allow_patterns[2:])  # what follows the configuration
        if allow_patterns[-1] == "model.bin":
            saved_ctranslate2(tmp_path)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert list(whisper(model="someone/faster-whisper").weights) == ["model.bin"]
    assert [patterns[0] for patterns in asked] == ["model.safetensors", "pytorch_model.bin", "model.bin"]


def test_layers_above_the_highest_are_not_read(folder):
    assert len(whisper(model=str(folder), layer=1).encoder.layers) == 1
    assert len(whisper(model=str(folder), layer=0).encoder.layers) == 0


def edited(folder, tmp_path, **changes):
    saved_whisper(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "is of type bert; this front end takes whisper"),
        ({"d_model": "many"}, "d_model is 'many'; it must be a positive integer"),
        ({"d_model": 32}, r"conv1\.weight is of \(16, 8, 3\), not \(32, 8, 3\)"),
        ({"encoder_layers": 3}, r"layers\.2\.self_attn.* is missing"),
        ({"encoder_attention_heads": 3}, "no encoder has the sizes"),
    ],
)
def test_wrong_configurations_are_refused(folder, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        whisper(model=edited(folder, tmp_path, **changes))


def test_damaged_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        whisper(model=str(tmp_path))
    saved_whisper(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="has no weights"):
        whisper(model=str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda content: content[:2000], "no Whisper model of CTranslate2, or damaged"),
        (lambda content: b"", "no Whisper model of CTranslate2, or damaged"),
        (lambda content: b"\x09" + content[1:], "it starts with 9; versions 4, 5, 6 are read"),
        (lambda content: content.replace(b"WhisperSpec", b"TransfoSpec"), "it holds TransfoSpec, not WhisperSpec"),
        (lambda content: content.replace(b"num_heads", b"num_tails"), "'num_heads' is missing"),
        (lambda content: content.replace(b"conv2/bias", b"conv3/bias"), r"conv2\.bias of \(16,\) is missing"),
    ],
)
def test_damaged_files_of_ctranslate2_are_refused(tmp_path, content, message):
    path = saved_ctranslate2(tmp_path) / "model.bin"
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        whisper(model=str(tmp_path))
