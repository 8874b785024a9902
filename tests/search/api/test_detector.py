"""The Python API: detectors that score paths and arrays as the command line scores files."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import soundfile
import torch

import spooftune
from core import bundle
from core.evaluation.calibration import Calibration
from search.cli.main import main
from tests.bundles import export
from tests.documents import ROOT


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory.mktemp("bundle") / "b", calibration=Calibration(2.0, 1.0))


@pytest.fixture(scope="module")
def detector(exported):
    return spooftune.load(exported)


@pytest.fixture
def clips(tmp_path):
    """Recordings of several rates, lengths and channels; the last one is long."""
    paths = []
    for number, (rate, seconds, channels) in enumerate(
        [(16000, 0.6, 1), (44100, 0.9, 2), (8000, 0.4, 1), (16000, 3, 1)]
    ):
        path = tmp_path / f"{number}.wav"
        rng = np.random.default_rng(number)
        noise = rng.normal(size=(int(rate * seconds), channels)) * rng.uniform(0.01, 0.2, size=(int(rate * seconds), 1))
        soundfile.write(path, noise, rate)
        paths.append(path)
    return paths


def test_scores_are_those_of_the_command_line(exported, detector, clips, capsys):
    assert main(["score", str(exported), *map(str, clips)]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    scores = detector.score_batch(clips)
    assert [(score.recording, f"{score:.6f}") for score in scores] == [(path, score) for path, score, _ in lines]
    assert [score.bona_fide for score in scores] == [decision == "bonafide" for *_, decision in lines]
    assert main(["score", str(exported), *map(str, clips), "--llr"]) == 0
    ratios = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]
    assert [f"{score.llr:.6f}" for score in scores] == ratios
    assert [score.in_segments for score in scores] == [False, False, False, True]
    assert [score.duration_s for score in scores] == pytest.approx([0.6, 0.9, 0.4, 3], abs=1e-3)


def test_arrays_have_the_scores_of_their_files(detector, clips):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in clips:
            array, rate = soundfile.read(path)
            score = detector.score(path)
            assert detector.score(str(path)) == score
            assert detector.score(array, sample_rate=rate) == score
            assert detector.score((array, rate)) == score
            assert detector.score(torch.from_numpy(array.T.copy()), sample_rate=rate) == score
            assert detector.score(soundfile.read(path, dtype="int16")) == score
            assert detector.segments(array, sample_rate=rate) == detector.segments(path)
            assert np.array_equal(detector.embedding(array, sample_rate=rate), detector.embedding(path))
    pairs = [soundfile.read(path) for path in clips]
    assert detector.score_batch(pairs) == detector.score_batch(clips)
    array, rate = pairs[0]
    mixed = detector.score_batch([array, clips[1], pairs[2]], sample_rate=rate)
    assert [score.recording for score in mixed] == ["array 0", str(clips[1]), "array 2"]
    assert mixed == pytest.approx([detector.score(path) for path in clips[:3]], abs=1e-5)


def test_a_score_is_a_number(detector, clips):
    score = detector.score(clips[0])
    assert isinstance(score, float)
    assert score.llr == pytest.approx(2 * score + 1)
    assert score.bona_fide == detector.is_bona_fide(score) == (score >= detector.threshold)
    copy = pickle.loads(pickle.dumps(score))  # noqa: S301 - it is ours
    assert (copy, vars(copy)) == (score, vars(score))


def test_segments_are_those_of_a_file_of_their_own(detector, clips, tmp_path):
    segments = detector.segments(clips[3])
    assert (segments[0].begin_s, segments[-1].end_s) == (0.0, 3.0)
    assert len(segments) > 20
    array, rate = soundfile.read(clips[3])
    for segment in segments[::7]:
        alone = array[round(segment.begin_s * rate) : round(segment.end_s * rate)]
        assert segment.score == pytest.approx(detector.score(alone, sample_rate=rate), abs=1e-5)
        assert segment.bona_fide == (segment.score >= detector.threshold)
        assert segment.llr == pytest.approx(2 * segment.score + 1)
    with pytest.warns(UserWarning, match="longer than the longest utterance of the search"):
        score = detector.score(clips[3])
    assert score == pytest.approx(np.quantile([segment.score for segment in segments], 0.1))
    mean = spooftune.load(detector.path, rule="mean", longer_than_s=0, step=1.0)
    assert mean.score(array, sample_rate=rate) == pytest.approx(
        np.mean([segment.score for segment in mean.segments(clips[3])])
    )
    detector.plot(array, sample_rate=rate).savefig(tmp_path / "a.png")


def test_the_classifier_scores_the_embedding(detector, clips):
    network = bundle.load(detector.path).detector
    for path in clips[:3]:
        embedding = detector.embedding(path)
        assert (embedding.shape, embedding.dtype) == ((16,), np.float32)
        with torch.inference_mode():
            assert float(network.classifier(torch.from_numpy(embedding)[None])) == pytest.approx(
                detector.score(path), abs=1e-5
            )
    long = detector.embedding(clips[3])
    array, rate = soundfile.read(clips[3])
    parts = [
        detector.embedding(array[round(part.begin_s * rate) : round(part.end_s * rate)], sample_rate=rate)
        for part in detector.segments(clips[3])
    ]
    np.testing.assert_allclose(long, np.mean(parts, axis=0), atol=1e-5)


def test_a_batch_survives_its_damaged_recordings_and_tells_their_warnings(detector, clips, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"words")
    still = (np.zeros(8000), 16000)
    first, second, third, fourth = detector.score_batch([clips[0], broken, still, tmp_path / "absent.wav"])
    assert first.warnings == ()
    assert str(second).startswith(f"{broken}: cannot be decoded")
    assert third.warnings == ("array 2: holds digital silence",)
    assert str(fourth).endswith("absent.wav: no such file")
    with pytest.raises(spooftune.InputError, match=r"absent\.wav: no such file"):
        detector.score(tmp_path / "absent.wav")
    with pytest.warns(UserWarning, match="holds digital silence"):
        detector.score(*still[:1], sample_rate=16000)
    for method in (detector.segments, detector.embedding, detector.plot):
        with pytest.raises(spooftune.InputError, match="cannot be decoded"):
            method(broken)


def test_misuse_is_told(detector, clips):
    with pytest.raises(spooftune.InputError) as caught:
        detector.score_batch([np.zeros(8000), np.zeros((2, 2, 2)), clips[0]])
    assert len(caught.value.problems) == 2
    with pytest.raises(spooftune.InputError, match="a file has its own"):
        detector.score(clips[0], sample_rate=16000)
    with pytest.raises(spooftune.InputError, match="a batch is a list"):
        detector.score_batch(str(clips[0]))
    assert detector.score_batch([]) == []
    for options, words in [
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"rule": "median"}, "no 'median'|'median'"),
        ({"step": 0}, "step between segments"),
    ]:
        with pytest.raises(spooftune.InputError, match=words):
            spooftune.load(detector.path, **options)
    with pytest.raises(spooftune.InputError, match="not a bundle"):
        spooftune.load(detector.path / "absent")


def test_the_threshold_is_that_of_the_costs(detector, exported, clips):
    # Equal costs and prior: the ratio 0, which the calibration 2 * score + 1 has at -0.5.
    assert detector.threshold_for(p_spoof=0.5, cost_false_alarm=1.0) == pytest.approx(-0.5)
    own = spooftune.load(exported)
    own.threshold = float("inf")
    assert not own.score(clips[0]).bona_fide
    with pytest.raises(spooftune.InputError, match="p_spoof is 2"):
        detector.threshold_for(p_spoof=2)


def test_without_a_calibration_there_is_no_ratio(tmp_path, clips):
    bare = spooftune.load(export(tmp_path / "b"))
    assert bare.score(clips[0]).llr is None
    with pytest.raises(spooftune.InputError, match="has no calibration"):
        bare.threshold_for(p_spoof=0.5)


def test_mixtures_have_no_embedding(tmp_path, clips):
    mixture = {"mode": "gmm", "gmm": {"n_components": 2}, "input": {"n_frames": 20}}
    detector = spooftune.load(export(tmp_path / "g", **mixture))
    with pytest.raises(spooftune.InputError, match="mode gmm has no embeddings"):
        detector.embedding(clips[0])


def test_card_and_metrics_are_those_of_the_bundle(detector, exported):
    assert detector.card == (exported / "README.md").read_text()
    assert detector.metrics["dev"]["eer"] == 0.1
    assert detector.threshold == 0.01


def test_the_module_is_the_command_as_well():
    done = subprocess.run([sys.executable, "-m", "spooftune", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("spooftune ")


def test_a_package_of_the_user_with_the_name_of_ours_is_named(tmp_path):
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "__init__.py").touch()
    # As of a wheel: an editable installation finds modules of ours within packages of others.
    wheel = (
        "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in getattr(finder, '__module__', '')]"
    )
    command = [sys.executable, "-c", f"import sys; {wheel}; sys.path.append({str(ROOT)!r}); import spooftune"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "ImportError: spooftune has a package search, and Python has loaded another one, from" in done.stderr
    assert str(tmp_path) in done.stderr
