"""SYSTEMS: whole experiments under one name, the rows of the paper's table 1.

`{system: lfcc-gmm, epochs: 20}` is that system with another number of epochs. Where a source is silent the choice is
ours and stands here; every value can be changed. The wav2vec systems need `front_end: {checkpoint: FILE}`.

- `lfcc-gmm`, `cqcc-gmm`: the baselines of ASVspoof 2019, with their ten iterations of EM.
- `lps-fft-lcnn`: log power spectra of long Blackman windows, LCNN-9, A-softmax (STC, Lavrentyeva 2019).
- `senet34-logspec`, `densenet-logspec`: 257 log power spectra (Lai 2019; Zhang 2020 has a channel-consistent variant
  of DenseNet, whose details the paper does not use).
- `lc-grnn-lda`: a recurrent light CNN learns to tell the attacks of train apart, LDA of its embedding decides
  (Gomez-Alanis 2019): 256 bands every 4 ms. Their window is 16 ms.
- `fg-lcnn`: constant-Q spectra through a network that knows bona fide speech alone, then LCNN (Wu 2020).
- `wav2vec-*`: frozen wav2vec features, one of the paper's five backbones; as in table 1, trained by cross-entropy.
  `mode: siamese` makes the paper's proposal of them (table 2).
"""

from collections.abc import Mapping
from typing import Any

from core.table import did_you_mean

System = Mapping[str, Any]
"""Part of an experiment, as plain data."""

LOGSPEC: System = {"front_end": {"name": "logspec"}, "input": {"n_frames": 400}, "mode": "original"}

SYSTEMS: dict[str, System] = {
    "lfcc-gmm": {"front_end": {"name": "lfcc"}, "mode": "gmm", "epochs": 10},
    "cqcc-gmm": {"front_end": {"name": "cqcc"}, "mode": "gmm", "epochs": 10},
    "lps-fft-lcnn": {
        "front_end": {"name": "logspec", "n_fft": 1724, "win_length": 1724, "hop_length": 130, "window": "blackman"},
        "input": {"n_frames": 600},
        "mode": "original",
        "backbone": {"name": "lcnn", "dropout": 0.75},
        "head": {"name": "a_softmax"},
    },
    "senet34-logspec": {**LOGSPEC, "backbone": {"name": "senet34"}},
    "densenet-logspec": {**LOGSPEC, "backbone": {"name": "densenet"}},
    "lc-grnn-lda": {
        "front_end": {"name": "logspec", "n_fft": 512, "win_length": 256, "hop_length": 64},
        "input": {"n_frames": 400},
        "mode": "multiclass",
        "backbone": {"name": "lc_grnn"},
        "classifier": {"name": "lda"},
    },
    "fg-lcnn": {
        "front_end": {"name": "cqt"},
        "input": {"n_frames": 400},
        "mode": "original",
        "backbone": {"name": "fg_lcnn"},
    },
    **{
        f"wav2vec-{backbone}": {
            "front_end": {"name": "wav2vec"},
            "input": {"n_frames": 400},
            "mode": "original",
            "backbone": {"name": backbone},
        }
        for backbone in ("lcnn", "resnet18", "senet18", "senet34", "senet50")
    },
}


def system_problem(name: object) -> str | None:
    """What is wrong with a system's name, or None."""
    if isinstance(name, str) and name in SYSTEMS:
        return None
    return f"system: no {name!r}; there are {', '.join(SYSTEMS)}{did_you_mean(str(name), SYSTEMS)}"


def laid_over(system: System, plain: Mapping[str, Any]) -> dict[str, Any]:
    """A system with some of its fields changed.

    A group, and a block that names no other row, change option by option; anything else replaces what was there.

    Args:
        system: Part of an experiment.
        plain: The changes.
    """
    merged = dict(system)
    for key, value in plain.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            same_row = value.get("name", old.get("name")) == old.get("name")
            merged[key] = {**old, **value} if same_row else value
        else:
            merged[key] = value
    return merged
