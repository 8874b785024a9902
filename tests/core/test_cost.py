"""What detectors cost, against counting by hand."""

import pytest
import torch
from torch import nn

from core.config import experiment_from_plain
from core.cost import cost_of, macs_of
from core.detector import Detector
from core.systems import SYSTEMS


class Counted(nn.Module):
    """A convolution of 4 channels, 3 by 3, over 6 by 10 places, then a layer of 240 to 5."""

    embedding_dim = 5

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv2d(1, 4, 3, padding=1), nn.Flatten())
        self.last = nn.Linear(240, 5)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.last(self.layers(features))


@pytest.mark.parametrize("score_windows", [1, 3])
def test_operations_by_hand(score_windows: int) -> None:
    plain = {"front_end": "lfcc", "input": {"n_frames": 10, "score_windows": score_windows}}
    options = experiment_from_plain(plain).input
    detector = Detector(Counted(), nn.Identity(), options)
    assert macs_of(detector, 6) == score_windows * (6 * 10 * 4 * 9 + 240 * 5)


def test_parameters_and_time_of_a_detector() -> None:
    plain = {
        "front_end": {"name": "lfcc", "deltas": False},
        "input": {"n_frames": 32},
        "backbone": {"name": "senet18", "width": 4, "embedding_dim": 16},
        "classifier": {"name": "mlp", "hidden": 8},
    }
    small = cost_of(experiment_from_plain(plain), 20, seconds=0.5)
    wide = cost_of(experiment_from_plain({**plain, "backbone": {"name": "senet18", "width": 16}}), 20, seconds=0.5)
    assert small.parameters < wide.parameters / 8
    assert small.gmacs is not None
    assert wide.gmacs is not None
    assert 0 < small.gmacs < wide.gmacs / 8
    assert small.real_time_factor is not None
    assert small.real_time_factor > 0


def test_mixtures_have_no_operations_of_layers() -> None:
    plain = {**SYSTEMS["lfcc-gmm"], "gmm": {"n_components": 4}}
    assert cost_of(experiment_from_plain(plain), 60, seconds=0.5).gmacs is None


def test_a_front_end_that_is_not_here_leaves_the_time_open() -> None:
    plain = {"front_end": {"name": "wav2vec", "checkpoint": "/nowhere.pt"}, "input": {"n_frames": 32}}
    found = cost_of(experiment_from_plain({**plain, "backbone": {"name": "senet18", "width": 4}}), 512)
    assert found.real_time_factor is None
    assert found.gmacs is not None
