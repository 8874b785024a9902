"""SYSTEMS: named experiments: the rows of the paper's table 1, and systems on waveforms that others compare with.

A space writes `{system: lfcc-gmm, epochs: 20}` for the system with another number of epochs; every value can be
changed. The values here are those of the source, or ours where the source does not give them. The wav2vec systems need
`front_end: {checkpoint: FILE}`.

- `lfcc-gmm`, `cqcc-gmm`: The baselines of ASVspoof 2019, with their ten iterations of EM.
- `lps-fft-lcnn`: Log power spectra of long Blackman windows, LCNN-9, A-softmax (STC, Lavrentyeva 2019).
- `senet34-logspec`, `densenet-logspec`: Log power spectra of 257 bins (Lai 2019; Zhang 2020). Zhang's DenseNet is a
  channel-consistent variant; the one here is the standard form.
- `lc-grnn-lda`: A recurrent light CNN classifies the attacks of train, and LDA on its embeddings gives the CM score
  (Gomez-Alanis 2019). The features are 257 bins every 4 ms from windows of 16 ms.
- `fg-lcnn`: Constant-Q spectra, transformed by an autoencoder of bona fide speech, then LCNN (Wu 2020).
- `wav2vec-*`: Frozen wav2vec features and one of the paper's five backbones, trained by cross-entropy as in table 1.
  With `mode: siamese` they become the systems that the paper proposes (table 2).
- `aasist`, `rawnet2`: Networks on waveforms of 64,600 samples, about 4 s (Jung 2022; Tak 2021), with the optimiser and
  schedule of their published configurations. The published loss weighs the classes; here, minibatches are balanced.
"""

from collections.abc import Mapping
from typing import Any

from core.table import did_you_mean

System = Mapping[str, Any]
"""Fields of an experiment as plain data; the others have their defaults."""

LOGSPEC: System = {"front_end": {"name": "logspec"}, "input": {"n_frames": 400}, "mode": "original"}

WAVEFORM: System = {
    "front_end": {"name": "waveform"},
    "input": {"n_frames": 64_600},
    "mode": "original",
    "optimizer": {"name": "adam", "weight_decay": 1e-4},
    "lr_schedule": {"name": "cosine", "lr": 1e-4, "warmup_epochs": 0.0, "final": 5e-6},
    "epochs": 100,
}

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
    "aasist": {**WAVEFORM, "backbone": {"name": "aasist"}, "batch_size": 24},
    "rawnet2": {**WAVEFORM, "backbone": {"name": "rawnet2"}, "batch_size": 32},
}


def system_problem(name: object) -> str | None:
    """Message that a name is not a row of SYSTEMS, with the valid names; None if it is one."""
    if isinstance(name, str) and name in SYSTEMS:
        return None
    return f"system: no {name!r}; there are {', '.join(SYSTEMS)}{did_you_mean(str(name), SYSTEMS)}"


def laid_over(system: System, plain: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a system with the given changes.

    A mapping (a group, or a block of the same row) changes single options and keeps the others. Any other value, and a
    block of another row, replaces the old value.

    Args:
        system: Fields of an experiment, as plain data.
        plain: Changed fields, as plain data.
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
