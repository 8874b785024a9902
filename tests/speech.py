"""Tiny corpora that tests make: noise whose spectrum tells bona fide from spoof."""

from pathlib import Path

import numpy as np
import soundfile

from core.corpora.corpus import PARTITIONS

PROTOCOLS = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}


def make_corpus(root: Path, *, n_per_class: int = 12, seed: int = 0, duration_s: float = 0.6) -> Path:
    """A corpus in the ASVspoof 2019 LA layout; spoofed clips are low-passed noise, attack A07 is in eval alone."""
    rng = np.random.default_rng(seed)
    (root / "ASVspoof2019_LA_cm_protocols").mkdir(parents=True)
    for partition in PARTITIONS:
        folder = root / f"ASVspoof2019_LA_{partition}" / "flac"
        folder.mkdir(parents=True)
        lines = []
        for number in range(2 * n_per_class):
            spoof = number % 2
            waveform = rng.normal(size=int(16000 * duration_s * rng.uniform(0.7, 1.3)))
            if spoof:
                waveform = np.convolve(waveform, np.ones(4) / 2, mode="same")
            name = f"T_{partition[0].upper()}_{number:07d}"
            soundfile.write(folder / f"{name}.flac", np.clip(0.1 * waveform, -1, 1), 16000)
            attack = ("A07" if partition == "eval" else f"A0{1 + number % 4 // 2}") if spoof else "-"
            lines.append(f"S_{partition}_{number % 3} {name} - {attack} {'spoof' if spoof else 'bonafide'}\n")
        protocol = f"ASVspoof2019.LA.cm.{PROTOCOLS[partition]}.txt"
        (root / "ASVspoof2019_LA_cm_protocols" / protocol).write_text("".join(lines))
    return root
