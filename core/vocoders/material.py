"""What the engines work on, and the pitch of it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.audio import SAMPLE_RATE
from core.vocoders.signal_chain import Waveform


@dataclass(frozen=True)
class Material:
    """What an engine works on; all waveforms `(time,)` at 16 kHz.

    `source` says what is spoken; `target` is a recording of the claimed speaker, in copy synthesis `source` again;
    `bank` holds more recordings of the claimed speaker.
    """

    source: Waveform
    target: Waveform
    bank: tuple[Waveform, ...] = ()


def world() -> Any:
    """The pyworld module, without its warning about pkg_resources."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyworld
    return pyworld


def median_f0(waveform: Waveform) -> float:
    """Median F0 in Hz of the voiced frames; 150 where none is voiced."""
    f0 = world().dio(np.ascontiguousarray(waveform, dtype=np.float64), SAMPLE_RATE)[0]
    return float(np.median(f0[f0 > 0])) if np.any(f0 > 0) else 150.0
