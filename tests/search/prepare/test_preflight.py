"""How many trials fit where."""

import pytest

from search.cluster.capacity import trials_per_node
from search.cluster.node_check import version_differences
from search.space.options import SearchOptions


@pytest.mark.parametrize(
    ("cpus", "gpus", "node", "fits"),
    [
        (1, 0.0, {"CPU": 8}, 8),
        (3, 0.0, {"CPU": 8}, 2),
        (1, 0.1, {"CPU": 64, "GPU": 2}, 20),
        (1, 0.3, {"CPU": 64, "GPU": 2}, 6),  # a fraction never straddles two GPUs
        (1, 0.6, {"CPU": 64, "GPU": 4}, 4),
        (4, 0.5, {"CPU": 8, "GPU": 4}, 2),
        (1, 2.0, {"CPU": 8, "GPU": 5}, 2),
        (1, 1.0, {"CPU": 8}, 0),
        (1, 0.0, {}, 0),
    ],
)
def test_trials_that_fit_on_a_node(cpus, gpus, node, fits):
    assert trials_per_node(SearchOptions(cpus=cpus, gpus=gpus), node) == fits


def test_versions_that_differ_are_named():
    ours = {"torch": "2.11.0", "source": "abc", "platform": "Linux-1"}
    assert version_differences(ours, {**ours, "platform": "Linux-2"}) == []
    assert version_differences(ours, {"torch": "2.10.0", "platform": "Linux-1"}) == [
        "source is missing; on the head it is abc",
        "torch is 2.10.0; on the head it is 2.11.0",
    ]
