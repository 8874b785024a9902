"""The front end of a bundle, with the pretrained weights of its training."""

from collections.abc import Mapping
from typing import Any

from core import table
from core.errors import InputError
from core.features import FRONT_ENDS
from core.table import Block


class WeightsMissing(InputError):
    """The pretrained weights of a bundle are missing, or others are in their place."""


def checked_front_end(block: Block, expected: Mapping[str, str]) -> Any:
    """The front end, built, if its pretrained weights are those of the training.

    Args:
        block: Row of FRONT_ENDS and its options.
        expected: File name -> SHA-256 of the weights of the training; empty: it needs none.

    Raises:
        WeightsMissing: The weights are missing or differ.
        InputError: A front end without pretrained weights cannot be built.
    """
    try:
        front_end: Any = table.build("front_end", FRONT_ENDS, block)
    except InputError as error:
        if not expected:
            raise
        hint = f"score --weights names another place of {', '.join(expected)}"
        raise WeightsMissing([*error.problems, hint]) from error
    weights = sorted(front_end.weights.values())
    if weights != sorted(expected.values()):
        raise WeightsMissing(
            f"front_end: {block.name}: the weights have SHA-256 {weights}; the bundle was trained with "
            f"{sorted(expected.values())} ({', '.join(expected)}); score --weights names another file or folder"
        )
    return front_end
