import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from core import bundle, table
from core.bundle.damage import bundle_problems
from core.config import experiment_from_plain, experiment_to_plain
from core.corpora.layouts import CORPORA
from core.detector import build_detector, score_store
from core.errors import InputError
from core.evaluation.calibration import Calibration
from core.features import FRONT_ENDS
from core.features.spectral import lfcc
from core.features.weights import digests, files_of
from core.stores.extraction import extract
from core.table import Block
from tests.core.features.pretrained.models import saved_distillmos
from tests.core.features.pretrained.whisper_models import saved_whisper
from tests.flips import flip
from tests.speech import make_corpus

PLAIN = {
    "front_end": "lfcc",
    "input": {"n_frames": 20, "score_windows": 3},
    "backbone": {"name": "senet18", "width": 4, "embedding_dim": 16},
    "classifier": {"name": "mlp", "hidden": 8},
}
MEASURED = {"eer": 0.125, "auc": 0.9, "eer_per_attack": {"A01": 0.1}, "n_bona_fide": 3, "n_spoof": 4}


@pytest.fixture(scope="module")
def exported():
    torch.manual_seed(0)
    experiment = experiment_from_plain(PLAIN)
    detector = build_detector(experiment, 60).eval()
    provenance = {"run": "quick-001", "trial": 3, "corpus": "LA"}
    return bundle.Bundle(detector, experiment, 60, 0.25, {"dev": MEASURED}, provenance)


@pytest.fixture
def folder(exported, tmp_path):
    bundle.save(exported, tmp_path / "bundle", front_end_weights={}, front_end_version=lfcc().version)
    return tmp_path / "bundle"


def test_a_bundle_comes_back_as_it_was(exported, folder):
    loaded = bundle.load(folder)
    assert experiment_to_plain(loaded.experiment) == experiment_to_plain(exported.experiment)
    assert loaded.threshold == exported.threshold
    state = loaded.detector.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in exported.detector.state_dict().items())
    assert not loaded.detector.training
    assert loaded.metrics == {"dev": MEASURED}
    assert sorted(each.name for each in folder.iterdir()) == ["README.md", "config.json", "weights.safetensors"]
    card = (folder / "README.md").read_text()
    assert "12.50" in card
    assert "A01 | 10.00" in card
    n_parameters = sum(parameter.numel() for parameter in exported.detector.parameters())
    assert f"{n_parameters:,} parameters" in card
    assert "the software is under Apache-2.0" in card
    assert "their licence depends on the training data and on the front end (`lfcc`)" in card


def test_a_calibration_comes_back_and_is_on_the_card(exported, tmp_path):
    costs = {"p_spoof": 0.05, "miss": 1.0, "false_alarm": 10.0}
    measured = {**MEASURED, "min_dcf": 0.2, "act_dcf": 0.3, "cllr": 0.4, "min_cllr": 0.35, "dcf_costs": costs}
    calibrated = dataclasses.replace(exported, calibration=Calibration(2.0, -1.5), metrics={"dev": measured})
    bundle.save(calibrated, tmp_path / "bundle", front_end_weights={}, front_end_version=lfcc().version)
    assert bundle.load(tmp_path / "bundle").calibration == Calibration(2.0, -1.5)
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert "2 * score -1.5" in card
    assert "| dev | 0.2000 | 0.3000 | 0.4000 | 0.3500 |" in card
    assert "below 0.5" not in card
    config = json.loads((tmp_path / "bundle" / "config.json").read_text())
    (tmp_path / "bundle" / "config.json").write_text(json.dumps({**config, "calibration": {"slope": -1, "offset": 0}}))
    with pytest.raises(InputError, match="slope must be positive"):
        bundle.load(tmp_path / "bundle")


