"""Layers of front ends: which hidden states of a network are returned, and how many values a frame has then."""

from collections.abc import Sequence
from typing import Any, Literal


def chosen_layers(layers: Sequence[int] | Literal["all"], n_layers: int) -> tuple[int, ...]:
    """Indices of hidden states that a user chose.

    Args:
        layers: Indices, or `all`.
        n_layers: Number of transformer layers, which is the index of the last hidden state. State 0 is their input.

    Raises:
        ValueError: The list is empty, an index is listed twice, or the network has no such state.
    """
    chosen = tuple(range(n_layers + 1)) if layers == "all" else tuple(int(index) for index in layers)
    there = f"there are 0 to {n_layers}"
    if not chosen:
        raise ValueError(f"an empty list of layers was given; {there}")
    outside = [index for index in chosen if not 0 <= index <= n_layers]
    if outside:
        raise ValueError(f"no layer {', '.join(map(str, outside))}; {there}")
    twice = sorted({index for index in chosen if chosen.count(index) > 1})
    if twice:
        raise ValueError(f"layer {', '.join(map(str, twice))} is listed twice")
    return chosen


def values_per_frame(front_end: Any) -> int:
    """Number of values per frame that a front end returns: `n_features` for each of its layers."""
    return int(front_end.n_features) * max(1, len(getattr(front_end, "layers", ())))
