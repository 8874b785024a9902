"""Transformer front ends against the transformers library itself, on tiny models with random weights."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from core import audio, table
from core.audio import AudioOptions
from core.corpora.layouts import CORPORA
from core.errors import InputError
from core.features.pretrained.families import receptive_field
from core.features.transformer import transformer
from core.stores.extraction import extract
from tests.speech import make_corpus

CLASSES = {
    "wav2vec2": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model),
    "hubert": (transformers.HubertConfig, transformers.HubertModel),
    "wavlm": (transformers.WavLMConfig, transformers.WavLMModel),
}


def saved_model(
    model_type: str, folder: Path, *, do_normalize: bool = True, sampling_rate: int = 16000, stable: bool = False
) -> Path:
    """A folder with a model of three transformer layers of 16 features, weights random."""
    configuration, model = CLASSES[model_type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = configuration(
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=24,
            conv_dim=(8, 8, 8),
            conv_kernel=(10, 8, 4),
            conv_stride=(5, 8, 4),
            num_feat_extract_layers=3,
            num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=2,
            do_stable_layer_norm=stable,
            feat_extract_norm="layer" if stable else "group",
            num_buckets=32,
            max_bucket_distance=16,
        )
        model(config).save_pretrained(folder)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize, sampling_rate=sampling_rate)
    extractor.save_pretrained(folder)
    return folder


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return saved_model("wav2vec2", tmp_path_factory.mktemp("wav2vec2"))


def noise(batch: int = 2, time: int = 4000) -> torch.Tensor:
    return 0.3 + 0.1 * torch.randn(batch, time, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("model_type", "do_normalize", "stable"),
    [("wav2vec2", True, False), ("wav2vec2", True, True), ("hubert", False, False), ("wavlm", True, False)],
)
def test_features_are_the_librarys(tmp_path, model_type, do_normalize, stable):
    folder = saved_model(model_type, tmp_path, do_normalize=do_normalize, stable=stable)
    waveforms = noise()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor([*waveforms.numpy()], sampling_rate=16000, return_tensors="pt").input_values
    model = CLASSES[model_type][1].from_pretrained(folder).eval()
    with torch.no_grad():
        output = model(inputs, output_hidden_states=True)
    assert len(output.hidden_states) == 4
    states = [*output.hidden_states[:3], output.last_hidden_state]

    last = transformer(model=str(folder))
    assert (last.n_features, last.hop_length) == (16, 160)
    torch.testing.assert_close(last(waveforms), output.last_hidden_state.transpose(1, 2), rtol=1e-4, atol=1e-5)
    for layer in range(4):
        features = transformer(model=str(folder), layer=layer)(waveforms)
        torch.testing.assert_close(features, states[layer].transpose(1, 2), rtol=1e-4, atol=1e-5)
    several = transformer(model=str(folder), layers=[2, 0, 3])
    assert (several.layers, several.n_features) == ((2, 0, 3), 16)
    expected = torch.cat([states[2], states[0], states[3]], dim=2).transpose(1, 2)
    torch.testing.assert_close(several(waveforms), expected, rtol=1e-4, atol=1e-5)
    every = transformer(model=str(folder), layers="all")
    assert every.layers == (0, 1, 2, 3)
    torch.testing.assert_close(every(waveforms), torch.cat(states, dim=2).transpose(1, 2), rtol=1e-4, atol=1e-5)


def test_several_layers_are_stored_at_once(folder, tmp_path):
    root = make_corpus(tmp_path / "LA", n_per_class=1, duration_s=0.4)
    utterances = CORPORA["asvspoof2019_la"](root).partition("train")
    block = table.Block("transformers", {"model": str(folder), "layers": [0, 3]})
    store = extract(utterances, block, AudioOptions(), root=tmp_path)
    single = {layer: transformer(model=str(folder), layer=layer) for layer in (0, 3)}
    waveform = torch.from_numpy(audio.load(utterances[0].path, AudioOptions()))[None]
    for layer in (0, 3):
        expected = single[layer](waveform)[0].half().T.numpy()
        np.testing.assert_allclose(store.reading(layer).frames(0), expected, rtol=2e-3, atol=1e-3)


def test_layers_above_the_highest_are_not_computed(folder):
    sizes = [sum(each.numel() for each in transformer(model=str(folder), layer=layer).parameters()) for layer in (1, 3)]
    assert len(transformer(model=str(folder), layer=0).model.encoder.layers) == 0
    assert len(transformer(model=str(folder), layers=[2, 1]).model.encoder.layers) == 2
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("model_type", CLASSES)
def test_one_frame_is_enough(tmp_path, model_type):
    front_end = transformer(model=str(saved_model(model_type, tmp_path)))
    assert front_end(noise(1, front_end.min_samples)).shape == (1, 16, 1)
    assert front_end(noise(1, front_end.min_samples + front_end.hop_length)).shape == (1, 16, 2)


def test_adapters_are_left_out(folder, tmp_path):
    saved_model("wav2vec2", tmp_path)
    edit(tmp_path / "config.json", add_adapter=True, output_hidden_size=24)
    torch.testing.assert_close(transformer(model=str(tmp_path))(noise()), transformer(model=str(folder))(noise()))


def test_normalised_models_hear_no_level(folder):
    front_end = transformer(model=str(folder))
    torch.testing.assert_close(front_end(noise()), front_end(4 * noise() - 0.2), rtol=1e-3, atol=1e-4)


def test_receptive_field_of_wav2vec2_is_25_ms():
    assert receptive_field([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2]) == 400


def test_weights_are_identified_by_content(folder, tmp_path):
    first = transformer(model=str(folder)).weights
    assert list(first) == ["model.safetensors"]
    assert transformer(model=str(saved_model("wav2vec2", tmp_path))).weights == first  # another folder, same content
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name] + 1}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert transformer(model=str(tmp_path)).weights != first


def test_weights_in_pytorchs_form_are_read_without_running_code(folder, tmp_path):
    saved_model("wav2vec2", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    norm = "encoder.pos_conv_embed.conv."  # under the names that files from before torch 2 have
    tensors[f"{norm}weight_g"] = tensors.pop(f"{norm}parametrizations.weight.original0")
    tensors[f"{norm}weight_v"] = tensors.pop(f"{norm}parametrizations.weight.original1")
    del tensors["masked_spec_embed"]  # used in pretraining alone
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    front_end = transformer(model=str(tmp_path))
    assert list(front_end.weights) == ["pytorch_model.bin"]
    torch.testing.assert_close(front_end(noise()), transformer(model=str(folder))(noise()))

    marker = tmp_path / "ran"

    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    torch.save({**tensors, "extra": Malicious()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="its weights cannot be read"):
        transformer(model=str(tmp_path))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 4}, "no layer 4; there are 0 to 3"),
        ({"layer": -1}, "no layer -1; there are 0 to 3"),
        ({"layers": [1, 7, 9]}, "no layer 7, 9; there are 0 to 3"),
        ({"layers": [1, 2, 1]}, "layer 1 is listed twice"),
        ({"layers": []}, "an empty list of layers was given; there are 0 to 3"),
        ({"layer": 1, "layers": [1]}, "`layer` or `layers` can be given, not both"),
        ({"revision": "main"}, "`revision` is for models of the hub"),
    ],
)
def test_wrong_options_are_refused(folder, options, message):
    with pytest.raises(InputError, match=message):
        transformer(model=str(folder), **options)


def test_models_of_another_kind_are_refused(tmp_path):
    saved_model("wav2vec2", tmp_path)
    edit(tmp_path / "config.json", model_type="bert")
    with pytest.raises(InputError, match="is of type bert; this front end takes wav2vec2, "):
        transformer(model=str(tmp_path))


def test_models_with_code_of_their_own_are_refused(tmp_path):
    saved_model("wav2vec2", tmp_path)
    marker = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    edit(tmp_path / "config.json", model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModel": "own.Own"})
    with pytest.raises(InputError, match="its configuration cannot be read"):
        transformer(model=str(tmp_path))
    assert not marker.exists()


def test_models_of_another_rate_are_refused(tmp_path):
    with pytest.raises(InputError, match="takes 8000 Hz; it must be 16000"):
        transformer(model=str(saved_model("wav2vec2", tmp_path, sampling_rate=8000)))


def test_damaged_folders_are_refused(tmp_path):
    saved_model("wav2vec2", tmp_path)
    weights = tmp_path / "model.safetensors"
    tensors = load_file(weights)

    lacking = {name: tensor for name, tensor in tensors.items() if "layers.2.attention.k_proj" not in name}
    save_file(lacking, weights, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"its weights lack 2 tensors, such as encoder\.layers\.2\.attention\.k_proj"):
        transformer(model=str(tmp_path))

    weights.write_bytes(b"\x00" * 100)
    with pytest.raises(InputError, match="its weights cannot be read"):
        transformer(model=str(tmp_path))

    weights.unlink()
    with pytest.raises(InputError, match="has no weights"):
        transformer(model=str(tmp_path))

    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match="its configuration cannot be read"):
        transformer(model=str(tmp_path))

    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="its configuration cannot be read"):
        transformer(model=str(tmp_path))


@pytest.mark.parametrize("model", ["nobody/nothing", "no such folder/at all/here", ""])
def test_unreachable_hub_says_what_to_do(monkeypatch, tmp_path, model):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="or give `model` a folder with a copy of it"):
        transformer(model=model)


def test_hub_models_come_from_its_local_copy(monkeypatch, folder):
    asked = []

    def snapshot(model, *, revision, allow_patterns):
        asked.append((model, revision))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    front_end = transformer(model="someone/something", revision="abc")
    assert asked == [("someone/something", "abc")]
    assert front_end.weights == transformer(model=str(folder)).weights


def test_waveforms_are_normalised_one_by_one(folder):
    waveforms = torch.cat([noise(1), 10 * noise(1)])
    features = transformer(model=str(folder))(waveforms)
    np.testing.assert_allclose(features[0].numpy(), features[1].numpy(), atol=1e-3)
