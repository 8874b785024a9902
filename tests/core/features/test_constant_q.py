"""The constant-Q transform against sums over the spectrum, its cepstra against SciPy's splines and DCT."""

import math

import numpy as np
import pytest
import scipy.fft
import torch
from scipy.interpolate import CubicSpline

from core import table
from core.errors import InputError
from core.features import FRONT_ENDS
from core.features.constant_q import EPSILON, bandwidths, centres, cqcc, cqt

RATE = 16000


def speechlike(time=6000, seed=0):
    random = np.random.default_rng(seed)
    return np.convolve(random.normal(size=time), [1, 0.9, 0.5, 0.2], "same") * 0.1


def power_by_sums(waveform, front_end, k, sample):
    """Power of bin `k` at a sample: the spectrum under the bin's window, transformed back by an explicit sum."""
    n_hops = 2 * front_end.margin // front_end.hop_length + math.ceil(len(waveform) / front_end.hop_length)
    length = n_hops * front_end.hop_length
    padded = np.zeros(length)
    padded[front_end.margin : front_end.margin + len(waveform)] = waveform
    spectrum = np.fft.fft(padded)
    total = 0.0
    for line in range(length // 2 + 1):
        away = (line * RATE / length - front_end.centres[k]) / front_end.bandwidths[k]
        if abs(away) < 0.5:
            window = math.cos(math.pi * away) ** 2  # Hann
            total += window * spectrum[line] * np.exp(2j * np.pi * line * (front_end.margin + sample) / length)
    return abs(2 * total / length) ** 2


def test_it_has_the_baselines_bins():
    front_end = cqt()
    assert front_end.n_features == len(front_end.centres) == 863  # of nine octaves, all but the one at Nyquist
    assert front_end.centres[-1] == pytest.approx(15.625 * 2 ** (862 / 96))
    assert front_end.centres[0] == 15.625
    assert front_end.centres[96] == pytest.approx(31.25)
    assert front_end.centres[-1] + front_end.bandwidths[-1] / 2 < 8000
    relative = 2 ** (1 / 96) - 2 ** (-1 / 96)
    np.testing.assert_allclose(front_end.bandwidths, relative * (front_end.centres + 228.7))


def test_power_against_explicit_sums():
    front_end = cqt(bins_per_octave=12, f_min=125.0, hop_length=16)
    waveform = speechlike(3000)
    found = front_end.power(torch.from_numpy(waveform)[None].float())[0]
    for k in (0, 7, 30, front_end.n_features - 1):
        for frame in (0, 5, 100, 187 - 1):
            expected = power_by_sums(waveform, front_end, k, frame * 16)
            assert found[k, frame].item() == pytest.approx(expected, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("k", [0, 100, 400, 700, 862])
def test_a_sinusoid_has_its_power_in_its_bin(k):
    front_end = cqt()
    time = torch.arange(3 * RATE, dtype=torch.float64)  # longer than the window of the lowest bin, of 1.1 s
    wave = torch.cos(2 * math.pi * front_end.centres[k] * time / RATE).float()[None]
    features = front_end(wave)[0, :, 180:195].mean(dim=1)
    assert features.argmax() == k
    assert features[k].item() == pytest.approx(0.0, abs=1e-3)  # log10 of 1
    # The lowest bins are 3.5 Hz wide and 0.1 Hz apart: at the 48th above, the two windows no longer touch.
    away = 48 if k < 200 else 12
    assert features[k + away if k < 800 else k - away] < -3


def test_single_precision_is_enough():
    """Half precision, in which features are stored, has steps of 0.004 to 0.008 at these values."""
    waveform = torch.from_numpy(speechlike(8000))[None]
    waveform[:, 4000:] *= 1e-4  # a pause of 16-bit noise
    off = (cqt()(waveform.float()) - cqt()(waveform)).abs()
    assert off.max() < 0.05  # where neighbours cancel in the pause, 100 dB below the rest
    assert (off < 2e-3).float().mean() > 0.99
    exact = cqcc().double()(waveform)
    assert exact.abs().max() > 1000  # an orthonormal DCT of 8118 values multiplies a common level by 90
    torch.testing.assert_close(cqcc()(waveform.float()).double(), exact, rtol=1e-4, atol=0.2)


def test_silence_is_epsilon_and_quiet_noise_is_not():
    silence = torch.zeros(1, 4000)
    torch.testing.assert_close(cqt()(silence), torch.full((1, 863, 31), math.log10(2.0**-52)))
    rounding = torch.rand(1, 4000, generator=torch.Generator().manual_seed(0)) - 0.5
    assert (cqt()(rounding / 32768) > math.log10(2.0**-52) + 1).float().mean() > 0.95


def test_the_end_does_not_wrap_round_to_the_beginning():
    quiet = torch.zeros(1, 40000)
    click = quiet.clone()
    click[0, -1] = 1.0
    difference = (cqt().power(click) - cqt().power(quiet))[..., :10]
    assert difference.max() < 1e-4 * cqt().power(click).amax(dim=2).max()
    assert (difference[0].amax(dim=1) < 1e-3 * cqt().power(click)[0].amax(dim=1)).all()


def test_groups_of_bins_give_what_all_bins_together_give(monkeypatch):
    waveform = torch.from_numpy(speechlike(4000)).float()[None]
    whole = cqt().power(waveform)
    monkeypatch.setattr("core.features.constant_q.TOGETHER", 0.05)
    torch.testing.assert_close(cqt().power(waveform), whole)


def test_cepstra_against_splines_and_dct():
    front_end = cqcc(deltas=False)
    waveform = torch.from_numpy(speechlike()).float()[None]
    log_power = np.log(cqt().power(waveform)[0].double().numpy() + EPSILON)
    frequencies = 15.625 * 2.0 ** (np.arange(863) / 96)
    step = 15.625 * (2 ** (96 * math.log2(1 + 1 / 16) / 96) - 1)
    uniform = np.arange(frequencies[0], frequencies[-1], step)
    resampled = CubicSpline(frequencies, log_power, axis=0)(uniform)
    expected = scipy.fft.dct(resampled, type=2, norm="ortho", axis=0)[:30]
    np.testing.assert_allclose(front_end(waveform)[0], expected, rtol=1e-4, atol=5e-3)


def test_the_whole_chain_against_sums_splines_and_dct():
    options = {"bins_per_octave": 12, "f_min": 250.0, "hop_length": 16}
    front_end = cqcc(n_cqcc=12, d=8, deltas=False, **options)
    waveform = speechlike(1500)
    found = front_end(torch.from_numpy(waveform)[None].float())[0, :, 40]
    power = [power_by_sums(waveform, cqt(**options), k, 40 * 16) for k in range(59)]
    frequencies = 250.0 * 2.0 ** (np.arange(59) / 12)  # the 60th reaches beyond Nyquist
    uniform = 250.0 + 250.0 / 8 * np.arange(1 + int((frequencies[-1] - 250.0) / (250.0 / 8)))
    resampled = CubicSpline(frequencies, np.log(np.array(power) + EPSILON))(uniform)
    expected = scipy.fft.dct(resampled, type=2, norm="ortho")[:12]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=5e-3)


def test_cqcc_is_90_dimensional_and_deltas_follow():
    features = cqcc()(torch.from_numpy(speechlike()).float()[None])
    assert features.shape[1] == 90
    static = features[:, :30]
    slope = sum(k * (static[..., 5 + k] - static[..., 5 - k]) for k in (1, 2, 3)) / 28
    torch.testing.assert_close(features[:, 30:60, 5], slope)
    at_the_edge = sum(k * (static[..., k] - static[..., 0]) for k in (1, 2, 3)) / 28
    torch.testing.assert_close(features[:, 30:60, 0], at_the_edge)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cqt", {"hop_length": 160}, "hop_length is 160; it must be at most 136"),
        ("cqt", {"f_max": 9000.0}, "f_max 9000"),
        ("cqt", {"bins_per_octave": 0, "hop_length": 0}, "bins_per_octave is 0.*hop_length is 0"),
        ("cqt", {"gamma": -1.0}, "gamma is -1"),
        ("cqcc", {"n_cqcc": 1000}, "n_cqcc is 1000"),
        ("cqcc", {"d": 0}, "d is 0"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(InputError, match=message):
        table.build("front_end", FRONT_ENDS, table.Block(name, options))


def test_bandwidths_with_gamma_zero_have_one_q():
    of = centres(24, 100.0, 4000.0, 0.0)
    np.testing.assert_allclose(of / bandwidths(24, of, 0.0), 1 / (2 ** (1 / 24) - 2 ** (-1 / 24)))
