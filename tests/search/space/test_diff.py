"""A search that goes on with another space."""

import pytest
import yaml

from core.errors import InputError
from search.cli.main import main
from search.runs.run import Run
from search.runs.storage import Storage
from search.space.diff import check_change, differences
from search.space.optuna_space import random_values
from search.space.reader import read_space, space_from_yaml
from search.space.yaml_file import parse
from tests.commands import spooftune
from tests.search.conftest import SPACE


def space(*changes):
    text = SPACE.replace("CORPUS", "data").replace("STORAGE", "storage")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return space_from_yaml(parse(text))


def test_differences_are_named_by_their_keys_and_budgets_are_free():
    old = space()
    new = space(("epochs: 4", "epochs: 8"), ("trials: 6", "trials: 9"), ("[0.5, 3]", "[1, 3]"))
    assert differences(old.plain, new.plain) == {
        "experiment.epochs": "4 -> 8",
        "experiment.loss.margin.uniform": "[0.5, 3] -> [1, 3]",
    }


def test_a_change_is_refused_unless_it_is_wanted():
    old, new = space(), space(("[0.5, 3]", "[1, 3]"))
    with pytest.raises(InputError) as refused:
        check_change("r", old, new, allowed=False)
    assert refused.value.problems[0] == "experiment.loss.margin.uniform: [0.5, 3] -> [1, 3]"
    assert "--allow-changed-space" in refused.value.problems[1]
    assert check_change("r", old, new, allowed=True) == list(refused.value.problems[:1])
    assert check_change("r", old, space(("trials: 6", "trials: 9")), allowed=False) == []


def test_what_decides_on_the_meaning_of_a_value_never_changes():
    for change in (
        ("layout: asvspoof2019_la", "layout: asvspoof2015"),
        ("  trials: 6", "  objective: dev_auc\n  trials: 6"),
    ):
        with pytest.raises(InputError, match=r"values are not comparable after a change of .*; launch a new run"):
            check_change("r", space(), space(change), allowed=True)


def test_a_space_holds_what_it_could_suggest():
    one = space()
    for seed in range(20):
        assert one.contains(random_values(one, seed))
    assert one.contains({"backbone.name": "lcnn", "loss.margin": 0.5})
    for wrong in (
        {"backbone.name": "lcnn"},
        {"backbone.name": "lcnn", "loss.margin": 4.0},
        {"backbone.name": "resnet18", "loss.margin": 1.0},
        {"backbone.name": "lcnn", "loss.margin": 1.0, "more": 1},
        {"backbone.name": "lcnn", "loss.margin": True},
    ):
        assert not one.contains(wrong)


def test_a_search_goes_on_in_a_narrower_space_and_knows_the_old_trials_that_fit(space_file, tmp_path, capsys):
    storage = tmp_path / "storage"
    wide = read_space(space_file)
    run = Run.create(Storage(str(storage)), prefix="c", name="c")
    run.update(state="finished", n_trials=3, objective="dev_eer")
    run.change_space(wide)
    for number in range(3):
        run.journal.record("start", number, values=random_values(wide, number))
        run.journal.record("end", number, status="finished", epoch=4, objective=0.5)
    before = run.journal.trials()
    narrow = tmp_path / "narrow.yaml"
    text = space_file.read_text().replace("uniform: [0.5, 3]", "uniform: [1.5, 3]")
    narrow.write_text(text.replace("concurrency: 2", "concurrency: 1"))  # a process costs more than a trial
    more = [*map(str, ["resume", "c", "--storage", storage, "--space", narrow, "--trials", 5])]
    assert main(more) == 2
    assert "experiment.loss.margin.uniform: [0.5, 3] -> [1.5, 3]" in capsys.readouterr().err
    done = spooftune(*more, "--allow-changed-space")
    assert done.returncode == 0, done.stderr
    assert run.journal.trials()[:3] == before
    assert [each.number for each in run.journal.trials()] == list(range(5))
    assert all(each.values["loss.margin"] >= 1.5 for each in run.journal.trials()[3:])
    assert yaml.safe_load((run.path / "space.yaml").read_text())["experiment"]["loss"]["margin"] == {
        "uniform": [1.5, 3]
    }
    kept = yaml.safe_load((run.path / "space-until-001.yaml").read_text())
    assert kept["experiment"]["loss"]["margin"] == {"uniform": [0.5, 3]}
