"""The record of looks at eval."""

import pytest

from core.errors import InputError
from search.runs.eval_looks import LOOKS, EvalAct, looks, n_looks, record_look, record_result


def test_looks_are_numbered_and_keep_their_figures(tmp_path):
    assert n_looks(tmp_path) == 0
    number = record_look(tmp_path, command="spooftune export --eval", detectors=["export"], corpus="LA")
    assert number == 1
    (look,) = looks(tmp_path)
    assert look.eer == {}  # it counts from the moment before the first score
    record_result(tmp_path, number, {"export": 0.25})
    second = record_look(tmp_path, command="spooftune report --eval", detectors=["trial 1", "trial 2"], corpus="LA")
    assert [(look.number, look.eer) for look in looks(tmp_path)] == [(1, {"export": 0.25}), (2, {})]
    assert (second, n_looks(tmp_path)) == (2, 2)


def test_looks_that_an_earlier_version_counted_still_count(tmp_path):
    (tmp_path / "run.json").write_text('{"eval_looks": 3}')
    assert n_looks(tmp_path) == 3
    assert record_look(tmp_path, command="c", detectors=["d"], corpus="LA") == 4
    assert n_looks(tmp_path) == 4


def test_an_interrupted_line_loses_no_other(tmp_path):
    record_look(tmp_path, command="first", detectors=["d"], corpus="LA")
    with (tmp_path / LOOKS).open("a") as file:
        file.write('{"look": 2, "at"')
    record_look(tmp_path, command="second", detectors=["d"], corpus="LA")
    assert [look.command for look in looks(tmp_path)] == ["first", "second"]


def test_an_act_that_scores_nothing_is_no_look(tmp_path):
    act = EvalAct(tmp_path, command="c", detectors=["a", "b"], corpus="LA")
    act.end({})
    assert n_looks(tmp_path) == 0
    act.begin()
    act.begin()
    act.end({"a": 0.1, "b": 0.2})
    assert [(look.detectors, look.eer) for look in looks(tmp_path)] == [(("a", "b"), {"a": 0.1, "b": 0.2})]


def test_eval_is_not_scored_if_the_look_cannot_be_recorded(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        record_look(tmp_path / "absent", command="c", detectors=["d"], corpus="LA")