def test_a_bundle_without_calibration_says_so(exported, folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    del config["calibration"]  # an earlier version
    (folder / "config.json").write_text(json.dumps(config))
    assert bundle.load(folder).calibration is None
    assert "not calibrated" in (folder / "README.md").read_text()
    turned = dataclasses.replace(exported, metrics={"eval": {**MEASURED, "auc": 0.1}})
    bundle.save(turned, tmp_path / "turned", front_end_weights={}, front_end_version=lfcc().version)
    assert "Warning: on eval, AUC 0.1000 is below 0.5" in (tmp_path / "turned" / "README.md").read_text()


def test_scores_become_ratios_and_decisions_for_any_prior(exported, folder, tmp_path, capsys):
    from search.cli.main import main

    recording = tmp_path / "a.wav"
    soundfile.write(recording, np.random.default_rng(0).normal(size=16000) * 0.1, 16000)
    (_, cm_score), *_ = bundle.score(bundle.load(folder), [recording])
    assert main(["score", str(folder), str(recording), "--llr"]) == 2
    assert "has no calibration" in capsys.readouterr().err
    # The ratio is 0.5. With these priors it must be at least -log(.95 / .5) = -.64, or log(9) = 2.2.
    calibration = Calibration(2.0, 0.5 - 2 * cm_score)
    bundle.save(
        dataclasses.replace(exported, calibration=calibration),
        tmp_path / "other",
        front_end_weights={},
        front_end_version=lfcc().version,
    )
    decisions = []
    for options in (["--llr", "--p-spoof", "0.05"], ["--llr", "--p-spoof", "0.9", "--cost-false-alarm", "1"]):
        assert main(["score", str(tmp_path / "other"), str(recording), *options]) == 0
        path, llr, decision = capsys.readouterr().out.strip().split("\t")
        assert (path, float(llr)) == (str(recording), pytest.approx(0.5, abs=1e-4))
        decisions.append(decision)
    assert decisions == ["bonafide", "spoof"]


def test_a_bundle_is_never_overwritten(exported, folder):
    before = (folder / "weights.safetensors").read_bytes()
    with pytest.raises(InputError, match="is not empty"):
        bundle.save(exported, folder, front_end_weights={}, front_end_version=lfcc().version)
    assert (folder / "weights.safetensors").read_bytes() == before


def test_a_recording_scores_as_it_did_from_the_store(exported, folder, tmp_path):
    corpus = CORPORA["asvspoof2019_la"](make_corpus(tmp_path / "LA", n_per_class=3, duration_s=0.3))
    utterances = corpus.partition("dev")
    experiment = exported.experiment
    store = extract(utterances, experiment.front_end, experiment.audio, root=tmp_path / "stores")
    loaded = bundle.load(folder)
    scored = [result for _, result in bundle.score(loaded, [each.path for each in utterances])]
    np.testing.assert_allclose(scored, score_store(loaded.detector, store), rtol=1e-4, atol=1e-5)


def test_bad_recordings_are_named_and_the_others_scored(folder, tmp_path):
    good, corrupt, short = (tmp_path / name for name in ("good.wav", "corrupt.flac", "short.wav"))
    noise = np.random.default_rng(0).normal(size=(44100, 2)) * 0.1
    soundfile.write(good, noise, 44100)
    soundfile.write(short, noise[:20], 44100)
    corrupt.write_bytes(b"fLaC and then words")
    results = dict(bundle.score(bundle.load(folder), [corrupt, good, short, tmp_path / "absent.wav"]))
    assert isinstance(results[good], float)
    for path in (corrupt, short, tmp_path / "absent.wav"):
        assert isinstance(results[path], InputError)
        assert path.name in str(results[path])


@pytest.mark.parametrize("damage", ["config", "weights", "format", "truncated", "mismatch", "absent"])
def test_a_damaged_bundle_is_refused(folder, damage):
    config = json.loads((folder / "config.json").read_text())
    if damage == "config":
        (folder / "config.json").write_text("{")
    elif damage == "weights":
        (folder / "weights.safetensors").unlink()
    elif damage == "format":
        (folder / "config.json").write_text(json.dumps({**config, "format": 99}))
    elif damage == "truncated":
        (folder / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes()[:-100])
    elif damage == "mismatch":
        config["experiment"]["backbone"]["width"] = 8
        (folder / "config.json").write_text(json.dumps(config))
    else:
        folder = folder / "absent"
    with pytest.raises(InputError, match=r"bundle|fit together"):
        bundle.load(folder)


def test_any_flipped_bit_of_a_bundle_is_noticed(folder):
    assert bundle_problems(folder) == []
    draw = random.Random(0)
    for file in sorted(folder.iterdir()) * 10:
        content = flip(file, draw)
        (problem,) = bundle_problems(folder)
        assert problem.startswith(f"{file}: damaged")
        if file.name == "weights.safetensors":
            with pytest.raises(InputError, match="weights"):
                bundle.load(folder)
        file.write_bytes(content)


def test_front_end_weights_of_another_training_are_refused(exported, tmp_path):
    bundle.save(exported, tmp_path / "bundle", front_end_weights={"wav2vec.pt": "ab" * 32}, front_end_version=1)
    with pytest.raises(InputError, match=r"wav2vec\.pt"):
        bundle.front_end_of(bundle.load(tmp_path / "bundle"))


def test_weights_that_moved_are_named_again_and_their_content_is_checked(exported, tmp_path, monkeypatch):
    def pretrained(*, checkpoint: str):
        if not Path(checkpoint).exists():
            raise InputError(f"{checkpoint}: cannot be read")
        front_end = torch.nn.Identity()
        front_end.weights, front_end.version = digests([Path(checkpoint)]), 1
        return front_end

    monkeypatch.setitem(FRONT_ENDS, "pretrained", pretrained)
    for name, content in (("one", b"1"), ("same", b"1"), ("two", b"2")):
        (tmp_path / name).write_bytes(content)
    experiment = dataclasses.replace(exported.experiment, front_end=Block("pretrained", {"checkpoint": "gone"}))
    weights = {"front_end_weights": digests([tmp_path / "one"])}
    moved = dataclasses.replace(exported, experiment=experiment, provenance=weights)
    assert bundle.front_end_of(moved, tmp_path / "same").weights["same"] == weights["front_end_weights"]["one"]
    with pytest.raises(InputError, match=r"the bundle was trained with .*; score --weights names another file"):
        bundle.front_end_of(moved, tmp_path / "two")
    with pytest.raises(InputError, match=r"(?s)gone: cannot be read.*score --weights names another place of one"):
        bundle.front_end_of(moved)
    with pytest.raises(InputError, match="needs no pretrained weights"):
        bundle.front_end_of(exported, tmp_path / "one")


@pytest.mark.parametrize("row", ["distillmos", "whisper"])
def test_a_self_contained_bundle_scores_where_its_front_end_has_no_weights(row, tmp_path):
    saved = {"distillmos": ("weights", saved_distillmos), "whisper": ("model", saved_whisper)}
    option, save = saved[row]
    (tmp_path / "here").mkdir()
    place = save(tmp_path / "here")
    block = Block(row, {option: str(place), "layers": [1]})
    front_end = table.build("front_end", FRONT_ENDS, block)
    experiment = experiment_from_plain({**PLAIN, "front_end": block.plain()})
    detector = build_detector(experiment, front_end.n_features, front_end.layers).eval()
    made = bundle.Bundle(detector, experiment, front_end.n_features, 0.0, {}, {}, layers=front_end.layers)
    about = {"front_end_weights": front_end.weights, "front_end_version": front_end.version}
    bundle.save(made, tmp_path / "apart", **about)
    bundle.save(made, tmp_path / "whole", **about, front_end_files=files_of(front_end))
    recording = tmp_path / "a.wav"
    soundfile.write(recording, np.random.default_rng(0).normal(size=8000) * 0.1, 16000)
    ((_, expected),) = bundle.score(bundle.load(tmp_path / "apart"), [recording])
    (tmp_path / "here").rename(tmp_path / "gone")
    with pytest.raises(InputError):
        list(bundle.score(bundle.load(tmp_path / "apart"), [recording]))
    (tmp_path / "whole").rename(tmp_path / "elsewhere")
    ((_, cm_score),) = bundle.score(bundle.load(tmp_path / "elsewhere"), [recording])
    assert cm_score == expected
    (tmp_path / "elsewhere" / "front_end" / "another").write_bytes(b"")
    if row == "distillmos":
        with pytest.raises(InputError, match="has 2 files; it must have one, the weights of distillmos"):
            list(bundle.score(bundle.load(tmp_path / "elsewhere"), [recording]))


def test_features_of_an_earlier_definition_are_refused(exported, tmp_path):
    bundle.save(exported, tmp_path / "old", front_end_weights={}, front_end_version=1)
    with pytest.raises(InputError, match="trained on features of version 1, and this spooftune computes version 2"):
        list(bundle.score(bundle.load(tmp_path / "old"), []))


def test_whatever_one_recording_does_the_others_are_scored(folder, tmp_path, monkeypatch):
    good, huge, greedy = (tmp_path / name for name in ("good.wav", "huge.wav", "greedy.wav"))
    noise = np.random.default_rng(0).normal(size=16000) * 0.1
    for path, gain in ((good, 1), (huge, 1e25), (greedy, 1)):
        soundfile.write(path, gain * noise, 16000, subtype="FLOAT")
    real = bundle.pieces.audio.load

    def load(path, *arguments):
        if path == greedy:
            raise MemoryError("too long")
        return real(path, *arguments)

    monkeypatch.setattr(bundle.pieces.audio, "load", load)
    heard = []
    results = dict(bundle.score(bundle.load(folder), [greedy, huge, good], warn=heard.append))
    assert isinstance(results[good], float)
    assert "greedy.wav: cannot be scored: MemoryError: too long" in str(results[greedy])
    assert "huge.wav: its CM score is nan" in str(results[huge])
    assert ["huge.wav: its peak is" in message for message in heard] == [True]


@pytest.mark.parametrize(("device", "words"), [("gpu", "valid: cpu, cuda"), ("cuda:7", "has 0 CUDA devices")])
def test_a_device_that_is_not_there_is_named(folder, device, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match=words):
        list(bundle.score(bundle.load(folder), [], device=device))
