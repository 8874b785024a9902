"""A search that keeps the cost of its detectors low, too."""

import pytest

from core.cost import macs_of
from core.detector import build_detector
from core.errors import InputError
from search.prepare.plan import make_plan
from search.runs.storage import Storage
from search.space.reader import read_space
from search.tuning.tuner import cost_function


def planned(space_file, cost, change=("", "")):
    space_file.write_text(space_file.read_text().replace("search:\n", f"search:\n  cost: {cost}\n").replace(*change))
    return make_plan(read_space(space_file), Storage(str(space_file.parent / "storage")))


def test_cost_does_not_count_unless_asked(space_file):
    assert cost_function(planned(space_file, "none")) is None


@pytest.mark.parametrize("cost", ["gmacs", "parameters"])
def test_the_cost_is_that_of_the_configurations_detector(space_file, cost):
    plan = planned(space_file, cost)
    found = cost_function(plan)
    for name in ("senet18", "lcnn"):
        values = {"backbone.name": name, "loss.margin": 1.0}
        detector = build_detector(plan.space.experiment(values), 20)
        expected = {"gmacs": macs_of(detector, 20) / 1e9, "parameters": sum(p.numel() for p in detector.parameters())}
        assert found(values) == expected[cost]


def test_mixtures_have_no_operations(space_file):
    with pytest.raises(InputError, match="Gaussian mixtures have no layers to count; use parameters"):
        planned(space_file, "gmacs", ("  batch_size", "  mode: gmm\n  batch_size"))
