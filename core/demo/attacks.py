"""The attacks of the quickstart corpus: A01 to A06 in train and dev, from A07 in eval alone."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.demo import text_to_speech
from core.errors import InputError
from core.vocoders import engines
from core.vocoders.material import Material
from core.vocoders.signal_chain import Waveform

_SEEN, _UNSEEN = ("train", "dev"), ("eval",)


@dataclass(frozen=True)
class Attack:
    """A row of `ATTACKS`.

    `kind` says what it works on: `copy` resynthesises a recording of the claimed speaker, `conversion` turns another
    speaker of the partition into the claimed one, `text` speaks a sentence. `needs` is a module that must be importable
    or, with `optional`, may also be a program on the PATH. An optional attack is made only when it is asked for.
    """

    engine: Callable[[Material, np.random.Generator], Waveform]
    kind: Literal["copy", "conversion", "text"]
    partitions: tuple[str, ...]
    description: str
    needs: str
    licence: str
    optional: bool = False


ATTACKS = {
    "A01": Attack(engines.griffin_lim, "copy", _SEEN, "Griffin-Lim from 40 mel bands", "scipy", "ours"),
    "A02": Attack(engines.lpc_vocoder, "copy", _SEEN, "linear-prediction vocoder, pulse or noise", "pyworld", "ours"),
    "A03": Attack(
        engines.world_conversion,
        "conversion",
        _SEEN,
        "WORLD voice conversion (F0, formants)",
        "pyworld",
        "MIT (pyworld)",
    ),
    "A04": Attack(
        text_to_speech.pico, "text", _SEEN, "SVOX Pico text to speech", "py_nanotts", "Apache-2.0 (py-nanotts)"
    ),
    "A05": Attack(engines.harmonic_noise, "copy", _SEEN, "harmonics plus noise, phases not kept", "pyworld", "ours"),
    "A07": Attack(engines.mlsa, "copy", _UNSEEN, "mel-cepstral vocoder (MLSA filter)", "pysptk", "MIT (pysptk)"),
    "A08": Attack(
        engines.world_coded, "copy", _UNSEEN, "WORLD from 14 numbers a frame, F0 smoothed", "pyworld", "MIT (pyworld)"
    ),
    "A09": Attack(
        engines.unit_concatenation, "copy", _UNSEEN, "40 ms units of the speaker's other recordings", "scipy", "ours"
    ),
    "A10": Attack(
        engines.psola,
        "conversion",
        _UNSEEN,
        "PSOLA voice conversion (F0)",
        "parselmouth",
        "GPL-3.0 (parselmouth)",
        True,
    ),
    "A11": Attack(
        text_to_speech.espeak_ng, "text", _UNSEEN, "formant text to speech", "espeak-ng", "GPL-3.0 (espeak-ng)", True
    ),
    "A12": Attack(text_to_speech.flite, "text", _UNSEEN, "flite text to speech", "flite", "BSD-like (flite)", True),
}


def chosen_attacks(optional: tuple[str, ...]) -> dict[str, Attack]:
    """The attacks that are always made, and those of the optional ones that are named; in the order of their ids.

    Raises:
        InputError: an id that is no optional attack, or a package or program that an attack needs is missing.
    """
    valid = [attack_id for attack_id, attack in ATTACKS.items() if attack.optional]
    problems = [
        f"engines: no optional attack {each!r}; there are {', '.join(valid)}" for each in optional if each not in valid
    ]
    chosen = {key: attack for key, attack in ATTACKS.items() if not attack.optional or key in optional}
    absent = {
        attack.needs
        for attack in chosen.values()
        if importlib.util.find_spec(attack.needs) is None and not (attack.optional and shutil.which(attack.needs))
    }
    if importlib.util.find_spec("av") is None:
        absent.add("av")
    problems += [
        f"engines: {each} is not installed; `pip install 'spooftune[demo]'` brings what is always needed, "
        "the extra `gpl` brings parselmouth"
        for each in sorted(absent)
    ]
    if problems:
        raise InputError(problems)
    return chosen
