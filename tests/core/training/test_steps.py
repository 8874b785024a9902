"""Trainings measured in steps: minibatches of an epoch, minibatches of all, and the loss at chance."""

import dataclasses

import pytest

from core.config import Experiment, experiment_from_plain, experiment_to_plain
from core.errors import InputError
from tests.core.training.test_fit import PLAIN, run, same, stores  # noqa: F401 - a fixture

SHORT = {name: value for name, value in PLAIN.items() if name != "epochs"}


def test_an_epoch_has_as_many_steps_as_are_wanted_and_goes_on_as_if_uninterrupted(stores):  # noqa: F811
    whole, expected = run(stores, epochs=3, steps_per_epoch=7)
    assert [metrics["step"] for metrics in whole] == [7, 14, 21]
    assert [metrics["step"] for metrics in run(stores, epochs=1)[0]] == [3]  # 24 utterances in minibatches of 8
    _, cut = run(stores, epochs=3, steps_per_epoch=7, stop_after=2)
    _, resumed = run(stores, epochs=3, steps_per_epoch=7, resume=cut)
    assert same(resumed["detector"], expected["detector"])


def test_a_siamese_loss_is_compared_with_chance(stores):  # noqa: F811
    learned, _ = run(stores, epochs=2, steps_per_epoch=60, evaluate_every=2)
    assert learned[0]["loss_to_chance"] > learned[1]["loss_to_chance"]
    assert learned[1]["loss_to_chance"] < 0.9
    stuck, _ = run(stores, epochs=1, lr_schedule={"name": "constant", "lr": 1e-9})
    assert stuck[0]["loss_to_chance"] > 0.95
    assert "loss_to_chance" not in run(stores, epochs=1, mode="original")[0][0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0; it must be at least 1"),
        ({"steps_per_epoch": 9, "mode": "gmm"}, "mode gmm has no minibatches"),
        ({"steps": 0, "steps_per_epoch": 9}, "steps is 0; it must be at least 1"),
        ({"steps": 90}, "steps is 90, but steps_per_epoch is None; give it the steps between two evaluations"),
        ({"steps": 90, "steps_per_epoch": 9, "epochs": 4}, "epochs is 4, but 90 steps are 10 epochs of 9"),
    ],
)
def test_impossible_steps_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        experiment_from_plain({**PLAIN, **changes})


def test_a_training_may_count_steps_instead_of_epochs(stores):  # noqa: F811
    experiment = experiment_from_plain({**SHORT, "steps": 20, "steps_per_epoch": 7})
    assert experiment.epochs == 3  # 20 steps, rounded up to whole epochs
    described = experiment_to_plain(experiment)
    assert experiment_to_plain(experiment_from_plain(described)) == described
    assert dataclasses.replace(experiment, seed=3).epochs == 3
    counted, by_steps = run(stores, epochs=Experiment.epochs, steps=20, steps_per_epoch=7)
    assert [metrics["step"] for metrics in counted] == [7, 14, 21]
    assert same(by_steps["detector"], run(stores, epochs=3, steps_per_epoch=7)[1]["detector"])
