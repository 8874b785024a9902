"""A bundle: an exported detector with all that scoring needs. The weights of a pretrained front end may be elsewhere.

- `files`: Bundle, `save` and `load`; `card`: the model card; `damage`: its files compared with their checksums.
- `pretrained`: its front end, with the pretrained weights of the training.
- `scoring`: `Scorer`, `score` and `score_recordings`, CM scores of recordings; `front_end_of`; `checked_device`.
- `embedding`: the embedding of a recording; `unlike`: what to say of recordings unlike those of training.
- `hearing`: minibatches of many recordings; `pieces`: decoding ahead; `listening`: what is heard in segments.
- `rules`: RULES, segment scores -> the score of a recording; `trained_on`: durations of the utterances of training.
"""

from core.bundle.card import model_card
from core.bundle.files import CARD, CONFIG, FORMAT, WEIGHTS, Bundle, load, save
from core.bundle.hearing import Heard
from core.bundle.listening import Listening
from core.bundle.rules import RULES
from core.bundle.scoring import Scorer, checked_device, front_end_of, score, score_recordings
from core.bundle.trained_on import Durations

__all__ = [
    "CARD",
    "CONFIG",
    "FORMAT",
    "RULES",
    "WEIGHTS",
    "Bundle",
    "Durations",
    "Heard",
    "Listening",
    "Scorer",
    "checked_device",
    "front_end_of",
    "load",
    "model_card",
    "save",
    "score",
    "score_recordings",
]
