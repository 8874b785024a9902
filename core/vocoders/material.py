"""The input of an engine, and its pitch."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.audio import SAMPLE_RATE
from core.vocoders.signal_chain import Waveform


@dataclass(frozen=True)
class Material:
    """The input of an engine; all waveforms are `(time,)` at 16 kHz.

    Attributes:
        source: Recording whose words the engine speaks.
        target: Recording of the claimed speaker; in copy synthesis the same as `source`.
        bank: More recordings of the claimed speaker.
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
    """Median F0 in Hz of the voiced frames; 150 if no frame is voiced."""
    f0 = world().dio(np.ascontiguousarray(waveform, dtype=np.float64), SAMPLE_RATE)[0]
    return float(np.median(f0[f0 > 0])) if np.any(f0 > 0) else 150.0
