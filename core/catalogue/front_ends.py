"""CATALOGUE: what every front end needs, its size, and whether it can be used on this machine now.

Rows of FRONT_ENDS that take any model of a kind are shown with some published ones. Nothing is downloaded or imported
to find out what is here.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.catalogue.packages import DISTILLMOS, RESEMBLYZER, Package

Ready = Callable[[str], str]
"""Function of a model's name that says whether it can be used here."""


def _always(model: str) -> str:
    return "yes"


def _file(model: str) -> str:
    return "give it a file"


def _packaged(package: Package) -> Ready:
    """Readiness of weights in a package."""
    return lambda model: "yes" if package.installed() else package.installation


def _of_the_hub(model: str) -> str:
    """Readiness of a model of the Hugging Face hub: whether its local copy is there."""
    home = Path(os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser())
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    snapshots = cache / f"models--{model.replace('/', '--')}" / "snapshots"
    return "yes" if snapshots.is_dir() and any(snapshots.iterdir()) else "downloaded when used"


@dataclass(frozen=True)
class Entry:
    """A front end, or one model that it takes.

    Attributes:
        row: Row of FRONT_ENDS.
        needs: What it needs besides the product.
        ready: Function of `model` that says whether it can be used here, or what to do.
        n_features: Features per frame of one layer.
        frames_per_second: None: one frame per utterance.
        parameters: Number of parameters; 0: none.
        layers: Layers that can be chosen.
        licence: Licence of the weights as far as it is known; `-` without weights.
        model: Name of a model of the hub.
    """

    row: str
    needs: str
    ready: Ready
    n_features: int
    frames_per_second: float | None
    parameters: int = 0
    layers: str = "-"
    licence: str = "-"
    model: str = ""


def _plain(row: str, n_features: int, frames_per_second: float) -> Entry:
    return Entry(row, "nothing", _always, n_features, frames_per_second)


def _model(row: str, model: str, n_features: int, layers: int, parameters: int, licence: str, rate: int = 50) -> Entry:
    return Entry(row, "the hub", _of_the_hub, n_features, rate, parameters, f"0-{layers}", licence, model)


SEE_PAGE = "see its page"
"""Stands for a licence that the page of the model does not name by a usual name."""

CATALOGUE = (
    _plain("lfcc", 60, 100),
    _plain("mfcc", 60, 100),
    _plain("logspec", 257, 100),
    _plain("cqt", 863, 125),
    _plain("cqcc", 90, 125),
    _plain("gd", 257, 100),
    _plain("mgd", 257, 100),
    Entry("wav2vec", "a checkpoint", _file, 512, 100, 29_390_848, "context, encoder", "MIT"),
    _model("transformers", "facebook/wav2vec2-base", 768, 12, 94_371_712, "Apache-2.0"),
    _model("transformers", "facebook/wav2vec2-xls-r-300m", 1024, 24, 315_438_720, "Apache-2.0"),
    _model("transformers", "facebook/wav2vec2-xls-r-1b", 1280, 48, 962_497_408, "Apache-2.0"),
    _model("transformers", "facebook/mms-300m", 1024, 24, 315_438_720, "CC-BY-NC-4.0"),
    _model("transformers", "facebook/hubert-base-ls960", 768, 12, 94_371_712, "Apache-2.0"),
    _model("transformers", "microsoft/wavlm-base-plus", 768, 12, 94_381_936, SEE_PAGE),
    _model("transformers", "microsoft/wavlm-large", 1024, 24, 315_453_120, SEE_PAGE),
    _model("transformers", "facebook/data2vec-audio-base", 768, 12, 93_164_288, "Apache-2.0"),
    _model("transformers", "facebook/w2v-bert-2.0", 1024, 24, 580_493_120, "MIT"),
    Entry(
        "distillmos",
        "the file of a package",
        _packaged(DISTILLMOS),
        200,
        50,
        4_051_824,
        "0-7",
        "MIT",
    ),
    _model("whisper", "openai/whisper-tiny.en", 384, 4, 8_208_384, "Apache-2.0"),
    _model("whisper", "openai/whisper-base", 512, 6, 20_590_592, "Apache-2.0"),
    _model("whisper", "openai/whisper-small", 768, 12, 88_154_112, "Apache-2.0"),
    _model("whisper", "openai/whisper-medium", 1024, 24, 307_216_384, "Apache-2.0"),
    _model("whisper", "openai/whisper-large-v3", 1280, 32, 636_968_960, "Apache-2.0"),
    Entry("xvector", "a file of weights", _file, 512, None, 4_226_964),
    Entry(
        "resemblyzer",
        "the file of a package",
        _packaged(RESEMBLYZER),
        256,
        None,
        1_423_616,
        licence="Apache-2.0",
    ),
    _plain("waveform", 1, 16000),
)
"""Every row of FRONT_ENDS in its order; rows that take any model of a kind with some of them."""
