"""LR_SCHEDULES: iteration -> learning rate. The iteration counts minibatches from 0 over all epochs."""

import math
from collections.abc import Callable

from core.table import Table

LrSchedule = Callable[[int], float]


def warmup_inverse_sqrt(n_batches: int, epochs: int, *, alpha: float = 0.02) -> LrSchedule:
    """The paper's schedule, equations (4) and (5): linear warm-up, then decay with the inverse square root.

    The peak is alpha / sqrt(2^(1/3) n_batches), at iteration 2^(1/3) n_batches. This is after about 1.26 epochs,
    independent of the number of epochs.

    Args:
        n_batches: Minibatches per epoch, N in the equations.
        epochs: Not used.
        alpha: Scale, positive. The paper does not state its value. With the 396 minibatches of ASVspoof 2019 LA, 0.02
            gives a peak of 9e-4.

    Raises:
        ValueError: An argument is out of range.
    """
    _check_context(n_batches, epochs)
    _check_positive("alpha", alpha)
    gamma = n_batches * math.sqrt(2 * n_batches)
    return lambda iteration: alpha * min((iteration + 1) / gamma, 1 / math.sqrt(iteration + 1))


def constant(n_batches: int, epochs: int, *, lr: float = 1e-3) -> LrSchedule:
    """A constant learning rate.

    Args:
        n_batches: Not used.
        epochs: Not used.
        lr: Learning rate, positive.

    Raises:
        ValueError: An argument is out of range.
    """
    _check_context(n_batches, epochs)
    _check_positive("lr", lr)
    return lambda iteration: lr


def cosine(
    n_batches: int, epochs: int, *, lr: float = 1e-3, warmup_epochs: float = 1.0, final: float = 0.0
) -> LrSchedule:
    """Linear warm-up, then half a cosine, which would reach `final` one iteration after the last.

    Args:
        n_batches: Minibatches per epoch.
        epochs: Epochs of the whole training.
        lr: Peak learning rate, reached in the last iteration of the warm-up; positive.
        warmup_epochs: Length of the warm-up in epochs, 0 or more. A warm-up as long as the training or longer has no
            decay after it.
        final: Learning rate at the end, in [0, lr].

    Raises:
        ValueError: An argument is out of range.
    """
    _check_context(n_batches, epochs)
    _check_positive("lr", lr)
    if not (warmup_epochs >= 0 and math.isfinite(warmup_epochs)):
        raise ValueError(f"warmup_epochs is {warmup_epochs}; it must be 0 or more")
    if not 0 <= final <= lr:
        raise ValueError(f"final is {final}; it must lie between 0 and lr ({lr})")
    warmup, total = round(warmup_epochs * n_batches), n_batches * epochs

    def schedule(iteration: int) -> float:
        if iteration < warmup:
            return lr * (iteration + 1) / warmup
        progress = min(1.0, (iteration - warmup) / max(1, total - warmup))
        return final + (lr - final) * (1 + math.cos(math.pi * progress)) / 2

    return schedule


def step(n_batches: int, epochs: int, *, lr: float = 1e-3, every: int = 10, factor: float = 0.1) -> LrSchedule:
    """A learning rate that is multiplied by `factor` after every `every` epochs.

    Args:
        n_batches: Minibatches per epoch.
        epochs: Not used.
        lr: Learning rate of the first `every` epochs; positive.
        every: Epochs between two changes, 1 or more.
        factor: Factor of every change; positive.

    Raises:
        ValueError: An argument is out of range.
    """
    _check_context(n_batches, epochs)
    _check_positive("lr", lr)
    _check_positive("factor", factor)
    if every < 1:
        raise ValueError(f"every is {every}; it must be at least 1")
    return lambda iteration: lr * factor ** (iteration // n_batches // every)


def _check_context(n_batches: int, epochs: int) -> None:
    if n_batches < 1 or epochs < 1:
        raise ValueError(f"{n_batches} minibatches per epoch and {epochs} epochs; both must be at least 1")


def _check_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value}; it must be a positive number")


LR_SCHEDULES: Table = {
    "warmup_inverse_sqrt": warmup_inverse_sqrt,
    "constant": constant,
    "cosine": cosine,
    "step": step,
}
