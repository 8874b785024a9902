"""Cost of a detector: parameters, multiply-accumulate operations, and time to score."""

import statistics
import time
from collections.abc import Sequence
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
from core.features.layers import narrowed
from core.stores.inputs import n_layers_read

REPETITIONS = 5


@dataclass(frozen=True)
class Cost:
    """Cost of one detector.

    Attributes:
        parameters: Number of parameters of the detector, without the front end.
        gmacs: Billions (10^9) of multiply-accumulate operations of the backbone for all windows of one utterance. A
            window has `n_frames` frames; where whole utterances are scored, that length is assumed for them.
            Convolutions and matrix products are counted; other operations are few. None for Gaussian mixtures.
        real_time_factor: Computing time in seconds per second of audio, with the front end, on the CPU of this machine.
            None if the front end cannot be built here.
    """

    parameters: int
    gmacs: float | None
    real_time_factor: float | None


def cost_of(experiment: Experiment, n_features: int, layers: Sequence[int] = (), *, seconds: float = 4.0) -> Cost:
    """Cost of an experiment's detector, measured with random weights.

    Args:
        experiment: The experiment.
        n_features: Features per frame of one layer.
        layers: Indices of the layers of the front end. The time is that of a front end that computes no more layers
            than the detector reads, as in a bundle.
        seconds: Duration of the waveform with which the time is measured.

    Raises:
        InputError: The backbone or the classifier refuses its options or the size of the input.
    """
    block, layers = narrowed(experiment.front_end, experiment.input.layer, layers, FRONT_ENDS)
    detector = build_detector(experiment, n_features, layers).eval()
    parameters = sum(parameter.numel() for parameter in detector.parameters())
    gmacs = macs_of(detector, n_features) / 1e9 if isinstance(detector, Detector) else None
    try:
        front_end: Any = table.build("front_end", FRONT_ENDS, block)
    except InputError:
        return Cost(parameters, gmacs, None)
    waveform = torch.randn(1, int(seconds * SAMPLE_RATE), generator=torch.Generator().manual_seed(0)) / 10
    times = []
    with torch.inference_mode():
        for _ in range(REPETITIONS + 1):
            began = time.perf_counter()
            detector.score_utterance(front_end(waveform)[0])
            times.append(time.perf_counter() - began)
    return Cost(parameters, gmacs, statistics.median(times[1:]) / seconds)  # the first repetition is a warm-up


def macs_of(detector: Detector, n_features: int) -> int:
    """Number of multiply-accumulate operations of a detector's backbone for all windows of one utterance."""
    n_windows = len(detector.options.positions())
    n_layers = n_layers_read(detector.options.layer, detector.layers)
    features = torch.zeros(n_windows, n_layers * n_features, detector.options.n_frames)
    detector.eval()
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        detector.embed(features)
    return int(counted.get_total_flops()) // 2
