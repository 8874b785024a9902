"""Layers of front ends: the choice, the size of a frame, and front ends that compute one layer."""

from types import SimpleNamespace

import pytest

from core.features.layers import chosen_layers, narrowed
from core.stores.shards import bytes_per_frame
from core.table import Block


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


def test_a_frame_has_the_values_of_every_layer_and_of_the_mean_of_several():
    assert bytes_per_frame(SimpleNamespace(n_features=16)) == 32
    assert bytes_per_frame(SimpleNamespace(n_features=16, layers=(2,))) == 32
    assert bytes_per_frame(SimpleNamespace(n_features=16, layers=(0, 1, 4))) == 4 * 32


def test_only_the_index_of_one_of_several_layers_narrows_a_front_end():
    front_end = Block("wide", {"layers": "all", "model": "m"})
    table = {"wide": lambda *, model, layers="all": None, "plain": lambda *, model: None}
    assert narrowed(front_end, 2, (0, 2), table) == (Block("wide", {"layers": [2], "model": "m"}), (2,))
    for layer in ("mean", "mix", "all"):
        assert narrowed(front_end, layer, (0, 2), table) == (front_end, (0, 2))
    assert narrowed(front_end, 2, (2,), table) == (front_end, (2,))
    assert narrowed(Block("plain"), 2, (0, 2), table) == (Block("plain"), (0, 2))
