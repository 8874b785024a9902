"""Bundles with random weights."""

import torch

from core import bundle
from core.bundle import Durations
from core.config import experiment_from_plain
from core.detector import build_detector


def export(folder, *, calibration=None, **changes):
    """Writes a small bundle of a Siamese detector with windows of 20 frames into a folder, and returns the folder.

    Utterances of its training last from 0.2 to 1 s.

    Args:
        folder: New folder.
        calibration: Map to log-likelihood ratios.
        changes: Keys of the experiment.
    """
    torch.manual_seed(0)
    plain = {
        "front_end": "lfcc",
        "input": {"n_frames": 20, "score_windows": 3},
        "backbone": {"name": "senet18", "width": 4, "embedding_dim": 16},
        "classifier": {"name": "mlp", "hidden": 8},
        **changes,
    }
    experiment = experiment_from_plain(plain)
    measured = {"dev": {"eer": 0.1, "auc": 0.9, "n_bona_fide": 1, "n_spoof": 1}}
    durations = {"train": Durations(0.2, 0.3, 0.5), "dev": Durations(0.2, 0.5, 1.0)}
    detector = build_detector(experiment, 60).eval()
    made = bundle.Bundle(detector, experiment, 60, 0.01, measured, {}, calibration=calibration, durations=durations)
    bundle.save(made, folder, front_end_weights={}, front_end_version=2)
    return folder
