"""Learning-rate schedules, and the optimisers whose rate they set."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from core import table
from core.errors import InputError
from core.lr_schedule import LR_SCHEDULES, constant, cosine, step, warmup_inverse_sqrt
from core.optimizer import OPTIMIZERS
from core.table import Block


@pytest.mark.parametrize("name", LR_SCHEDULES)
@pytest.mark.parametrize(("n_batches", "epochs"), [(396, 50), (1, 1), (3, 2)])
def test_rates_are_positive_and_finite_throughout(name: str, n_batches: int, epochs: int) -> None:
    schedule = LR_SCHEDULES[name](n_batches, epochs)
    rates = [schedule(iteration) for iteration in range(n_batches * epochs)]
    assert all(0 < rate < 0.1 for rate in rates)


def test_paper_schedule_by_hand() -> None:
    # N = 2: gamma = 2 * sqrt(4) = 4.
    schedule = warmup_inverse_sqrt(2, 1, alpha=8.0)
    assert [schedule(i) for i in range(4)] == pytest.approx([2.0, 4.0, 8 / math.sqrt(3), 4.0])


@pytest.mark.parametrize("n_batches", [10, 396])
def test_paper_schedule_peaks_where_its_two_stages_meet(n_batches: int) -> None:
    schedule = warmup_inverse_sqrt(n_batches, 50)
    rates = [schedule(i) for i in range(3 * n_batches)]
    top = max(range(len(rates)), key=rates.__getitem__)
    assert abs(top + 1 - 2 ** (1 / 3) * n_batches) <= 1
    peak = 0.02 / math.sqrt(2 ** (1 / 3) * n_batches)
    assert rates[top] == pytest.approx(peak, rel=0.05)
    assert rates[top] <= peak
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))


def test_constant_stays() -> None:
    assert {constant(7, 3, lr=0.5)(i) for i in range(21)} == {0.5}


def test_cosine_by_hand() -> None:
    schedule = cosine(4, 3, lr=1.0, warmup_epochs=1.0, final=0.2)
    expected = [0.25, 0.5, 0.75, 1.0] + [0.2 + 0.4 * (1 + math.cos(math.pi * i / 8)) for i in range(8)]
    assert [schedule(i) for i in range(12)] == pytest.approx(expected)
    assert schedule(12) == schedule(20) == pytest.approx(0.2)  # past the end


@pytest.mark.parametrize(("warmup_epochs", "expected"), [(0, [1.0, 0.5]), (2.0, [0.5, 1.0]), (4.0, [0.25, 0.5])])
def test_cosine_without_and_with_nothing_but_warm_up(warmup_epochs: float, expected: list[float]) -> None:
    schedule = cosine(1, 2, lr=1.0, warmup_epochs=warmup_epochs)
    assert [schedule(i) for i in range(2)] == pytest.approx(expected)


def rates_of_torch(
    make: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler], n: int
) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = make(optimizer)
    rates = []
    for _ in range(n):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_and_step_against_torch() -> None:
    annealed = rates_of_torch(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=20, eta_min=0.1), 20)
    ours = cosine(5, 4, lr=0.3, warmup_epochs=0, final=0.1)
    assert [ours(i) for i in range(20)] == pytest.approx(annealed)
    stepped = rates_of_torch(lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=10, gamma=0.5), 35)
    ours = step(5, 7, lr=0.3, every=2, factor=0.5)
    assert [ours(i) for i in range(35)] == pytest.approx(stepped)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("warmup_inverse_sqrt", {"alpha": 0.0}, "alpha is 0.0"),
        ("constant", {"lr": -1e-3}, "lr is -0.001"),
        ("constant", {"lr": math.nan}, "lr is nan"),
        ("cosine", {"lr": 0}, "lr is 0"),
        ("cosine", {"warmup_epochs": -1}, "warmup_epochs is -1"),
        ("cosine", {"lr": 1e-3, "final": 1e-2}, "final is 0.01"),
        ("cosine", {"final": -1e-3}, "final is -0.001"),
        ("step", {"every": 0}, "every is 0"),
        ("step", {"factor": 0}, "factor is 0"),
        ("step", {"lr": math.inf}, "lr is inf"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        table.build("lr_schedule", LR_SCHEDULES, Block(name, options), 10, 10)


@pytest.mark.parametrize("name", LR_SCHEDULES)
@pytest.mark.parametrize("context", [(0, 10), (10, 0)])
def test_an_empty_training_is_refused(name: str, context: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LR_SCHEDULES[name](*context)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_step_moves_by_the_rate_against_the_gradient(name: str) -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = OPTIMIZERS[name]([parameter], weight_decay=0.0)
    parameter.grad = torch.tensor([0.3, -7.0])
    optimizer.step()
    assert parameter.tolist() == [1.0, -2.0]  # no rate yet
    fresh = OPTIMIZERS[name]([parameter], weight_decay=0.0)
    fresh.param_groups[0]["lr"] = 0.1
    fresh.step()
    assert parameter.tolist() == pytest.approx([0.9, -1.9])  # Adam's first step is the gradient's sign


def test_weight_decay_is_a_penalty_in_adam_and_apart_in_adamw() -> None:
    moved = {}
    for name, make in OPTIMIZERS.items():
        parameter = torch.nn.Parameter(torch.tensor([4.0]))
        optimizer = make([parameter], weight_decay=0.5)
        optimizer.param_groups[0]["lr"] = 0.1
        parameter.grad = torch.zeros(1)
        optimizer.step()
        moved[name] = parameter.item()
    # The penalty's gradient is normalised to a step of 0.1; the other shrinks by 0.1 * 0.5.
    assert moved == pytest.approx({"adam": 3.9, "adamw": 3.8})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_negative_weight_decay_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="weight_decay"):
        table.build("optimizer", OPTIMIZERS, Block(name, {"weight_decay": -0.1}), [torch.nn.Parameter(torch.zeros(1))])
