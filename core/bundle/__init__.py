"""A bundle: an exported detector with all that scoring needs. The weights of a pretrained front end may be elsewhere.

- `files`: Bundle, `save` and `load`; `card`: the model card.
- `pretrained`: its front end, with the pretrained weights of the training.
- `scoring`: `score`, CM scores of recordings; `front_end_of`; `checked_device`.
"""

from core.bundle.card import model_card
from core.bundle.files import CARD, CONFIG, FORMAT, WEIGHTS, Bundle, load, save
from core.bundle.scoring import checked_device, front_end_of, score

__all__ = [
    "CARD",
    "CONFIG",
    "FORMAT",
    "WEIGHTS",
    "Bundle",
    "checked_device",
    "front_end_of",
    "load",
    "model_card",
    "save",
    "score",
]
