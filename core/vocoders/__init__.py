"""VOCODERS: recording -> the same speech, analysed and synthesised again (copy synthesis).

- `engines`: vocoders and voice conversions. The demo corpus builds attacks from them, and `core.corpora.copies` copies
  training utterances with those of VOCODERS.
- `material`: the input of an engine.
- `signal_chain`: the common processing of bona fide and spoofed speech.
"""

from collections.abc import Callable

import numpy as np

from core.vocoders.engines import griffin_lim, harmonic_noise, lpc_vocoder, mlsa, world_coded
from core.vocoders.material import Material
from core.vocoders.signal_chain import Waveform

VOCODERS: dict[str, Callable[[Material, np.random.Generator], Waveform]] = {
    "griffin_lim": griffin_lim,
    "lpc_vocoder": lpc_vocoder,
    "world_coded": world_coded,
    "harmonic_noise": harmonic_noise,
    "mlsa": mlsa,
}
"""Engines that need one recording. They return the resynthesised `source`, `(time,)` at 16 kHz, about as long."""
