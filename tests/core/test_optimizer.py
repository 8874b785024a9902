"""The optimisers are PyTorch's to the bit, without its compiler."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from core.optimizer import OPTIMIZERS

ROOT = Path(__file__).resolve().parents[2]
PYTORCHS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2))


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, n_steps: int) -> None:
    for number in range(n_steps):
        x = torch.randn(4, 5, generator=torch.Generator().manual_seed(number))
        optimizer.param_groups[0]["lr"] = 0.01 * (number + 1)
        optimizer.zero_grad(set_to_none=True)
        model(x).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_pytorch(name):
    ours, theirs = network(), network()
    optimizer = OPTIMIZERS[name](ours.parameters(), weight_decay=0.1)
    steps(ours, optimizer, 3)
    steps(theirs, PYTORCHS[name](theirs.parameters(), lr=0.0, weight_decay=0.1, fused=True), 3)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.requires_grad


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_goes_on_from_its_state(name):
    whole = network()
    optimizer = OPTIMIZERS[name](whole.parameters())
    steps(whole, optimizer, 2)
    cut = copy.deepcopy(whole)
    again = OPTIMIZERS[name](cut.parameters())
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(whole, optimizer, 2)
    steps(cut, again, 2)
    assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), cut.parameters(), strict=True))


def test_a_step_loads_no_compiler():
    code = (
        "import sys, torch; from core.optimizer import OPTIMIZERS; p = torch.nn.Parameter(torch.ones(2))\n"
        "for make in OPTIMIZERS.values():\n"
        "    optimizer = make([p]); p.sum().backward(); optimizer.step(); optimizer.zero_grad()\n"
        "    optimizer.load_state_dict(optimizer.state_dict())\n"
        "print(*({'torch._dynamo', 'torch._inductor', 'sympy', 'triton'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
