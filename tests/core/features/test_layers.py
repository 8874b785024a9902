"""Layers of front ends: the choice, and the number of values per frame."""

from types import SimpleNamespace

import pytest

from core.features.layers import chosen_layers, values_per_frame


def test_layers_keep_the_order_of_the_user():
    assert chosen_layers([3, 0], 4) == (3, 0)
    assert chosen_layers("all", 2) == (0, 1, 2)


@pytest.mark.parametrize(
    ("layers", "message"),
    [([], "an empty list"), ([0, 5, 9], "no layer 5, 9; there are 0 to 4"), ([2, 2], "layer 2 is listed twice")],
)
def test_wrong_layers_are_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        chosen_layers(layers, 4)


def test_a_frame_has_the_values_of_every_layer():
    assert values_per_frame(SimpleNamespace(n_features=16)) == 16
    assert values_per_frame(SimpleNamespace(n_features=16, layers=(2,))) == 16
    assert values_per_frame(SimpleNamespace(n_features=16, layers=(0, 1, 4))) == 48
