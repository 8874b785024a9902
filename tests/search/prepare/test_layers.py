"""A searched layer needs no store of its own, and what a front end, backbone or mode cannot give is said by check."""

import dataclasses
import json

import numpy as np
import pytest

from core.detector import build_detector
from search.cli.main import main
from search.prepare.plan import make_plan
from search.report.importance import importances
from search.runs.journal import TrialRecord
from search.runs.storage import Storage
from search.space.configurations import baseline, n_configurations, store_experiments
from search.space.diff import check_change
from search.space.optuna_space import distributions, random_values
from search.space.reader import read_space
from search.tuning.searcher import OptunaSearcher
from search.tuning.tuner import cost_function
from tests.layered import layered_front_end  # noqa: F401

FRONT_END, INPUT = "{name: lfcc, deltas: false}", "{n_frames: 32}"
LAYERED = "{name: layered, layers: [0, 1, 3]}"

pytestmark = pytest.mark.usefixtures("layered_front_end")


@pytest.fixture
def written(space_file):
    """Writes a space whose front end has layers."""

    def write(layer, *, front_end=LAYERED, more=("", "")):
        text = space_file.read_text().replace(FRONT_END, front_end)
        text = text.replace(INPUT, f"{{n_frames: 32, layer: {layer}}}")
        assert more[0] in text
        space_file.write_text(text.replace(*more))
        return space_file

    return write


def planned(path):
    return make_plan(read_space(path), Storage(str(path.parent / "storage")))


def test_all_layers_are_one_store_for_each_partition(written):
    path = written("{choice: [0, 3, mean, mix]}")
    plan = planned(path)
    assert [(store.partition, store.layers) for store in plan.stores] == [("train", (0, 1, 3)), ("dev", (0, 1, 3))]
    path.write_text(path.read_text().replace("[0, 1, 3]", "[1]").replace("{choice: [0, 3, mean, mix]}", "1"))
    one = planned(path)
    # Three layers and their mean.
    assert [store.n_bytes for store in plan.stores] == pytest.approx(
        [4 * store.n_bytes for store in one.stores], rel=1e-4
    )


def test_check_says_the_layers_and_the_size(written, capsys):
    assert main(["check", str(written("{choice: [0, 3, mean, mix]}"))]) == 0
    lines = capsys.readouterr().out.splitlines()
    stores = [line for line in lines if "features per frame" in line]
    assert len(stores) == 2
    assert all("layered of" in line and "3 layers of 20 features per frame, about 0." in line for line in stores)
    assert any("input.layer: choice of 0, 3, mean, mix" in line for line in lines)


@pytest.mark.parametrize(
    ("layer", "options", "words"),
    [
        ("2", {}, "input.layer is 2; front end layered has layers 0, 1, 3; also valid: mean, mix, all"),
        ("{choice: [0, 2]}", {}, "input.layer is 2; front end layered has layers 0, 1, 3"),
        ("{integer: [0, 3]}", {}, "input.layer is 2; front end layered has layers 0, 1, 3"),
        ("3", {"front_end": "lfcc"}, "input.layer is 3; front end lfcc has no layers to choose from: leave it out"),
        ("mix", {"front_end": "lfcc"}, "input.layer is mix; front end lfcc has no layers to choose from"),
        ("all", {}, "input.layer is all; backbone senet18 takes one layer"),
        ("median", {}, "input.layer is 'median'; it must be int or one of mean, mix, all"),
        ("{choice: [mean, -1]}", {}, "input: layer is -1; it must be at least 0"),
        ("mix", {"more": ("batch_size", "mode: gmm\n  batch_size")}, "input.layer is mix; mode gmm models the frames"),
    ],
)
def test_layers_that_cannot_be_read_are_errors_of_check(written, capsys, layer, options, words):
    assert main(["check", str(written(layer, **options))]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layer", "more"),
    [
        ("{choice: [mean, 3]}", ("{name: layered", "{choice: [lfcc, {name: layered")),
        ("{choice: [mean, mix]}", ("batch_size", "mode: {choice: [siamese, gmm]}\n  batch_size")),
    ],
)
def test_a_pair_of_values_that_do_not_go_together_is_met_whatever_is_drawn(written, layer, more, monkeypatch):
    front_end = LAYERED + "]}" if "lfcc" in more[1] else LAYERED
    path = written(layer, front_end=front_end, more=more)
    monkeypatch.setattr("random.Random.randrange", lambda self, n: 0)  # the other values: the first, which fit
    with pytest.raises(ValueError, match=r"input\.layer is (3|mix); (front end lfcc has no layers|mode gmm)"):
        planned(path)


