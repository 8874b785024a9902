"""ATTACKS: the attacks of the quickstart corpus. A01 to A05 are in train and dev, A07 to A12 only in eval."""

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

    Attributes:
        engine: Function that makes spoofed speech from material, with a random generator.
        kind: `copy`: resynthesis of a recording of the claimed speaker. `conversion`: conversion of another speaker of
            the partition to the claimed one. `text`: text-to-speech of a sentence.
        partitions: Partitions that contain the attack.
        description: Method, in a few words.
        needs: Python module that the engine imports. For an optional attack it can also be a program on the PATH.
        licence: Licence of the engine.
        optional: Whether the attack is made only on request.
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
    """The attacks that are always made and the requested optional ones, by id and sorted by id.

    Args:
        optional: Ids of the requested optional attacks.

    Raises:
        InputError: An id is not that of an optional attack, or a module or program that an attack needs is missing.
    """
    valid = [attack_id for attack_id, attack in ATTACKS.items() if attack.optional]
    problems = [
        f"engines: no optional attack {attack_id!r}; there are {', '.join(valid)}"
        for attack_id in optional
        if attack_id not in valid
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
        f"engines: {name} is not installed; `pip install 'spooftune[demo]'` installs what all corpora need, "
        "and the extra `gpl` installs parselmouth"
        for name in sorted(absent)
    ]
    if problems:
        raise InputError(problems)
    return chosen
