"""OPTIMIZERS: parameters -> optimiser, whose learning rate is 0 until the caller sets it before a step.

The optimisers are fused: one kernel updates a whole tensor. On a CPU they need a third of the time of the others.
"""

from collections.abc import Iterable

import torch
from torch import nn

from core.table import Table


def adam(parameters: Iterable[nn.Parameter], *, weight_decay: float = 0.0) -> torch.optim.Adam:
    """Adam.

    Args:
        parameters: Parameters to optimise.
        weight_decay: Weight of an L2 penalty, 0 or more; the adaptive step sizes scale it.
    """
    return torch.optim.Adam(parameters, lr=0.0, weight_decay=weight_decay, fused=True)


def adamw(parameters: Iterable[nn.Parameter], *, weight_decay: float = 0.01) -> torch.optim.AdamW:
    """AdamW: Adam with decoupled weight decay.

    Args:
        parameters: Parameters to optimise.
        weight_decay: Rate, 0 or more, at which the weights shrink; the adaptive step sizes do not scale it. 0: Adam.
    """
    return torch.optim.AdamW(parameters, lr=0.0, weight_decay=weight_decay, fused=True)


OPTIMIZERS: Table = {"adam": adam, "adamw": adamw}
