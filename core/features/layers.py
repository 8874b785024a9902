"""Layers of front ends: which hidden states of a network are returned, and how many values a frame has then."""

from collections.abc import Sequence
from typing import Any, Literal

from core.errors import InputError
from core.table import Block, Table, option_defaults


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


def layers_of_options(
    where: str, layer: int | None, layers: Sequence[int] | Literal["all"] | None, n_layers: int
) -> tuple[int, ...]:
    """Indices of hidden states that the options `layer` and `layers` of a front end choose; by default the last.

    Args:
        where: Begin of an error message.
        layer: Index of one hidden state.
        layers: Indices of several, or `all`; an alternative to `layer`.
        n_layers: Number of transformer layers, which is the index of the last hidden state.

    Raises:
        InputError: Both options are given, or the network has no such state.
    """
    if layer is not None and layers is not None:
        raise InputError(f"{where}: `layer` or `layers` can be given, not both")
    if layers is None:
        layers = [n_layers if layer is None else layer]
    try:
        return chosen_layers(layers, n_layers)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def layers_of(front_end: Any) -> tuple[int, ...]:
    """Indices of the layers that a built front end returns; empty: it has no layers to choose from."""
    return tuple(getattr(front_end, "layers", ()))


def narrowed(front_end: Block, layer: object, layers: Sequence[int], table: Table) -> tuple[Block, tuple[int, ...]]:
    """A front end that computes no more layers than are read, and the layers that it returns.

    The features of a layer do not depend on the other layers that are returned.

    Args:
        front_end: Row of a table of front ends and its options.
        layer: As in `InputOptions.layer`. Unless it is an index, all layers are needed and nothing changes.
        layers: Indices of the layers that the front end returns.
        table: The table, FRONT_ENDS.
    """
    if not isinstance(layer, int) or len(layers) < 2 or "layers" not in option_defaults(table[front_end.name]):
        return front_end, tuple(layers)
    return Block(front_end.name, {**front_end.options, "layers": [layer]}), (layer,)
