"""A space may name a whole system of the literature, or search among several."""

import pytest
import yaml

from core.errors import InputError
from search.space.configurations import all_configurations, n_configurations, store_experiments
from search.space.reader import space_from_yaml
from search.space.yaml_file import parse


def space(text):
    return space_from_yaml(parse(text, "s.yaml"))


SYSTEMS_SPACE = """\
name: systems
corpus: {layout: asvspoof2019_la, path: data}
experiment:
  system: {choice: [lfcc-gmm, wav2vec-lcnn, wav2vec-senet34]}
  front_end:
    checkpoint: {value: w.pt, when: {system: [wav2vec-lcnn, wav2vec-senet34]}}
  backbone: {width: {choice: [8, 16], when: {system: wav2vec-senet34}}}
  epochs: 3
search: {sampler: grid}
"""


def test_a_system_can_be_searched_and_its_options_changed_under_its_condition():
    found = space(SYSTEMS_SPACE)
    assert n_configurations(found) == 4
    experiments = [found.experiment(values) for values in all_configurations(found)]
    assert [each.mode for each in experiments] == ["gmm", "original", "original", "original"]
    assert [each.front_end.plain() for each in experiments[:2]] == [
        {"name": "lfcc"},
        {"name": "wav2vec", "checkpoint": "w.pt"},
    ]
    assert [each.backbone.options.get("width") for each in experiments[2:]] == [8, 16]
    assert {each.epochs for each in experiments} == {3}
    assert {each.front_end.name for each in store_experiments(found)} == {"lfcc", "wav2vec"}
    assert n_configurations(space(yaml.safe_dump(found.resolved(), sort_keys=False))) == 4


def test_the_resolved_space_of_one_system_writes_it_out():
    text = (
        "name: a\ncorpus: {layout: asvspoof2019_la, path: d}\nexperiment: {system: lfcc-gmm, gmm: {n_components: 4}}\n"
    )
    resolved = space(text).resolved()["experiment"]
    assert resolved["mode"] == "gmm"
    assert resolved["gmm"]["n_components"] == 4
    assert resolved["front_end"]["n_lfcc"] == 20
    assert resolved["epochs"] == 10


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lfcc-gmm,", "lfcc-gm,", "did you mean 'lfcc-gmm'"),
        (", when: {system: [wav2vec-lcnn, wav2vec-senet34]}", "", r"give it the condition when: .system: ."),
        ("when: {system: wav2vec-senet34}", "when: {system: wav2vec-senet}", "is never 'wav2vec-senet'"),
        ("width:", "breadth:", r"lcnn has no .breadth.|senet34 has no .breadth."),
    ],
)
def test_mistakes_about_systems_are_explained(old, new, message):
    assert old in SYSTEMS_SPACE
    with pytest.raises(InputError, match=message):
        space(SYSTEMS_SPACE.replace(old, new))
