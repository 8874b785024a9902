"""Detectors as they are built."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from core.config import experiment_from_plain
from core.detector import build_network, check_detector
from core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("backbone", "channels_last"),
    [
        ({"name": "senet34"}, True),
        ({"name": "lcnn"}, True),
        ({"name": "resnet18", "width": 16}, True),
        ({"name": "resnet18", "width": 24}, False),
        ({"name": "densenet"}, False),
    ],
    ids=str,
)
def test_weights_lie_channels_last_where_channels_come_in_whole_blocks(backbone, channels_last):
    network = build_network(experiment_from_plain({"front_end": "lfcc", "mode": "original", "backbone": backbone}), 60)
    weights = [each.weight for each in network.modules() if isinstance(each, nn.Conv2d)]
    wide = [each for each in weights if each.shape[1] > 1 and each.shape[2:].numel() > 1]  # else both orders are one
    assert wide
    assert all(each.is_contiguous(memory_format=torch.channels_last) == channels_last for each in wide)
    # Loading a state keeps the order, whatever that of the state.
    network.load_state_dict({name: value.contiguous() for name, value in network.state_dict().items()})
    assert all(each.is_contiguous(memory_format=torch.channels_last) == channels_last for each in wide)


def test_a_check_tells_what_cannot_be_built():
    check_detector(experiment_from_plain({"front_end": "lfcc", "backbone": "lcnn", "input": {"n_frames": 32}}), 60)
    short = experiment_from_plain({"front_end": "lfcc", "backbone": "lcnn", "input": {"n_frames": 4}})
    with pytest.raises(InputError, match="lcnn"):
        check_detector(short, 60)


def test_a_check_of_any_backbone_loads_no_compiler():
    code = """
import sys
from core.backbones import BACKBONES, ENCODER_BACKBONES, WAVEFORM_BACKBONES
from core.config import experiment_from_plain
from core.detector import check_detector

for backbone in set(BACKBONES) - ENCODER_BACKBONES:
    plain = {"front_end": "lfcc", "mode": "original", "backbone": backbone, "input": {"n_frames": 4000}}
    check_detector(experiment_from_plain(plain), 1 if backbone in WAVEFORM_BACKBONES else 60)
print([name for name in sys.modules if name.startswith("torch._dynamo")])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
