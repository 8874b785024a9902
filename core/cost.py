"""What a detector costs to run: parameters, multiply-accumulate operations, time."""

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from core import table
from core.audio import SAMPLE_RATE
from core.config import Experiment
from core.detector import Detector, build_detector
from core.errors import InputError
from core.features import FRONT_ENDS

REPETITIONS = 5


@dataclass(frozen=True)
class Cost:
    """Cost of one detector.

    Attributes:
        parameters: Numbers that training moves, front end apart.
        gmacs: Billions of multiply-accumulate operations of its backbone to score one utterance, all its windows
            (convolutions and matrix products; the rest is small); None for Gaussian mixtures.
        real_time_factor: Seconds of computing for a second of audio, front end included, on this machine's CPU; None
            where the front end cannot be built here.
    """

    parameters: int
    gmacs: float | None
    real_time_factor: float | None


def cost_of(experiment: Experiment, n_features: int, *, seconds: float = 4.0) -> Cost:
    """The cost of an experiment's detector; weights do not matter.

    Args:
        experiment: Which detector.
        n_features: Values a frame.
        seconds: Length of the audio that the time is measured on.
    """
    detector = build_detector(experiment, n_features).eval()
    parameters = sum(each.numel() for each in detector.parameters())
    gmacs = macs_of(detector, n_features) / 1e9 if isinstance(detector, Detector) else None
    try:
        front_end: Any = table.build("front_end", FRONT_ENDS, experiment.front_end)
    except InputError:
        return Cost(parameters, gmacs, None)
    waveform = torch.randn(1, int(seconds * SAMPLE_RATE), generator=torch.Generator().manual_seed(0)) / 10
    times = []
    with torch.inference_mode():
        for _ in range(REPETITIONS + 1):
            began = time.perf_counter()
            detector.score_utterance(front_end(waveform)[0].half())
            times.append(time.perf_counter() - began)
    return Cost(parameters, gmacs, statistics.median(times[1:]) / seconds)  # the first one warms up


def macs_of(detector: Detector, n_features: int) -> int:
    """Multiply-accumulate operations of a detector's backbone on all windows of one utterance."""
    n_windows = len(detector.options.positions())
    features = torch.zeros(n_windows, n_features, detector.options.n_frames)
    detector.eval()
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        detector.embed(features)
    return int(counted.get_total_flops()) // 2
