"""Errors keep their problems, the keys of these and their kind, also on the way to another process."""

import pickle

import pytest

from core.errors import InputError, Problem, Unavailable, problems_of


@pytest.mark.parametrize("kind", [InputError, Unavailable])
def test_problems_and_their_keys_survive_another_process(kind):
    error = kind([Problem(("search", "hours"), "search.hours is 0"), "storage: full"])
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - ours
    assert type(again) is kind
    assert again.problems == ("search.hours is 0", "storage: full")
    assert again.located == (Problem(("search", "hours"), "search.hours is 0"), Problem((), "storage: full"))
    assert str(again) == "search.hours is 0\nstorage: full"


def test_one_problem_needs_no_list():
    assert InputError("wrong").located == (Problem((), "wrong"),)
    assert InputError(Problem(("epochs",), "wrong")).located[0].within("experiment").path == ("experiment", "epochs")
    assert problems_of(ValueError("wrong")) == (Problem((), "wrong"),)
