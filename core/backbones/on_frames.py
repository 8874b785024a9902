"""FRAME_BACK_ENDS: the rows of BACKBONES that suit the frames of a pretrained encoder."""

from core.backbones.aasist import ssl_aasist
from core.backbones.conformer import conformer
from core.backbones.ecapa_tdnn import ecapa_tdnn
from core.backbones.mhfa import mhfa
from core.backbones.nes2net import nes2net, nes2net_x
from core.backbones.pooling import attentive_pooling, statistics_pooling
from core.backbones.sls import sls
from core.table import Table

FRAME_BACK_ENDS: Table = {
    "statistics_pooling": statistics_pooling,
    "attentive_pooling": attentive_pooling,
    "ecapa_tdnn": ecapa_tdnn,
    "nes2net": nes2net,
    "nes2net_x": nes2net_x,
    "mhfa": mhfa,
    "sls": sls,
    "conformer": conformer,
    "ssl_aasist": ssl_aasist,
}

LAYERED_BACKBONES: frozenset[str] = frozenset(("mhfa", "sls"))
"""Rows that take several layers of a front end. They are functions of `(n_features, n_frames, n_layers)`, and their
features are `(batch, n_layers * n_features, n_frames)`, layer after layer."""
