"""The catalogue of front ends says what the front ends are, and what is on this machine."""

import tomllib
from itertools import groupby
from pathlib import Path

import pytest
import torch
import transformers

from core.catalogue import packages
from core.catalogue.front_ends import CATALOGUE
from core.features import FRONT_ENDS
from core.features.pretrained import distillmos, resemblyzer
from core.features.wav2vec import wav2vec
from core.features.xvector import Network as XVectorNetwork

ROOT = Path(__file__).resolve().parents[3]
ENTRIES = {entry.row: entry for entry in CATALOGUE}
MODELS = {entry.model: entry for entry in CATALOGUE if entry.model}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
XLS_R = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
CONFIGS = {
    "facebook/wav2vec2-base": ("Wav2Vec2", {}),
    "facebook/wav2vec2-xls-r-300m": ("Wav2Vec2", {**LARGE, **XLS_R}),
    "microsoft/wavlm-base-plus": ("WavLM", {}),
    "facebook/data2vec-audio-base": ("Data2VecAudio", {}),
    "facebook/w2v-bert-2.0": ("Wav2Vec2Bert", {}),
}
"""Published models whose configuration is the library's default, or nearly so."""


def size(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_it_has_every_row_in_order():
    assert [row for row, _ in groupby(entry.row for entry in CATALOGUE)] == list(FRONT_ENDS)


@pytest.mark.parametrize("row", [entry.row for entry in CATALOGUE if entry.needs == "nothing"])
def test_spectra_are_as_announced(row):
    front_end = FRONT_ENDS[row]()
    assert front_end.n_features == ENTRIES[row].n_features
    assert 16000 / front_end.hop_length == ENTRIES[row].frames_per_second
    assert size(front_end) == ENTRIES[row].parameters == 0


@pytest.mark.parametrize("model", CONFIGS)
def test_models_of_the_library_are_as_announced(model):
    prefix, sizes = CONFIGS[model]
    config = getattr(transformers, f"{prefix}Config")(**sizes, add_adapter=False)
    with torch.device("meta"):
        network = getattr(transformers, f"{prefix}Model")(config)
    entry = MODELS[model]
    announced = (entry.parameters, entry.n_features, entry.layers)
    assert announced == (size(network), config.hidden_size, f"0-{config.num_hidden_layers}")


@pytest.mark.parametrize(
    ("model", "width", "n_layers", "n_mels"),
    [("openai/whisper-tiny.en", 384, 4, 80), ("openai/whisper-large-v3", 1280, 32, 128)],
)
def test_whisper_is_as_announced(model, width, n_layers, n_mels):
    sizes = {"d_model": width, "encoder_layers": n_layers, "encoder_ffn_dim": 4 * width, "num_mel_bins": n_mels}
    heads = {"encoder_attention_heads": width // 64, "decoder_attention_heads": width // 64}
    with torch.device("meta"):
        encoder = transformers.WhisperModel(transformers.WhisperConfig(**sizes, **heads, decoder_layers=1)).encoder
    entry = MODELS[model]
    assert (entry.parameters, entry.n_features, entry.layers) == (size(encoder), width, f"0-{n_layers}")


def test_networks_of_our_own_are_as_announced():
    with torch.device("meta"):
        sizes = {"channels": distillmos.CHANNELS, "n_positions": distillmos.N_POSITIONS}
        networks = {
            "distillmos": distillmos.Network(n_features=200, n_hidden=400, n_layers=7, **sizes),
            "resemblyzer": resemblyzer.Network(),
            "xvector": XVectorNetwork(30),
            "wav2vec": wav2vec(random_init=True),
        }
    assert {row: ENTRIES[row].parameters for row in networks} == {row: size(net) for row, net in networks.items()}
    assert ENTRIES["resemblyzer"].n_features == networks["resemblyzer"].linear.out_features


def test_a_model_of_the_hub_is_ready_once_it_is_here(tmp_path, monkeypatch):
    entry = MODELS["openai/whisper-tiny.en"]
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert entry.ready(entry.model) == "downloaded when used"
    (tmp_path / "hub" / "models--openai--whisper-tiny.en" / "snapshots" / "abc").mkdir(parents=True)
    assert entry.ready(entry.model) == "yes"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert entry.ready(entry.model) == "downloaded when used"


def test_a_package_is_ready_once_its_file_is_here(tmp_path, monkeypatch):
    entry = ENTRIES["distillmos"]
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert entry.ready("") == 'pip install --no-deps "distillmos==0.9.*"'
    assert ENTRIES["resemblyzer"].ready("") == 'pip install --no-deps "Resemblyzer==0.1.*"'
    (tmp_path / "distillmos" / "weights").mkdir(parents=True)
    (tmp_path / "distillmos" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "distillmos" / packages.DISTILLMOS.file).touch()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert entry.ready("") == "yes"


def test_requirements_are_those_of_the_extras():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, package in (("distillmos", packages.DISTILLMOS), ("resemblyzer", packages.RESEMBLYZER)):
        assert extras[extra] == [package.requirement]
