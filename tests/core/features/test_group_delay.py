"""Group delays against a textbook formula, against SciPy's and against delays that are known."""

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch

from core import table
from core.errors import InputError
from core.features import FRONT_ENDS
from core.features.group_delay import gd, mgd


def frame(seed=0, n=400):
    return np.random.default_rng(seed).normal(size=n)


def numerator(x):
    """Minus the derivative of the phase times the power, from sums: sum over m, n of n x[n] x[m] cos(w (n - m))."""
    n = np.arange(len(x))
    omega = 2 * np.pi * np.arange(257) / 512
    cosine, sine = np.cos(np.outer(omega, n)), np.sin(np.outer(omega, n))
    return (cosine @ x) * (cosine @ (n * x)) + (sine @ x) * (sine @ (n * x)), (cosine @ x) ** 2 + (sine @ x) ** 2


@pytest.mark.parametrize("delay", [0, 3, 120])
def test_a_delay_is_itself(delay):
    impulse = torch.zeros(1, 1, 400)
    impulse[..., delay] = 0.5
    assert gd().delays(impulse).flatten().tolist() == pytest.approx([delay] * 257, abs=1e-2)


def test_delays_are_scipys():
    taps = np.array([1.0, 0.6, 0.3, -0.2, 0.1])
    front_end = gd(win_length=5, n_fft=512, hop_length=5)
    found = front_end.delays(torch.from_numpy(taps).float()[None, None])[0, 0]
    _, expected = scipy.signal.group_delay((taps, [1.0]), w=2 * np.pi * np.arange(257) / 512)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_delays_against_sums():
    x = frame()
    top, power = numerator(x)
    expected = np.clip(top / power, -400, 400)
    found = gd().delays(torch.from_numpy(x)[None, None].double())[0, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_modified_delays_against_the_formula():
    x = frame(1)
    top, power = numerator(x)
    log_magnitude = np.log(np.sqrt(power))
    full = np.concatenate([log_magnitude, log_magnitude[-2:0:-1]])
    cepstrum = scipy.fft.ifft(full).real
    cepstrum[30:-29] = 0
    smoothed = np.exp(scipy.fft.fft(cepstrum).real[:257])
    tau = top / smoothed ** (2 * 1.2)
    found = mgd().delays(torch.from_numpy(x)[None, None].double())[0, 0]
    np.testing.assert_allclose(found, np.sign(tau) * np.abs(tau) ** 0.4, rtol=1e-5)


def test_frames_are_windowed_and_emphasised():
    waveform = np.random.default_rng(2).normal(size=1000)
    emphasised = np.append(waveform[0], waveform[1:] - 0.97 * waveform[:-1])
    x = emphasised[320:720] * np.hamming(400)
    top, power = numerator(x)
    found = gd()(torch.from_numpy(waveform).float()[None])[0, :, 2]
    clear = power > 1e-2 * power.mean()  # next to a zero of the spectrum float32 has no digits left
    np.testing.assert_allclose(found.numpy()[clear], np.clip(top / power, -400, 400)[clear], rtol=1e-2, atol=0.5)


@pytest.mark.parametrize("options", [{}, {"n_coefficients": 257, "deltas": True}])
@pytest.mark.parametrize("loudness", [0.0, 1e-30, 3e-5, 1.0, 100.0])
def test_half_precision_holds_whatever_comes(options, loudness):
    """Clicks, tones, silence and 16-bit noise, in the settings that spread values most."""
    time = torch.arange(2000)
    signals = torch.stack(
        [(time == 399).float(), torch.cos(0.7 * time), torch.from_numpy(frame(4, 2000)).float(), (time >= 1000).float()]
    )
    rows = [gd, mgd]
    extreme = [gd(n_fft=2000, win_length=2000, **options), mgd(alpha=1.0, gamma=4.0, lifter=2, **options)]
    for front_end in [row(**options) for row in rows] + extreme:
        assert torch.isfinite(front_end(loudness * signals).half()).all()


def test_plain_delays_stay_within_the_window_and_a_weak_bin_within_its_power():
    notch = torch.zeros(1, 1, 400)
    notch[..., 0], notch[..., 2] = 1.0, -1.0  # zeros at 0 Hz and at half the sample rate
    delays = gd().delays(notch)[0, 0]
    assert delays.abs().max() <= 400
    assert delays[128].item() == pytest.approx(1.0, abs=1e-3)
    weak = torch.zeros(1, 1, 400)
    weak[..., 100] = 1e-5  # power 1e-10, a hundredth of the floor
    assert gd().delays(weak).flatten().tolist() == pytest.approx([1.0] * 257, rel=1e-3)


@pytest.mark.parametrize("row", [gd, mgd])
def test_cepstra_and_deltas(row):
    waveform = torch.from_numpy(frame(3, 4000)).float()[None]
    plain, coefficients = row()(waveform), row(n_coefficients=20, deltas=True)
    features = coefficients(waveform)
    assert features.shape[1] == coefficients.n_features == 60
    expected = scipy.fft.dct(plain[0].double().numpy(), type=2, norm="ortho", axis=0)[:20]
    np.testing.assert_allclose(features[0, :20], expected, rtol=1e-3, atol=0.05)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gd", {"n_coefficients": 300}, "n_coefficients is 300"),
        ("mgd", {"alpha": 0.0, "gamma": 0.0}, "alpha is 0.0.*gamma is 0.0"),
        ("mgd", {"lifter": 0}, "lifter is 0"),
        ("mgd", {"gamma": 5.0}, "gamma is 5.0; it must be above 0 and at most 4"),
        ("gd", {"win_length": 600}, "win_length is 600"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(InputError, match=message):
        table.build("front_end", FRONT_ENDS, table.Block(name, options))
