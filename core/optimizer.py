"""OPTIMIZERS: parameters -> optimiser, whose learning rate is 0 until the caller sets it before a step.

The optimisers are fused: one kernel updates a whole tensor. On a CPU they need a third of the time of the others.
"""

from collections.abc import Iterable
from inspect import unwrap
from typing import Any

import torch
from torch import nn

from core.table import Table


class _WithoutCompiler(torch.optim.Optimizer):
    """PyTorch's optimisers without the wrappers that load its compiler when they are first called.

    The wrappers keep `torch.compile` out of an optimiser; nothing here is compiled. The compiler brings SymPy, Triton
    and 800 modules more: as much processor time as loading PyTorch itself, in the process of every trial and of every
    command that reads a space.
    """

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)


class Adam(_WithoutCompiler, torch.optim.Adam):
    """PyTorch's Adam, which does not load its compiler."""

    step = torch.no_grad()(unwrap(torch.optim.Adam.step))


class AdamW(_WithoutCompiler, torch.optim.AdamW):
    """PyTorch's AdamW, which does not load its compiler."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """The parameters to train, in groups of one learning rate: `params`, and `lr_factor`, which scales the rate.

    Args:
        network: Network to train. A part of it may have an attribute `lr_factor`; other parameters have the factor 1.
    """
    factors: dict[nn.Parameter, float] = {}
    for module in network.modules():
        factor: Any = getattr(module, "lr_factor", None)
        factors |= {} if factor is None else dict.fromkeys(module.parameters(), float(factor))
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rates = dict.fromkeys([1.0, *(factors.get(parameter, 1.0) for parameter in learned)])
    groups = ([parameter for parameter in learned if factors.get(parameter, 1.0) == rate] for rate in rates)
    return [{"params": group, "lr_factor": rate} for rate, group in zip(rates, groups, strict=True) if group]


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Sets the learning rate of every group of parameters, scaled by the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_factor", 1.0)  # states of earlier versions have no factor


def adam(parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], *, weight_decay: float = 0.0) -> Adam:
    """Adam.

    Args:
        parameters: Parameters to optimise, or `parameter_groups`.
        weight_decay: Weight of an L2 penalty, 0 or more; the adaptive step sizes scale it.
    """
    return Adam(parameters, lr=0.0, weight_decay=weight_decay, fused=True)


def adamw(parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], *, weight_decay: float = 0.01) -> AdamW:
    """AdamW: Adam with decoupled weight decay.

    Args:
        parameters: Parameters to optimise, or `parameter_groups`.
        weight_decay: Rate, 0 or more, at which the weights shrink; the adaptive step sizes do not scale it. 0: Adam.
    """
    return AdamW(parameters, lr=0.0, weight_decay=weight_decay, fused=True)


OPTIMIZERS: Table = {"adam": adam, "adamw": adamw}
