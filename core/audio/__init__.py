"""Recordings -> waveforms of 16 kHz, mono.

- `decoding`: a whole recording, from any format, sample rate and channel count that libsndfile reads.
- `streaming`: a recording of any length, block by block in bounded memory.
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
    trim_silence,
)
from core.audio.envelope import STEP, Envelope
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
    "blocks",
    "duration",
    "load",
    "trim_silence",
]
