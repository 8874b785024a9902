"""BACKBONES: features `(batch, n_features, n_frames)` -> embeddings `(batch, embedding_dim)`."""

from core.backbones.lcnn import lcnn
from core.backbones.resnet import resnet18, resnet34, resnet50, senet18, senet34, senet50
from core.table import Table

BACKBONES: Table = {
    "lcnn": lcnn,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "senet18": senet18,
    "senet34": senet34,
    "senet50": senet50,
}
