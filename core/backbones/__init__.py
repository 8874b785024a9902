"""BACKBONES: features `(batch, n_features, n_frames)` -> embeddings `(batch, embedding_dim)`.

A row is a function of the input size (`n_features`, `n_frames`) and of its own options. It returns an `nn.Module` whose
attribute `embedding_dim` is the size of the embedding. A backbone that trains a part of itself before the first epoch
also has a method `prepare(bona_fide)`; see `GenuinizedLcnn.prepare`.
"""

from core.backbones.aasist import aasist
from core.backbones.densenet import densenet
from core.backbones.fg_lcnn import fg_lcnn
from core.backbones.fine_tuned import fine_tuned
from core.backbones.identity import identity
from core.backbones.lc_grnn import lc_grnn
from core.backbones.lcnn import lcnn
from core.backbones.on_frames import FRAME_BACK_ENDS, LAYERED_BACKBONES
from core.backbones.rawnet2 import rawnet2
from core.backbones.resnet import resnet18, resnet34, resnet50, senet18, senet34, senet50
from core.backbones.statistics import statistics
from core.table import Table

__all__ = ["ANY_LENGTH", "BACKBONES", "ENCODER_BACKBONES", "LAYERED_BACKBONES", "WAVEFORM_BACKBONES"]

BACKBONES: Table = {
    "lcnn": lcnn,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "senet18": senet18,
    "senet34": senet34,
    "senet50": senet50,
    "densenet": densenet,
    "lc_grnn": lc_grnn,
    "fg_lcnn": fg_lcnn,
    "statistics": statistics,
    "identity": identity,
    **FRAME_BACK_ENDS,
    "aasist": aasist,
    "rawnet2": rawnet2,
    "fine_tuned": fine_tuned,
}

WAVEFORM_BACKBONES: frozenset[str] = frozenset(("aasist", "rawnet2", "fine_tuned"))
"""Rows that need the front end `waveform`."""

ENCODER_BACKBONES: frozenset[str] = frozenset(("fine_tuned",))
"""Rows that train the encoder that the front end `waveform` names. They are functions of `(n_features, n_frames, model,
revision)`."""

ANY_LENGTH = frozenset(
    (
        "resnet18",
        "resnet34",
        "resnet50",
        "senet18",
        "senet34",
        "senet50",
        "densenet",
        "statistics",
        "statistics_pooling",
        "attentive_pooling",
        "ecapa_tdnn",
        "nes2net",
        "nes2net_x",
        "mhfa",
        "conformer",
    )
)
"""Rows whose network takes inputs of any number of frames from 1, whatever the `n_frames` it was built with. Only these
can embed whole utterances (see `InputOptions.score_windows`)."""
