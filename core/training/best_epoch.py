"""The best epoch of a training so far: one way to choose it, whatever is trained."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


class BestEpoch:
    """The epoch that ranks first among those offered so far, with its metrics and weights.

    Attributes:
        kept: `epoch`, `rank`, `metrics` and the weights under the name given, as plain data and tensors on the CPU for
            a checkpoint; None until an epoch was offered.
    """

    def __init__(self, kept: Mapping[str, Any] | None = None, *, weights_name: str = "detector") -> None:
        """What an earlier part of the training kept goes on.

        Args:
            kept: As a checkpoint holds it.
            weights_name: Key of the weights in it.
        """
        self.kept = dict(kept) if kept is not None else None
        self.weights_name = weights_name

    def offer(
        self, rank: Sequence[float], *, epoch: int, metrics: Mapping[str, float], weights: Mapping[str, Tensor]
    ) -> None:
        """Takes an epoch where it is the first or its rank is lower: the earlier of two equal ones stays.

        Args:
            rank: What is compared, the most important first; lower is better.
            epoch: Its number.
            metrics: Copied.
            weights: Copied to the CPU.
        """
        if self.kept is None or tuple(rank) < tuple(self.kept["rank"]):
            self.kept = {
                "epoch": epoch,
                "rank": list(rank),
                "metrics": dict(metrics),
                self.weights_name: copied(weights),
            }

    def objective(self) -> dict[str, float]:
        """`objective`: the first number of the best rank; empty until an epoch was offered."""
        return {"objective": self.kept["rank"][0]} if self.kept is not None else {}


def copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as tensors of their own, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in weights.items()}