def test_a_condition_on_the_front_end_makes_a_space_of_both(written):
    layer = "{choice: [0, mix], when: {front_end.name: layered}}"
    plan = planned(written(layer, front_end="{name: {choice: [lfcc, layered]}}"))
    assert {store.experiment.front_end.name: store.layers for store in plan.stores} == {
        "lfcc": (),
        "layered": (0, 1, 2, 3),
    }


def test_a_layer_is_a_choice_of_numbers_and_words_for_the_sampler(written):
    space = read_space(written("{choice: [0, 3, mean, mix]}", more=("{uniform: [0.5, 3]}", "2.0")))
    assert n_configurations(space) == 8
    assert baseline(space)["input.layer"] == "mean"
    assert distributions(space)["input.layer"].choices == (0, 3, "mean", "mix")
    drawn = {random_values(space, seed)["input.layer"] for seed in range(40)}
    assert drawn == {0, 3, "mean", "mix"}
    assert space.contains({"backbone.name": "lcnn", "input.layer": 3})
    assert not space.contains({"backbone.name": "lcnn", "input.layer": "3"})


def test_the_sampler_and_the_importances_learn_from_layers_of_both_kinds(written, tmp_path):
    space = read_space(written("{choice: [0, 3, mean, mix]}"))
    random = np.random.default_rng(0)
    best = {0: 0.4, 3: 0.1, "mean": 0.3, "mix": 0.2}
    records = []
    for number in range(20):
        layer = (0, 3, "mean", "mix")[number % 4]
        values = {"backbone.name": "lcnn", "input.layer": layer, "loss.margin": float(random.uniform(0.5, 3))}
        records.append(TrialRecord(number, values, "finished", 4, best[layer] + random.uniform(0, 0.02)))
    read_back = [TrialRecord(**json.loads(json.dumps(dataclasses.asdict(record)))) for record in records]
    searcher = OptunaSearcher(space, history=read_back)
    suggested = [searcher.suggest(f"t{number}")["values"] for number in range(8)]
    assert all(space.contains(values) for values in suggested)
    assert max(best, key=lambda layer: sum(values["input.layer"] == layer for values in suggested)) == 3
    searcher.save(str(tmp_path / "searcher.json"))
    again = OptunaSearcher(space)
    again.restore(str(tmp_path / "searcher.json"))
    assert space.contains(again.suggest("t")["values"])
    computed = importances(space, read_back)
    assert computed[0].path == "input.layer"
    assert computed[0].fraction > 0.8


def test_a_wider_choice_of_layers_keeps_the_trials_of_a_run(written):
    path = written("{choice: [0, mean]}")
    old = read_space(path)
    path.write_text(path.read_text().replace("[0, mean]", "[0, mean, mix]"))
    new = read_space(path)
    (change,) = check_change("r", old, new, allowed=True)
    assert change == ("experiment.input.layer.choice: [0, 'mean'] -> [0, 'mean', 'mix']")
    assert store_experiments(old) == store_experiments(new)
    assert new.contains({"backbone.name": "lcnn", "loss.margin": 1.0, "input.layer": 0})


def test_the_cost_counts_the_mix(written):
    plan = planned(written("{choice: [3, mix]}", more=("search:\n", "search:\n  cost: parameters\n")))
    values = {"backbone.name": "senet18", "loss.margin": 1.0}
    costs = [cost_function(plan)({**values, "input.layer": layer}) for layer in (3, "mix")]
    assert costs[1] - costs[0] == 3
    detector = build_detector(plan.space.experiment({**values, "input.layer": 3}), 20, (0, 1, 3))
    assert costs[0] == sum(parameter.numel() for parameter in detector.parameters())
