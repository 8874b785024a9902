from typing import Literal

import pytest

from core.errors import InputError
from core.table import Block, block, build, mapping_problems, matches, problems, resolved


def row(
    size: int, *, margin: float = 2.0, kind: Literal["a", "b"] = "a", layers: list[int] | None = None, needed: str
) -> tuple:
    if margin <= 0:
        raise ValueError(f"margin is {margin}; it must be above 0")
    return size, margin, kind, layers, needed


TABLE = {"row": row, "other": lambda size: size}


def test_a_row_is_called_with_context_and_options():
    assert build("part", TABLE, Block("row", {"needed": "x", "margin": 1}), 7) == (7, 1, "a", None, "x")
    assert resolved(TABLE, Block("row", {"needed": "x"})).plain() == {
        "name": "row",
        "margin": 2.0,
        "kind": "a",
        "layers": None,
        "needed": "x",
    }


def test_every_problem_of_a_block_at_once():
    found = problems("part", TABLE, Block("row", {"margn": 1, "kind": "c", "layers": [1, "2"]}))
    assert [problem.text for problem in found] == [
        "part: row has no 'margn'; it takes margin, kind, layers, needed; did you mean 'margin'?",
        "part: kind of row is 'c'; it must be one of a, b",
        "part: layers of row is [1, '2']; it must be list[int] or null",
        "part: row needs 'needed'",
    ]
    assert [problem.path for problem in found] == [("margn",), ("kind",), ("layers",), ()]
    (problem,) = problems("part", TABLE, Block("rwo"))
    assert problem == (("name",), "part: no 'rwo'; there are row, other; did you mean 'row'?")


def test_a_value_that_the_row_refuses():
    with pytest.raises(InputError, match="part: row: margin is -1; it must be above 0"):
        build("part", TABLE, Block("row", {"needed": "x", "margin": -1}), 7)


@pytest.mark.parametrize(
    ("value", "annotation", "fits"),
    [
        (1, float, True),
        (True, float, False),
        (True, int, False),
        (1.0, int, False),
        (True, bool, True),
        (None, float | None, True),
        ("a", float | None, False),
        ([1, 2], list[int], True),
        ([1, True], list[int], False),
        ("ab", list[str], False),
    ],
)
def test_types(value, annotation, fits):
    assert matches(value, annotation) is fits


def test_every_problem_of_a_mapping_at_once_and_where_it_is():
    hints = {"n_frames": int, "normalize": Literal["none", "mean"]}
    assert mapping_problems("input", {"n_frames": 3, "normalize": "mean"}, hints) == []
    assert mapping_problems("input", {"n_frame": 3, "normalize": "max", "n_frames": True}, hints) == [
        (("n_frame",), "input: no 'n_frame'; it takes n_frames, normalize; did you mean 'n_frames'?"),
        (("normalize",), "input.normalize is 'max'; it must be one of none, mean"),
        (("n_frames",), "input.n_frames is True; it must be int"),
    ]
    assert mapping_problems("input", 3, hints) == [
        ((), "input: expected a mapping of n_frames, normalize, found 3"),
    ]


def test_blocks_from_plain_values():
    assert block("lcnn") == Block("lcnn")
    assert block({"name": "lcnn", "width": 3}) == Block("lcnn", {"width": 3})
    for wrong in (3, {"width": 3}, {"name": 3}, None):
        with pytest.raises(InputError, match="expected a name"):
            block(wrong)
