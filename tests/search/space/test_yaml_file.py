import pytest

from core.errors import InputError
from search.space.yaml_file import parse, read


def test_lines_of_keys_and_of_what_has_none():
    yaml_file = parse("name: a\nexperiment:\n  loss:\n    margin: 2\n", "s.yaml")
    assert yaml_file.location(("experiment", "loss", "margin")) == "s.yaml:4"
    assert yaml_file.location(("experiment", "loss", "absent")) == "s.yaml:3"
    assert yaml_file.location(("absent",)) == "s.yaml:1"


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 1e-3), ("3E4", 3e4), ("1.5e-3", 1.5e-3), ("-2e1", -20.0), ("e3", "e3")]
)
def test_exponents_are_numbers(text, value):
    found = parse(f"a: {text}").data["a"]
    assert found == value
    assert type(found) is type(value)


def test_every_duplicate_key_is_named_with_both_lines():
    with pytest.raises(InputError) as caught:
        parse("a: 1\nb: {c: 1,\n c: 2}\na: 3\n", "s.yaml")
    assert caught.value.problems == (
        "s.yaml:3: b.c is listed twice; the first is in line 2",
        "s.yaml:4: a is listed twice; the first is in line 1",
    )


@pytest.mark.parametrize("text", ["[1, 2]", "just words", "", "a: [1", "a: !!python/object/apply:os.system [echo]"])
def test_what_is_no_safe_mapping_is_refused(text):
    with pytest.raises(InputError, match=r"s\.yaml"):
        parse(text, "s.yaml")


def test_changes_of_the_command_line():
    yaml_file = parse("corpus: {path: a}\n", changes=["corpus.path=/b", "search.trials=3", "new.deep.key=[1, 2]"])
    assert yaml_file.data == {"corpus": {"path": "/b"}, "search": {"trials": 3}, "new": {"deep": {"key": [1, 2]}}}


@pytest.mark.parametrize("change", ["corpus.path", "=3", "a=[1"])
def test_a_change_of_the_wrong_form_is_named(change):
    with pytest.raises(InputError, match="--set"):
        parse("a: 1", changes=[change])


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"absent\.yaml: no such file"):
        read(tmp_path / "absent.yaml")
