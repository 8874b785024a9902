"""The best epoch of a training so far, selected in one way for detectors and for pretraining."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


class BestEpoch:
    """The epoch with the lowest rank so far, with its metrics and weights.

    Attributes:
        kept: `epoch`, `rank`, `metrics` and the weights under `weights_name`, as plain data and tensors on the CPU for
            a checkpoint; None before the first epoch.
    """

    def __init__(self, kept: Mapping[str, Any] | None = None, *, weights_name: str = "detector") -> None:
        """Starts with the best epoch of an earlier part of the training.

        Args:
            kept: Best epoch from a checkpoint; None = none yet.
            weights_name: Key of the weights in `kept`.
        """
        self.kept = dict(kept) if kept is not None else None
        self.weights_name = weights_name

    def offer(
        self, rank: Sequence[float], *, epoch: int, metrics: Mapping[str, float], weights: Mapping[str, Tensor]
    ) -> None:
        """Keeps an epoch if it is the first or its rank is lower; of two equal epochs, the earlier one is kept.

        Args:
            rank: Numbers to compare, the most important first; lower is better.
            epoch: Number of the epoch.
            metrics: Metrics of the epoch; copied.
            weights: Weights after the epoch; copied to the CPU.
        """
        if self.kept is None or tuple(rank) < tuple(self.kept["rank"]):
            self.kept = {
                "epoch": epoch,
                "rank": list(rank),
                "metrics": dict(metrics),
                self.weights_name: copied(weights),
            }

    def objective(self) -> dict[str, float]:
        """`objective`, the first number of the best rank; empty before the first epoch."""
        return {"objective": self.kept["rank"][0]} if self.kept is not None else {}


def copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of weights on the CPU, which share no memory with the originals."""
    return {name: value.detach().cpu().clone() for name, value in weights.items()}
