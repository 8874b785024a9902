import dataclasses

import numpy as np
import pytest
import soundfile
import torch

from core import bundle
from core.audio import AudioOptions, load
from core.bundle import Durations, Listening, hearing
from core.bundle.listening import cut
from core.config import experiment_from_plain
from core.detector import build_detector
from core.errors import InputError
from core.table import Block

N_FRAMES, WINDOW = 20, 19 * 160 + 320
"""Frames of a window of the detector, and its samples."""


def detector_of(**changes):
    torch.manual_seed(0)
    plain = {
        "front_end": "lfcc",
        "input": {"n_frames": N_FRAMES, "score_windows": 3},
        "backbone": {"name": "senet18", "width": 4, "embedding_dim": 16},
        "classifier": {"name": "mlp", "hidden": 8},
        **changes,
    }
    experiment = experiment_from_plain(plain)
    durations = {"train": Durations(0.25, 0.5, 0.8), "dev": Durations(0.2, 0.5, 1.0)}
    detector = build_detector(experiment, 60).eval()
    if experiment.mode == "gmm":
        detector.bona_fide.means.normal_()
    return bundle.Bundle(detector, experiment, 60, 0.0, {}, {}, durations=durations)


KINDS = {
    "windows": {},
    "whole": {"input": {"n_frames": N_FRAMES, "score_windows": "whole"}},
    "gmm": {"mode": "gmm", "input": {"n_frames": N_FRAMES}, "gmm": {"n_components": 2}},
}


@pytest.fixture(params=KINDS)
def made(request):
    return detector_of(**KINDS[request.param])


@pytest.fixture
def recordings(tmp_path):
    """Recordings of noise that changes with time; the first ones have one length."""
    paths = []
    for number, seconds in enumerate((0.5, 0.5, 0.1, 0.3, 1.0, 2.5, 0.5)):
        draw = np.random.default_rng(number)
        waveform = draw.normal(size=int(16000 * seconds)) * np.linspace(0.01, 0.2, int(16000 * seconds))
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], waveform, 16000)
    return paths


def alone(made, path):
    front_end = bundle.front_end_of(made)
    with torch.inference_mode():
        return made.detector.score_utterance(front_end(torch.from_numpy(load(path, AudioOptions()))[None])[0])


def test_recordings_score_together_as_they_score_alone(made, recordings):
    listening = Listening(longer_than_s=10)
    together = [score for _, score in bundle.score(made, recordings, listening=listening)]
    np.testing.assert_allclose(together, [alone(made, path) for path in recordings], rtol=1e-5, atol=1e-5)


