"""FRONT_ENDS: waveforms `(batch, time)` -> features `(batch, n_layers * n_features, n_frames)`.

A row is a function of its options. It returns a module in evaluation mode, without gradients. The module takes
waveforms of one length at 16 kHz. The features of a waveform do not depend on the other waveforms of the batch. The
values of one layer follow those of another. The module has these attributes:

- `n_features`: Features per frame of one layer.
- `layers`: Indices of the hidden states that the module returns; only front ends with layers have it.
- `hop_length`: Samples from one frame to the next. A front end that returns one frame per utterance gives here the
  assumed length of an utterance.
- `min_samples`: Samples of the shortest waveform that the front end accepts, which gives one frame.
- `version`: Number that increases whenever the same waveform gives different features than before.
- `weights`: File name -> SHA-256 of the pretrained weights; empty without pretrained weights.
"""

from collections.abc import Callable

from torch import nn

from core.features.constant_q import cqcc, cqt
from core.features.group_delay import gd, mgd
from core.features.pretrained.distillmos import distillmos
from core.features.pretrained.resemblyzer import resemblyzer
from core.features.pretrained.whisper import whisper
from core.features.spectral import lfcc, logspec, mfcc
from core.features.transformer import transformer
from core.features.wav2vec import wav2vec
from core.features.waveform import waveform
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
    "distillmos": distillmos,
    "whisper": whisper,
    "xvector": xvector,
    "resemblyzer": resemblyzer,
    "waveform": waveform,
}
