"""Vocoders: speech taken apart and put together again, as spoofed speech is.

`VOCODERS` names those that resynthesise a recording alone (copy synthesis). The demo corpus builds attacks from the
engines of this room, and `core.corpora.copies` builds copies of training utterances from them.
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
"""Material and a generator -> the resynthesised `source`, `(time,)` at 16 kHz and about as long."""