def test_a_long_recording_is_heard_whole_in_segments_that_score_as_files_of_their_own(made, recordings, tmp_path):
    (heard,) = bundle.score_recordings(made, [recordings[5]], listening=Listening(rule=Block("mean")))
    assert heard.in_segments
    assert heard.duration_s == 2.5
    starts = np.rint(heard.begins_s * 16000).astype(int)
    ends = np.rint(heard.ends_s * 16000).astype(int)
    assert starts[0] == 0
    assert ends[-1] == 40000
    assert set(ends - starts) == {WINDOW}
    assert np.all(np.diff(starts)[:-1] == WINDOW // 2)
    assert np.all(starts[1:] < ends[:-1])
    waveform = load(recordings[5], AudioOptions())
    parts = []
    for start, end in zip(starts, ends, strict=True):
        parts.append(tmp_path / f"part-{start}.wav")
        soundfile.write(parts[-1], waveform[start:end], 16000, subtype="FLOAT")
    np.testing.assert_allclose(heard.segment_scores, [alone(made, part) for part in parts], rtol=1e-5, atol=1e-5)
    assert heard.result == pytest.approx(heard.segment_scores.mean())
    assert heard.segment_scores.std() > 1e-4


def test_recordings_of_the_lengths_of_training_score_as_in_the_search(recordings):
    made = detector_of()
    heard = dict(zip(recordings, bundle.score_recordings(made, recordings), strict=True))
    assert [heard[path].in_segments for path in recordings] == [False] * 5 + [True, False]
    assert [heard[path].is_short for path in recordings] == [False, False, True, False, False, False, False]
    assert [heard[path].is_covered for path in recordings] == [True, True, True, True, False, True, True]
    assert heard[recordings[4]].result == pytest.approx(alone(made, recordings[4]), abs=1e-5)
    (all_segments,) = bundle.score_recordings(made, [recordings[4]], listening=Listening(longer_than_s=0))
    assert all_segments.in_segments
    assert all_segments.is_covered
    earlier = dataclasses.replace(made, durations={})
    assert not any(recording.in_segments for recording in bundle.score_recordings(earlier, recordings))


def test_segments_of_a_recording_that_is_scored_whole(recordings):
    made = detector_of()
    wanted = Listening(segments=True, envelope=True)
    short, longer = bundle.score_recordings(made, [recordings[2], recordings[4]], listening=wanted)
    assert (len(short.segment_scores), short.segment_scores[0]) == (1, short.result)
    assert len(longer.segment_scores) > 1
    assert longer.result == pytest.approx(alone(made, recordings[4]), abs=1e-5)
    waveform = load(recordings[4], AudioOptions()).reshape(-1, 320)
    np.testing.assert_array_equal(longer.envelope, np.stack([waveform.min(axis=1), waveform.max(axis=1)], axis=1))


def test_a_portion_that_fails_is_scored_one_by_one(recordings, monkeypatch):
    made = detector_of()
    real = hearing._scores

    def greedy(made, front_end, portion, device):
        if len(portion) > 1 or portion[0].recording.path == recordings[3]:
            raise RuntimeError("out of memory\nand more")
        return real(made, front_end, portion, device)

    expected = dict(bundle.score(made, recordings))
    monkeypatch.setattr(hearing, "_scores", greedy)
    results = dict(bundle.score(made, recordings))
    assert str(results.pop(recordings[3])) == f"{recordings[3]}: cannot be scored: RuntimeError: out of memory"
    assert {path: pytest.approx(expected[path], abs=1e-5) for path in results} == results


def test_results_come_in_order_in_portions_and_damage_stays_where_it_is(recordings, tmp_path, monkeypatch):
    made = detector_of()
    broken = tmp_path / "broken.flac"
    soundfile.write(broken, np.random.default_rng(0).normal(size=16000 * 40) * 0.1, 16000)
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size * 9 // 10])  # it is damaged after its first block
    paths = [broken, *recordings, tmp_path / "absent.wav", broken]
    monkeypatch.setattr(hearing, "PORTION_SAMPLES", 12000)
    seconds = []
    results = list(bundle.score_recordings(made, paths, progress=seconds.append))
    assert [heard.path for heard in results] == paths
    failed = [isinstance(heard.result, InputError) for heard in results]
    assert failed == [True, *[False] * 7, True, True]
    assert len(seconds) > 5
    np.testing.assert_allclose(
        [heard.result for heard in results[1:8]], [score for _, score in bundle.score(made, recordings)], atol=1e-5
    )


@pytest.mark.parametrize("length", [1, 9, 10, 11, 14, 15, 16, 29, 30, 31, 100])
@pytest.mark.parametrize("block", [1, 7, 100])
def test_segments_cover_a_waveform_whatever_the_blocks(length, block):
    waveform = np.arange(length, dtype=np.float32)
    parts = list(cut((waveform[begin : begin + block] for begin in range(0, length, block)), 10, 5))
    for part in parts:
        np.testing.assert_array_equal(part.waveform, waveform[part.begin : part.begin + 10])
    assert {len(part.waveform) for part in parts} == {min(length, 10)}
    begins = [part.begin for part in parts]
    assert begins == sorted({*range(0, max(length - 9, 1), 5), max(length - 10, 0)})


def test_a_spoofed_part_is_averaged_away_by_the_mean_and_not_by_the_quantile():
    scores = np.array([4.0] * 17 + [-5.0] * 3)
    assert bundle.RULES["mean"]()(scores) == pytest.approx(2.65)
    assert bundle.RULES["quantile"]()(scores) == -5.0
    assert bundle.RULES["quantile"](fraction=0.5)(scores) == 4.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step": 0}, "step between segments is 0"),
        ({"longer_than_s": -1}, "longer than -1"),
        ({"window_s": 0}, "a segment of 0 s"),
        ({"rule": Block("median")}, "no 'median'|'median'"),
        ({"rule": Block("quantile", {"fraction": 2})}, "fraction is 2"),
    ],
)
def test_what_cannot_be_heard_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        Listening(**options)


def test_durations_are_on_the_card_and_come_back(tmp_path):
    made = detector_of()
    made = dataclasses.replace(made, metrics={"dev": {"eer": 0.1, "auc": 0.9, "n_bona_fide": 1, "n_spoof": 1}})
    bundle.save(made, tmp_path / "b", front_end_weights={}, front_end_version=2)
    assert bundle.load(tmp_path / "b").durations == made.durations
    assert "Utterances last 0.2 to 0.8 s on train (median 0.5), " in (tmp_path / "b" / "README.md").read_text()
