"""Front ends: waveforms to features.

A row takes options and gives a module in evaluation mode whose parameters ask for no gradient. Called with waveforms
`(batch, time)`, 16 kHz, all of one length, it returns features `(batch, n_features, n_frames)` that do not depend on
what else is in the batch. Its attributes:

- `n_features`: values a frame.
- `hop_length`: samples from one frame to the next; where an utterance is one frame, what it is reckoned to last.
- `min_samples`: the shortest waveform, which gives one frame.
- `version`: raised whenever the same waveform gives other features than before.
- `weights`: file name -> SHA-256 of the pretrained weights; empty where there are none.
"""

from collections.abc import Callable

from torch import nn

from core.features.constant_q import cqcc, cqt
from core.features.group_delay import gd, mgd
from core.features.spectral import lfcc, logspec, mfcc
from core.features.transformer import transformer
from core.features.wav2vec import wav2vec
from core.features.xvector import xvector

FRONT_ENDS: dict[str, Callable[..., nn.Module]] = {
    "lfcc": lfcc,
    "mfcc": mfcc,
    "logspec": logspec,
    "cqt": cqt,
    "cqcc": cqcc,
    "gd": gd,
    "mgd": mgd,
    "wav2vec": wav2vec,
    "transformers": transformer,
    "xvector": xvector,
}
