"""The one treatment of bona fide and spoofed speech: codecs, trimming, spectrum, level and noise."""

import numpy as np
import pytest
from scipy import signal

from core.audio import SAMPLE_RATE
from core.vocoders.signal_chain import (
    finished,
    g722_decoded,
    g722_encoded,
    pieces,
    rms,
    through_codec,
    trimmed,
    with_spectrum_of,
)
from tests.core.vocoders.voice import voice

pytest.importorskip("av", reason="the extra `demo` is not installed")


def test_g722_round_trip_keeps_the_waveform() -> None:
    original = voice(5)[:16001]
    encoded = g722_encoded(original)
    decoded = g722_decoded(encoded)
    assert len(encoded) == 8001  # 64 kbit/s: a byte holds two samples
    assert len(decoded) == 16002
    delay = 22  # samples, of the codec's two quadrature mirror filters
    error = decoded[delay:16000] - original[: 16000 - delay]
    assert rms(original) / rms(error) > 5


@pytest.mark.parametrize(("codec", "sample_rate"), [("pcm", 48000), ("g722", 16000), ("vorbis", 22050)])
def test_codecs_keep_length_and_level(codec: str, sample_rate: int) -> None:
    original = voice(6)
    passed = through_codec(original, codec, sample_rate)  # type: ignore[arg-type]
    assert abs(len(passed) - len(original)) <= 2
    assert rms(passed) == pytest.approx(rms(original), rel=0.1)


def test_trimming_leaves_margins_of_20_ms() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(16000) / SAMPLE_RATE)
    padded = np.concatenate([np.zeros(8000), tone, np.zeros(4000)])
    assert len(trimmed(padded)) == pytest.approx(16000 + 2 * 320, abs=480)
    np.testing.assert_array_equal(trimmed(tone), tone)


def test_long_recordings_are_cut_and_silent_or_short_ones_dropped() -> None:
    long = np.tile(voice(7), 12)  # 19 s
    found = pieces(long)
    assert all(1.2 <= len(piece) / SAMPLE_RATE <= 5.8 for piece in found)
    assert sum(map(len, found)) > 0.8 * len(long)
    assert pieces(voice(8, duration_s=0.9)) == []
    assert pieces(np.zeros(40000)) == []


def test_spectrum_and_level_are_those_of_the_reference() -> None:
    rng = np.random.default_rng(3)
    reference = signal.lfilter([1.0, 0.3], [1.0], 0.1 * rng.standard_normal(48000))
    matched = with_spectrum_of(rng.standard_normal(48000), reference)
    wanted, found = (signal.welch(each, SAMPLE_RATE, nperseg=256)[1] for each in (reference, matched))
    middle = slice(8, -8)
    np.testing.assert_allclose(10 * np.log10(found[middle] / wanted[middle]), 0.0, atol=1.5)


def test_finished_clips_have_the_level_band_and_noise_that_are_promised() -> None:
    rng = np.random.default_rng(0)
    samples = np.stack([finished(0.3 * rng.standard_normal(32000), rng)[:31000] / 32768 for _ in range(40)])
    levels = 20 * np.log10([rms(each) for each in samples])
    assert -28.1 < levels.min() < -27
    assert -25 < levels.max() < -23.9
    frequency, power = signal.welch(samples, SAMPLE_RATE, nperseg=1024)
    density = 10 * np.log10(power)
    inside = density[:, (frequency > 200) & (frequency < 7000)].mean(axis=1)
    above = density[:, (frequency > 7500) & (frequency < 7900)].mean(axis=1)
    assert np.all(inside - above > 35)
    assert np.all(inside - above < 75)


def test_vorbis_takes_recordings_of_minutes() -> None:
    # One call with so many samples overflows the stack of libvorbis, and the process dies.
    original = np.random.default_rng(0).normal(size=150 * 16000) * 0.05
    assert len(through_codec(original, "vorbis", 16000)) == len(original)
