"""Deltas: how features change from frame to frame."""

import torch
from torch import Tensor, nn


def with_deltas(features: Tensor, *, reach: int, divisor: float) -> Tensor:
    """Features with their deltas and double deltas, `(batch, 3 * n_features, n_frames)`.

    A delta is the sum of `k * (x[t + k] - x[t - k])` over `k` from 1 to `reach`, divided by `divisor`. The frames at
    the edges are repeated.

    Args:
        features: `(batch, n_features, n_frames)`.
        reach: Frames on either side that a delta uses, 1 or more.
        divisor: With `2 * (1 + 4 + ... + reach ** 2)`, a delta is the slope of a regression line (HTK book, equation
            5.16).
    """

    def delta(values: Tensor) -> Tensor:
        padded = nn.functional.pad(values, (reach, reach), mode="replicate")
        n_frames = values.shape[-1]
        total = torch.zeros_like(values)
        for k in range(1, reach + 1):
            after, before = reach + k, reach - k
            total += k * (padded[..., after : after + n_frames] - padded[..., before : before + n_frames])
        return total / divisor

    first = delta(features)
    return torch.cat([features, first, delta(first)], dim=1)
