import pytest

from core.config import GROUPS, TABLES, Experiment, experiment_from_plain, experiment_to_plain, field_types
from core.errors import InputError
from core.table import Block


def test_the_defaults_are_the_papers():
    plain = experiment_to_plain(Experiment(Block("lfcc")))
    assert plain["backbone"]["name"] == "senet34"
    assert plain["backbone"]["embedding_dim"] == 512
    assert (plain["loss"]["name"], plain["loss"]["margin"]) == ("contrastive", 2.0)
    assert (plain["batch_size"], plain["pairs"]["n_pairs"]) == (64, 50)
    assert (plain["epochs"], plain["classifier"]["epochs"], plain["classifier"]["hidden"]) == (50, 10, 256)
    assert plain["lr_schedule"]["name"] == "warmup_inverse_sqrt"
    assert plain["optimizer"]["name"] == "adam"


def test_plain_and_back():
    experiment = experiment_from_plain(
        {"front_end": {"name": "lfcc", "n_lfcc": 13}, "input": {"n_frames": 7}, "mode": "original", "seed": 3}
    )
    plain = experiment_to_plain(experiment)
    assert experiment_to_plain(experiment_from_plain(plain)) == plain
    assert plain["front_end"]["n_lfcc"] == 13
    assert set(plain) == set(field_types())


def test_tables_and_groups_are_fields():
    assert set(TABLES) | set(GROUPS) <= set(field_types())


def test_every_mistake_at_once():
    with pytest.raises(InputError) as caught:
        experiment_from_plain({"backbone": "senet43", "input": {"n_frame": 3}, "epochs": "many", "los": "x"})
    text = str(caught.value)
    for words in (
        "did you mean 'senet34'",
        "did you mean 'n_frames'",
        "epochs is 'many'",
        "no 'los'",
        "front_end is missing",
    ):
        assert words in text
    assert len(caught.value.problems) == 5
    places = {problem.path for problem in caught.value.located}
    assert places == {("backbone", "name"), ("input", "n_frame"), ("epochs",), ("los",), ()}


@pytest.mark.parametrize(
    ("plain", "path"),
    [
        ({"epochs": 0}, ("epochs",)),
        ({"batch_size": 7}, ("batch_size",)),
        ({"loss": {"margn": 1}}, ("loss", "margn")),
        ({"input": {"n_frames": 0}}, ("input",)),
    ],
)
def test_a_problem_knows_its_key(plain, path):
    with pytest.raises(InputError) as caught:
        experiment_from_plain({"front_end": "lfcc", **plain})
    assert [problem.path for problem in caught.value.located] == [path]
