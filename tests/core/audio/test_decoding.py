import struct

import numpy as np
import pytest
import soundfile

from core.audio import SAMPLE_RATE, AudioError, AudioOptions, load, trim_silence


def write(path, waveform, rate=SAMPLE_RATE, **options):
    soundfile.write(path, waveform, rate, **options)
    return path


def tone(frequency, seconds, rate):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_formats(tmp_path, suffix):
    waveform = load(write(tmp_path / f"a.{suffix}", tone(440, 0.5, 16000)), AudioOptions())
    assert waveform.dtype == np.float32
    assert waveform.shape == (8000,)
    np.testing.assert_allclose(waveform[1000:7000], tone(440, 0.5, 16000)[1000:7000], atol=0.05)


def test_channels_are_averaged(tmp_path):
    left, right = tone(300, 0.2, 16000), tone(700, 0.2, 16000)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    np.testing.assert_allclose(load(path, AudioOptions()), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_a_tone_keeps_its_frequency_and_level_at_any_rate(tmp_path, rate):
    waveform = load(write(tmp_path / "a.wav", tone(1000, 1, rate), rate, subtype="FLOAT"), AudioOptions())
    spectrum = np.abs(np.fft.rfft(waveform[2000:14000] * np.hanning(12000)))
    assert np.argmax(spectrum) * 16000 / 12000 == pytest.approx(1000, abs=2)
    assert np.sqrt(np.mean(waveform[2000:14000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_what_16_khz_cannot_hold_is_filtered_out_not_folded_back(tmp_path):
    path = write(tmp_path / "a.wav", tone(11000, 1, 44100), 44100, subtype="FLOAT")
    assert np.sqrt(np.mean(load(path, AudioOptions()) ** 2)) < 0.01  # would be .35 as an alias at 5 kHz


def test_silence_is_trimmed_at_both_ends_and_kept_inside():
    loud = np.full(160, 0.5, np.float32)
    quiet = np.full(160, 0.5e-3, np.float32)  # 60 dB below
    waveform = np.concatenate([quiet, quiet, loud, quiet, loud, quiet])
    assert np.array_equal(trim_silence(waveform, 40), np.concatenate([loud, quiet, loud]))
    assert np.array_equal(trim_silence(waveform, 70), waveform)
    assert len(trim_silence(np.zeros(500, np.float32), 40)) == 0
    assert np.array_equal(trim_silence(np.concatenate([quiet, loud, loud[:50]]), 40), np.concatenate([loud, loud[:50]]))


def test_the_shortest_duration_holds_after_trimming_and_at_16_khz(tmp_path):
    waveform = np.concatenate([np.zeros(8000), np.full(800, 0.5), np.zeros(8000)])
    path = write(tmp_path / "a.wav", waveform, subtype="FLOAT")
    assert len(load(path, AudioOptions(min_duration_s=1))) == 16800
    assert len(load(path, AudioOptions(trim_silence=True, min_duration_s=0.05))) == 800
    with pytest.raises(AudioError, match=r"0\.050 s is too short"):
        load(path, AudioOptions(trim_silence=True))
    path = write(tmp_path / "b.wav", tone(440, 0.2, 48000), 48000)
    assert len(load(path, AudioOptions(min_duration_s=0.2))) == 3200


@pytest.mark.parametrize(
    ("name", "waveform", "options", "words"),
    [
        ("empty.wav", np.zeros(0), {}, "holds no samples"),
        ("short.wav", np.full(800, 0.1), {}, "0.050 s is too short"),
        ("silent.wav", np.zeros(16000), {"trim_silence": True}, "holds only silence"),
        ("nan.wav", np.array([0.1, np.nan] * 8000), {}, "not finite"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_reason(tmp_path, name, waveform, options, words):
    path = write(tmp_path / name, waveform.astype(np.float32), subtype="FLOAT")
    with pytest.raises(AudioError, match=words) as caught:
        load(path, AudioOptions(**options))
    assert str(path) in str(caught.value)


def test_missing_and_corrupt_files(tmp_path):
    (tmp_path / "corrupt.flac").write_bytes(b"fLaC but not really")
    with pytest.raises(AudioError, match=r"corrupt\.flac: cannot be decoded"):
        load(tmp_path / "corrupt.flac", AudioOptions())
    with pytest.raises(AudioError, match=r"absent\.flac: no such file"):
        load(tmp_path / "absent.flac", AudioOptions())
    whole = write(tmp_path / "whole.flac", np.random.default_rng(0).normal(scale=0.1, size=32000)).read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) * 9 // 10])
    with pytest.raises(AudioError, match=r"cut\.flac: cannot be decoded"):
        load(tmp_path / "cut.flac", AudioOptions())
    (tmp_path / "headerless.raw").write_bytes(bytes(6400))
    with pytest.raises(AudioError, match=r"headerless\.raw: cannot be decoded"):
        load(tmp_path / "headerless.raw", AudioOptions())


def test_options_are_checked():
    for wrong in (0, float("nan")):
        with pytest.raises(ValueError, match="trim_top_db"):
            AudioOptions(trim_top_db=wrong)
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="min_duration_s"):
            AudioOptions(min_duration_s=wrong)


def wav(path, *, rate=16000, announced=None, samples=4000, appended=b""):
    """A 16-bit mono WAV file whose header may announce another rate or another number of bytes than there are."""
    data = (1000 * np.sin(np.arange(samples) / 5)).astype("<i2").tobytes()
    size = len(data) if announced is None else announced
    form = struct.pack("<HHIIHH", 1, 1, rate, (2 * rate) % 2**32, 2, 16)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size) + data + appended
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    return path


@pytest.mark.parametrize("rate", [1, 999, 384_001, 1_999_999_973])
def test_impossible_rates_are_refused_before_anything_is_resampled(tmp_path, rate):
    with pytest.raises(AudioError, match=rf"^[^:]*a\.wav: its sample rate is {rate} Hz; it must be from 1000"):
        load(wav(tmp_path / "a.wav", rate=rate), AudioOptions())


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"announced": 16000}, "announces 16,000 bytes of audio and 8,000 follow: it was cut off"),
        ({"announced": 2000}, "announces 2,000 bytes of audio; 6,000 more follow, which are not read"),
        ({}, None),
        ({"announced": 0xFFFFFFFF}, None),  # of a stream
        ({"appended": b"LIST" + struct.pack("<I", 4) + b"INFO"}, None),
    ],
)
def test_a_header_that_contradicts_the_file_is_warned_of(tmp_path, header, words):
    heard = []
    assert len(load(wav(tmp_path / "a.wav", **header), AudioOptions(min_duration_s=0.01), heard.append)) > 0
    assert len(heard) == (words is not None)
    assert words is None or words in heard[0]


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (np.zeros(8000), "holds digital silence"),
        (np.stack([np.sin(np.arange(8000.0)), -np.sin(np.arange(8000.0))], axis=1), "channels cancel each other"),
        (np.stack([np.sin(np.arange(8000.0)), 1e-3 - np.sin(np.arange(8000.0))], axis=1), "channels cancel each other"),
        (np.stack([np.sin(np.arange(8000.0)), np.zeros(8000)], axis=1), None),
        (6554 * np.sin(np.arange(8000.0)), "full scale is 1, so the samples are probably scaled wrongly"),
        (1.5 * np.sin(np.arange(8000.0)), None),  # the overshoot of a codec
    ],
)
def test_suspect_samples_are_warned_of(tmp_path, waveform, words):
    soundfile.write(tmp_path / "a.wav", waveform, 16000, subtype="FLOAT")
    heard = []
    load(tmp_path / "a.wav", AudioOptions(), heard.append)
    assert len(heard) == (words is not None)
    assert words is None or words in heard[0]
