"""The section `eval` of a space: corpora for measuring bundles, which no search opens."""

import pytest

from core.errors import InputError
from search.prepare.plan import make_plan
from search.runs.storage import Storage
from search.space.diff import differences
from search.space.reader import read_space
from tests.speech import make_corpus

SPACE = """name: s
corpus: {layout: asvspoof2019_la, path: LA}
EVAL
experiment: {front_end: lfcc, loss: {margin: {uniform: [0.5, 2]}}}
"""
EVAL = "eval: [{name: itw, layout: in_the_wild, path: absent}, {name: df, layout: asvspoof2021, path: x, track: DF}]"


def space(folder, section):
    (folder / "s.yaml").write_text(SPACE.replace("EVAL", section))
    return read_space(folder / "s.yaml")


def test_a_space_names_several_corpora_for_measuring(tmp_path):
    first, second = space(tmp_path, EVAL).eval_corpora
    assert (first.name, first.corpus.layout.name, first.corpus.path) == ("itw", "in_the_wild", "absent")
    assert second.corpus.layout.options == {"track": "DF"}
    assert space(tmp_path, "").eval_corpora == ()


def test_a_search_does_not_open_them(tmp_path, monkeypatch):
    make_corpus(tmp_path / "LA", n_per_class=3, duration_s=0.3)
    monkeypatch.chdir(tmp_path)
    plan = make_plan(space(tmp_path, EVAL), Storage("st"))  # the corpora of `eval` do not exist
    assert {store.partition for store in plan.stores} == {"train", "dev"}


def test_they_may_change_when_a_run_is_resumed(tmp_path):
    assert differences(space(tmp_path, EVAL).resolved(), space(tmp_path, "").resolved()) == {}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("eval: {name: itw}", r"s\.yaml:3: section eval is .*; it must be a list of corpora"),
        ("eval: [itw]", r"s\.yaml:3: eval\.0 is 'itw'; it must be a mapping"),
        ("eval: [{layout: in_the_wild, path: x}]", r"eval\.0\.name is None; it must be a word"),
        ("eval: [{name: a, layout: in_the_wold, path: x}]", "eval.0.layout: no 'in_the_wold'.*did you mean"),
        ("eval: [{name: a, layout: in_the_wild}]", r"eval\.0\.path is None; it must be a folder or file"),
        ("eval: [{name: a, layout: csv, path: x, phase: 1}]", "csv has no 'phase'.*; and name, layout, path"),
        ("eval: [{name: a, layout: csv, path: x}, {name: a, layout: csv, path: y}]", r"eval\.1\.name: 'a' is the name"),
    ],
)
def test_mistakes_are_named_with_their_lines(tmp_path, section, message):
    with pytest.raises(InputError, match=message):
        space(tmp_path, section)
