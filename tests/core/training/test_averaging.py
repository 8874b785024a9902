"""The mean of the last epochs' weights: what is judged and kept, while training goes on with its own."""

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from core import checkpoint
from core.config import experiment_from_plain
from core.detector import build_network
from core.errors import InputError
from core.evaluation.folds import Origins, attack_folds
from core.training.averaging import RecentWeights
from core.training.fit import best_detector
from core.training.fit_folds import fit_folds
from tests.core.training.test_fit import PLAIN, run, same, stores  # noqa: F401 - a fixture


def test_it_is_the_mean_that_pytorch_computes():
    experiment = experiment_from_plain(PLAIN)
    recent = RecentWeights(3)
    networks = []
    for seed in range(5):
        torch.manual_seed(seed)
        networks.append(build_network(experiment, 60).train())
        networks[-1].embed(torch.randn(4, 60, 32))  # moves the statistics of batch norm
        recent.add(networks[-1])
    reference = AveragedModel(networks[2], use_buffers=True)
    for each in networks[2:]:
        reference.update_parameters(each)
    expected = reference.module.state_dict()
    for name, value in recent.averaged(networks[-1]).state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name])
    assert not same(recent.averaged(networks[-1]).state_dict(), networks[-1].state_dict())


def test_one_epoch_is_no_mean_and_costs_nothing():
    network = build_network(experiment_from_plain(PLAIN), 60)
    recent = RecentWeights(1)
    recent.add(network)
    assert recent.kept == []
    assert recent.averaged(network) is network
    assert recent.state(network, network) == {}


@pytest.mark.parametrize("mode", ["siamese", "original"])
def test_training_goes_on_as_without_and_the_mean_is_judged(stores, mode):  # noqa: F811
    plain, weights = run(stores, mode=mode, epochs=4, evaluate_every=4)
    averaged, state = run(stores, mode=mode, epochs=4, evaluate_every=4, average_epochs=3)
    assert [each["loss"] for each in plain] == [each["loss"] for each in averaged]
    trained = {name for name in weights["detector"] if mode == "original" or name.startswith("backbone")}
    assert all(torch.equal(state["detector"][name], weights["detector"][name]) for name in trained)
    kept = best_detector(state).state_dict()
    assert state["best"]["epoch"] == 4
    for name in trained:
        if kept[name].is_floating_point():
            mean = torch.stack([each[name] for each in state["recent"]]).mean(dim=0)
            torch.testing.assert_close(kept[name], mean)
    assert len(state["recent"]) == 3
    assert not all(torch.equal(kept[name], state["detector"][name]) for name in trained)


def test_an_interrupted_training_goes_on_to_the_same_bits(stores, tmp_path):  # noqa: F811
    changes = {"epochs": 5, "average_epochs": 3}
    whole, state = run(stores, **changes)
    begun, saved = run(stores, stop_after=2, **changes)
    checkpoint.save(tmp_path / "c.pt", saved)
    rest, resumed = run(stores, resume=checkpoint.load(tmp_path / "c.pt"), **changes)
    assert begun + rest == whole
    assert same(resumed["best"]["detector"], state["best"]["detector"])


def test_folds_keep_the_mean_too(stores):  # noqa: F811
    experiment = experiment_from_plain({**PLAIN, "epochs": 2, "evaluate_every": 2, "average_epochs": 2})
    train, dev = stores["train"], stores["dev"]
    state = fit_folds(experiment, train, dev, attack_folds(k=2)(train, dev, Origins()), lambda *_: None)
    name = next(each for each in state["detector"] if each.startswith("backbone") and each.endswith("weight"))
    mean = torch.stack([each[name] for each in state["recent"]]).mean(dim=0)
    torch.testing.assert_close(state["best"]["detector"][name], mean)
    assert not torch.equal(mean, state["detector"][name])


@pytest.mark.parametrize("mode", ["gmm", "classifier"])
def test_what_has_no_weights_has_none_to_average(mode):
    with pytest.raises(InputError, match="no weights to average"):
        experiment_from_plain({"front_end": "lfcc", "mode": mode, "epochs": 1, "average_epochs": 2})
