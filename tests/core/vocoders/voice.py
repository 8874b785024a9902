"""Something like speech, for tests of what is made of speech."""

import numpy as np
from scipy import signal

from core.audio import SAMPLE_RATE
from core.vocoders.signal_chain import Waveform


def voice(seed: int, *, duration_s: float = 1.35, f0: float = 140.0) -> Waveform:
    """Something like speech: a pulse train of wandering pitch through three formants, in syllables."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = f0 * (1 + 0.12 * np.sin(2 * np.pi * rng.uniform(0.6, 1.4) * time + rng.uniform(0, 6)))
    pulses = np.diff(np.floor(np.cumsum(pitch) / SAMPLE_RATE), prepend=0.0)
    waveform: Waveform = pulses + 0.02 * rng.standard_normal(len(time))
    for formant in (rng.uniform(350, 750), rng.uniform(1100, 1900), rng.uniform(2300, 2900)):
        pole = np.exp(-np.pi * 90 / SAMPLE_RATE + 2j * np.pi * formant / SAMPLE_RATE)
        waveform = signal.lfilter([1.0], [1.0, -2 * pole.real, abs(pole) ** 2], waveform)
    waveform = waveform * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)) / np.abs(waveform).max()
    voiced: Waveform = 0.5 * waveform + 1e-4 * rng.standard_normal(len(time))
    return voiced
