"""Recordings -> waveforms of 16 kHz, mono.

- `decoding`: a whole recording, from any format, sample rate and channel count that libsndfile reads.
- `streaming`: a recording of any length, block by block in bounded memory.
- `samples`: samples in memory as a recording.
- `envelope`: the extremes of a waveform over time, for a picture.
- `wav_header`: what the header of a WAV file says about its size.
"""

from core.audio.decoding import (
    FRAME,
    LOUDEST,
    RATES,
    SAMPLE_RATE,
    AudioError,
    AudioOptions,
    duration,
    load,
    n_values,
    path_of,
    trim_silence,
)
from core.audio.envelope import STEP, Envelope
from core.audio.samples import Samples, Source, samples_of
from core.audio.streaming import blocks

__all__ = [
    "FRAME",
    "LOUDEST",
    "RATES",
    "SAMPLE_RATE",
    "STEP",
    "AudioError",
    "AudioOptions",
    "Envelope",
    "Samples",
    "Source",
    "blocks",
    "duration",
    "load",
    "n_values",
    "path_of",
    "samples_of",
    "trim_silence",
]
