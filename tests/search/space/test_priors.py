"""Priors: what a range is believed to hold, stated in the space or known from the defaults."""

import pytest
import yaml

from core.errors import InputError
from search.space.configurations import baseline, prior_of
from search.space.parameter import Prior
from search.space.places import make_absolute
from search.space.reader import space_from_yaml
from search.space.yaml_file import parse

SPACE = """\
name: example
corpus: {layout: asvspoof2019_la, path: data}
experiment:
  front_end: lfcc
  mode: {choice: [original, siamese], prior: original}
  backbone:
    name: {choice: [lcnn, senet34]}
    embedding_dim: {integer: [64, 256], prior: 100}
  loss: {margin: {uniform: [0.5, 3], when: {mode: siamese}}}
  optimizer:
    name: adamw
    weight_decay: {log_uniform: [1e-5, 1e-2], prior: 1e-3}
  lr_schedule:
    choice:
      - constant
      - {name: cosine, warmup_epochs: 0.5}
    prior: {name: cosine, warmup_epochs: 0.5}
  epochs: {choice: [3, 6]}
search: {trials: 7}
"""


def space(text=SPACE):
    return space_from_yaml(parse(text, "s.yaml"))


def parameter(path, text=SPACE):
    return next(parameter for parameter in space(text).parameters if parameter.path == path)


def test_every_kind_of_range_may_state_a_prior():
    priors = {parameter.path: parameter.prior and parameter.prior.value for parameter in space().parameters}
    assert priors == {
        "mode": "original",
        "backbone.name": None,
        "backbone.embedding_dim": 100,
        "loss.margin": None,
        "optimizer.weight_decay": 1e-3,
        "lr_schedule": "cosine(warmup_epochs=0.5)",
        "epochs": None,
    }
    assert isinstance(parameter("backbone.embedding_dim").prior.value, int)
    whole = parameter("optimizer.weight_decay", SPACE.replace("prior: 1e-3", "prior: 1").replace("1e-2]", "2]"))
    assert isinstance(whole.prior.value, float)


def test_the_baseline_has_the_stated_priors_and_else_the_defaults():
    assert baseline(space()) == {
        "mode": "original",  # the default is siamese
        "backbone.name": "senet34",
        "backbone.embedding_dim": 100,  # 512 is the default
        "optimizer.weight_decay": 1e-3,
        "lr_schedule": "cosine(warmup_epochs=0.5)",
        "epochs": 3,  # the default of 50 is not among them: the first
    }


def test_the_default_is_the_prior_where_the_range_holds_it():
    found = space()
    values = {"mode": "siamese", "backbone.name": "senet34"}
    priors = {parameter.path: prior_of(found, parameter, values) for parameter in found.searched}
    assert priors["loss.margin"] == Prior(2.0, stated=False)
    assert priors["backbone.name"] == Prior("senet34", stated=False)
    assert priors["mode"] == Prior("original", stated=True)
    assert priors["epochs"] is None


def test_the_default_prior_depends_on_the_row():
    text = SPACE.replace("embedding_dim: {integer: [64, 256], prior: 100}", "width: {integer: [4, 64]}")
    text = text.replace("[lcnn, senet34]", "[senet18, lcnn]")
    found = space(text)
    width = next(parameter for parameter in found.searched if parameter.path == "backbone.width")
    by_row = {row: prior_of(found, width, {"backbone.name": row}).value for row in ("senet18", "lcnn")}
    assert by_row["senet18"] != by_row["lcnn"]


def test_a_default_that_is_null_or_a_list_is_a_prior_too():
    text = SPACE.replace("epochs: {choice: [3, 6]}", "epochs: 3\n  steps_per_epoch: {choice: [9, null]}")
    text = text.replace("search:", "  widen: {choice: [[noise], []]}\nsearch:")
    values = baseline(space(text))
    assert values["steps_per_epoch"] is None
    assert values["widen"] == "[]"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            "prior: 1e-3",
            "prior: 1",
            12,
            "optimizer.weight_decay: prior is 1; it must lie in the range, log_uniform 1e-05",
        ),
        ("prior: 1e-3", "prior: [1e-3]", 12, "prior is [0.001]; it must lie"),
        ("prior: 1e-3", "prior: .nan", 12, "prior is nan; it must lie"),
        ("prior: 1e-3", "prior: {mean: 1e-3}", 12, "prior is {'mean': 0.001}; it must lie"),
        ("prior: 1e-3", "prior: null", 12, "prior is None; it must lie"),
        ("prior: 1e-3", "prior: 2020-01-01", 12, "it must lie in the range"),
        ("prior: 100", "prior: 100.5", 8, "prior is 100.5; it must lie in the range, integer 64 to 256"),
        ("prior: 100", "prior: true", 8, "prior is True; it must lie"),
        ("prior: original", "prior: orginal", 5, "choice of original, siamese; did you mean 'original'?"),
        (
            "prior: {name: cosine, warmup_epochs: 0.5}",
            "prior: cosine",
            17,
            "lr_schedule: prior is 'cosine'; it must lie",
        ),
        ("choice: [3, 6]", "choice: [1, 6], prior: true", 18, "epochs: prior is True"),
        (
            "{uniform: [0.5, 3], when",
            "{value: 1, prior: 1, when",
            9,
            "loss.margin: a value is fixed and needs no prior",
        ),
    ],
)
def test_a_prior_outside_its_range_is_one_mistake_with_its_line(old, new, line, words):
    assert old in SPACE
    with pytest.raises(InputError) as caught:
        space(SPACE.replace(old, new, 1))
    (problem,) = caught.value.problems
    assert problem.startswith(f"s.yaml:{line}: ")
    assert words in problem


def test_all_wrong_priors_are_reported_at_once():
    text = SPACE.replace("prior: 100", "prior: 1").replace("prior: original", "prior: x").replace("1e-3", "1")
    with pytest.raises(InputError) as caught:
        space(text)
    assert len(caught.value.problems) == 3


def test_a_number_written_in_another_way_is_the_same_choice():
    assert parameter("epochs", SPACE.replace("[3, 6]", "[3, 6], prior: 6.0")).prior.value == 6


def test_the_resolved_space_keeps_its_priors():
    text = SPACE.replace("{uniform: [0.5, 3], when", "{uniform: [0.5, 3], prior: 1, when")
    first = space(text)
    again = space_from_yaml(parse(yaml.safe_dump(first.resolved(), sort_keys=False)))
    assert [parameter.prior for parameter in again.parameters] == [parameter.prior for parameter in first.parameters]


def test_the_path_of_a_prior_becomes_absolute_as_its_choice_does(tmp_path):
    (tmp_path / "a.pt").write_text("")
    data = {"experiment": {"front_end": {"checkpoint": {"choice": ["a.pt", "b.pt"], "prior": "a.pt"}}}}
    make_absolute(data, tmp_path)
    written = data["experiment"]["front_end"]["checkpoint"]
    assert written == {"choice": [str(tmp_path / "a.pt"), "b.pt"], "prior": str(tmp_path / "a.pt")}
