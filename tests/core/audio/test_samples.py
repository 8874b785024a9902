"""Samples in memory are decoded as a file that holds them is."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from core.audio import AudioError, AudioOptions, Samples, blocks, duration, load, samples_of
from core.errors import InputError

OPTIONS = AudioOptions()


def noise(n_samples=24_001, n_channels=2):
    return np.random.default_rng(0).normal(size=(n_samples, n_channels)) * 0.1


@pytest.mark.parametrize("rate", [16000, 8000, 11025, 44100, 96000])
@pytest.mark.parametrize("trim", [False, True])
def test_an_array_is_decoded_as_its_file(tmp_path, monkeypatch, rate, trim):
    monkeypatch.setattr("core.audio.streaming.BLOCK_SAMPLES", 4000)
    path, options = tmp_path / "a.wav", AudioOptions(trim_silence=trim)
    values = np.concatenate([np.zeros((5000, 2)), noise(), np.zeros((5000, 2))])
    soundfile.write(path, values, rate, subtype="FLOAT")
    samples = samples_of(values, rate, name="array 0")
    expected = load(path, options)
    assert np.array_equal(load(samples, options), expected)
    parts = list(blocks(samples, options))
    assert len(parts) > 1
    assert np.array_equal(np.concatenate(parts), expected)
    assert duration(samples) == pytest.approx(duration(path))


def test_the_longer_side_is_time_and_any_kind_of_array_will_do(tmp_path):
    values = noise().astype(np.float32)
    expected = load(samples_of(values, 16000, name="a"), OPTIONS)
    same = [values.T, torch.from_numpy(values), torch.from_numpy(values.T.copy()), values.astype(np.float64)]
    for array in (*same, torch.nn.Parameter(torch.from_numpy(values))):
        assert np.array_equal(load(samples_of(array, 16000, name="a"), OPTIONS), expected)
    alone = load(samples_of(values[:, 0], 16000, name="a"), OPTIONS)
    assert np.array_equal(alone, values[:, 0])
    assert np.array_equal(load(samples_of(values[:, 0].tolist(), 16000.0, name="a"), OPTIONS), alone)


@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_integers_have_the_full_scale_of_files(tmp_path, dtype):
    values = (noise(n_channels=1) * 0.5 * np.iinfo(dtype).max).astype(dtype)
    soundfile.write(tmp_path / "a.wav", values, 16000, subtype={"int16": "PCM_16", "int32": "PCM_32"}[dtype])
    assert np.array_equal(load(samples_of(values, 16000, name="a"), OPTIONS), load(tmp_path / "a.wav", OPTIONS))


@pytest.mark.parametrize(
    ("array", "rate", "words"),
    [
        (np.zeros(9000), None, "pass sample_rate="),
        (np.zeros(9000), 0, "sample_rate is 0; it must be a whole number"),
        (np.zeros(9000), 44100.5, "sample_rate is 44100.5"),
        (np.zeros(9000), float("inf"), "sample_rate is inf"),
        (np.zeros(9000), "fast", "sample_rate is 'fast'"),
        (np.zeros(9000, np.int64), 16000, "its samples are int64; they must be real numbers, int16 or int32"),
        (np.zeros(9000, np.complex64), 16000, "its samples are complex64"),
        (["a", "b"], 16000, "its samples are <U1"),
        ([[0.0], [0.0, 1.0]], 16000, "is not an array"),
        (object(), 16000, "its samples are object"),
        (np.zeros((2, 2, 9000)), 16000, "shape 2 x 2 x 9000 is not one waveform"),
        (np.zeros((257, 400)), 16000, "shape 257 x 400 is not a waveform of at most 64 channels"),
        (np.zeros(()), 16000, "shape none is not one waveform"),
        (np.zeros((0, 2)), 16000, "holds no samples"),
        ([], 16000, "holds no samples"),
    ],
)
def test_what_is_no_waveform_is_named(array, rate, words):
    with pytest.raises(InputError, match=words) as caught:
        samples_of(array, rate, name="array 3")
    assert str(caught.value).startswith("array 3: ")


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (Samples(Path("a"), np.zeros((9000, 1)), 500), "its sample rate is 500 Hz"),
        (Samples(Path("a"), np.zeros((900, 1)), 16000), "is too short"),
        (Samples(Path("a"), np.full((9000, 1), np.nan), 16000), "not finite"),
    ],
)
def test_arrays_are_refused_as_files_are(samples, words):
    for decode in (load, lambda *arguments: list(blocks(*arguments))):
        with pytest.raises(AudioError, match=f"^a: .*{words}"):
            decode(samples, OPTIONS)


def test_arrays_are_suspected_as_files_are():
    messages = []
    load(samples_of(np.zeros(9000), 16000, name="still"), OPTIONS, messages.append)
    load(samples_of(np.full(9000, 3000.0), 16000, name="loud"), OPTIONS, messages.append)
    assert messages[0] == "still: holds digital silence"
    assert messages[1].startswith("loud: its peak is 3,000")
