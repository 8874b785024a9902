"""Integer ranges of any length: a space with them is checked as quickly as any other."""

import pytest

from core.errors import InputError
from search.space.configurations import MOST_CONFIGURATIONS, corners, n_configurations
from search.space.parameter import Parameter
from search.space.reader import space_from_yaml
from search.space.yaml_file import parse
from tests.search.conftest import SPACE


def space(range_text, *changes):
    text = SPACE.replace("CORPUS", "data").replace("STORAGE", "storage").replace("seed: 0", "seed: 0")
    text = text.replace("epochs: 4\n", f"epochs: 4\n  seed: {{integer: {range_text}}}\n")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return space_from_yaml(parse(text))


@pytest.mark.parametrize("highest", [20_000_000, 10**12, 2**62])
def test_a_long_range_costs_nothing(highest):
    wide = space(f"[0, {highest}]")
    assert {values["seed"] for values in corners(wide)} >= {0, highest}
    assert wide.contains({"backbone.name": "lcnn", "loss.margin": 1.0, "seed": highest})
    assert not wide.contains({"backbone.name": "lcnn", "loss.margin": 1.0, "seed": highest + 1})


def test_many_configurations_are_counted_at_once():
    wide = space("[0, 1000000000000]", ("{uniform: [0.5, 3]}", "2.0"))
    assert n_configurations(wide) == MOST_CONFIGURATIONS


def test_a_grid_of_a_long_range_is_refused():
    with pytest.raises(InputError, match="grid would enumerate 1,000,000 configurations or more"):
        space(
            "[0, 1000000000000]",
            ("{uniform: [0.5, 3]}", "2.0"),
            ("{name: tpe, n_startup_trials: 2}", "grid"),
        )


@pytest.mark.parametrize(
    ("kind", "value", "inside"),
    [("integer", 3, True), ("integer", True, False), ("integer", 3.0, False), ("integer", 10, False)],
)
def test_an_integer_range_holds_integers(kind, value, inside):
    assert Parameter("seed", kind, low=0, high=9).holds(value) == inside


def test_a_condition_on_a_long_range_names_the_range_and_not_its_values():
    with pytest.raises(InputError, match=r"seed is never -1; it is integer 0 to 1e\+12"):
        space("[0, 1000000000000]", ("{uniform: [0.5, 3]}", "{uniform: [0.5, 3], when: {seed: -1}}"))
