from collections import Counter
from pathlib import Path

import optuna
import pytest
import yaml

from core.config import experiment_from_plain, experiment_to_plain
from core.errors import InputError
from search.space.configurations import all_configurations, corners, n_configurations, store_experiments
from search.space.optuna_space import random_values, suggest
from search.space.reader import read_space, space_from_yaml
from search.space.yaml_file import parse

ROOT = Path(__file__).resolve().parents[3] / "spaces"
SPACES = sorted(path for path in ROOT.rglob("*.yaml") if path.parent.name != "pretrain")

SPACE = """\
name: example
corpus: {layout: asvspoof2019_la, path: data}
experiment:
  front_end:
    name: {choice: [lfcc, logspec]}
    n_lfcc: {choice: [20, 40], when: {front_end.name: lfcc}}
  backbone:
    name: {choice: [lcnn, senet18]}
    width: {integer: [4, 8], when: {backbone.name: senet18}}
  mode: {choice: [siamese, original]}
  loss:
    margin: {log_uniform: [0.5, 2], when: {mode: siamese}}
  lr_schedule: {choice: [constant, {name: cosine, warmup_epochs: 0.5}]}
  epochs: 3
search: {trials: 7, sampler: random, scheduler: none}
"""


def space(text=SPACE):
    return space_from_yaml(parse(text, "s.yaml"))


def problems(text):
    with pytest.raises(InputError) as caught:
        space(text)
    return list(caught.value.problems)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.name)
def test_every_space_that_ships_reads_and_every_corner_builds(path):
    found = read_space(path)
    for values in corners(found):
        experiment = found.experiment(values)
        assert experiment_from_plain(experiment_to_plain(experiment)) is not None


def test_a_scheduler_judges_no_trial_before_its_first_evaluation():
    late = SPACE.replace("epochs: 3", "epochs: 9\n  evaluate_every: {choice: [1, 4]}")
    judged = late.replace("scheduler: none", "scheduler: {name: asha, grace_epochs: 2}")
    (problem,) = problems(judged)
    assert "s.yaml:" in problem
    assert "trials are judged from epoch 2 on, and evaluate_every is 4" in problem
    assert "set grace_epochs to 4 or more" in problem
    for fine in (
        late,
        judged.replace("grace_epochs: 2", "grace_epochs: 4"),
        judged.replace("epochs: 9", "epochs: 2"),
        judged.replace("trials: 7", "trials: 7, confirm: retrain, proxy: {name: part, epochs: 2}"),
    ):
        assert space(fine)


def test_parameters_go_by_their_place():
    assert {each.path for each in space().searched} == {
        "front_end.name",
        "front_end.n_lfcc",
        "backbone.name",
        "backbone.width",
        "mode",
        "loss.margin",
        "lr_schedule",
    }


def test_conditions_hold_in_every_configuration():
    seen = Counter()
    for seed in range(60):
        values = random_values(space(), seed)
        assert ("backbone.width" in values) == (values["backbone.name"] == "senet18")
        assert ("loss.margin" in values) == (values["mode"] == "siamese")
        assert ("front_end.n_lfcc" in values) == (values["front_end.name"] == "lfcc")
        assert 0.5 <= values.get("loss.margin", 1) <= 2
        assert values.get("backbone.width", 4) in range(4, 9)
        seen.update([values["backbone.name"], values["mode"], values["lr_schedule"]])
    assert set(seen) == {"lcnn", "senet18", "siamese", "original", "constant", "cosine(warmup_epochs=0.5)"}


def test_a_configuration_becomes_an_experiment():
    values = {
        "front_end.name": "lfcc",
        "front_end.n_lfcc": 40,
        "backbone.name": "senet18",
        "backbone.width": 5,
        "mode": "siamese",
        "loss.margin": 0.7,
        "lr_schedule": "cosine(warmup_epochs=0.5)",
    }
    experiment = space().experiment(values)
    assert experiment.front_end.plain() == {"name": "lfcc", "n_lfcc": 40}
    assert experiment.backbone.plain() == {"name": "senet18", "width": 5}
    assert experiment.loss.plain() == {"name": "contrastive", "margin": 0.7}
    assert experiment.lr_schedule.plain() == {"name": "cosine", "warmup_epochs": 0.5}
    assert experiment.epochs == 3


def test_the_seed_determines_a_configuration():
    assert random_values(space(), 3) == random_values(space(), 3)
    assert len({str(random_values(space(), seed)) for seed in range(5)}) > 1


def test_corners_meet_every_choice_and_both_ends():
    met = list(corners(space()))
    for path, wanted in {
        "front_end.n_lfcc": {20, 40},
        "backbone.width": {4, 5, 6, 7, 8},
        "loss.margin": {0.5, 2.0},
        "mode": {"siamese", "original"},
    }.items():
        assert {values[path] for values in met if path in values} == wanted


def test_a_grid_counts_conditional_configurations_once():
    text = SPACE.replace("log_uniform: [0.5, 2]", "choice: [1, 2]")
    found = space(text)
    # (lfcc x 2 + logspec) x (lcnn + senet18 x 5) x (siamese x 2 + original) x 2 schedules
    assert n_configurations(found) == 3 * 6 * 3 * 2
    assert len({str(sorted(values.items())) for values in all_configurations(found)}) == 3 * 6 * 3 * 2
    assert n_configurations(space()) is None


def test_one_store_for_every_front_end():
    found = [experiment.front_end.plain() for experiment in store_experiments(space())]
    assert found == [{"name": "lfcc", "n_lfcc": 20}, {"name": "lfcc", "n_lfcc": 40}, {"name": "logspec"}]


def test_a_conditional_value_is_not_searched():
    text = SPACE.replace("{integer: [4, 8], when", "{value: 6, when")
    found = space(text)
    assert "backbone.width" not in {each.path for each in found.searched}
    widths = {found.experiment(random_values(found, seed)).backbone.options.get("width") for seed in range(20)}
    assert widths == {6, None}


def test_optuna_sees_only_active_parameters():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(10):
        trial = study.ask()
        assert suggest(space(), trial) == trial.params


FIVE_MISTAKES = """\
name: example
corpus: {layout: asvspoof2018, path: data}
experiment:
  front_end: lfcc
  backbone: {name: senet43}
  loss: {margin: {log_uniform: [0, 2]}}
  lr_schedule: {name: cosine, warmup: 1}
  epochs: many
search: {trials: 7, sampler: tpee}
"""


def test_all_mistakes_come_at_once_with_line_and_what_is_valid():
    found = problems(FIVE_MISTAKES)
    assert len(found) == 6
    for text, line, words in [
        ("corpus.layout", 2, "asvspoof2019_la, asvspoof2021, asvspoof5"),
        ("senet43", 5, "senet34"),
        ("loss.margin", 6, "low must be above 0"),
        ("'warmup'", 7, "did you mean 'warmup_epochs'?"),
        ("epochs is", 8, "it must be int"),
        ("search.sampler", 9, "did you mean 'tpe'?"),
    ]:
        (message,) = [each for each in found if text in each]
        assert message.startswith(f"s.yaml:{line}: ")
        assert words in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs: 3", "epochs: 0", "epochs is 0; it must be at least 1"),
        ("epochs: 3", "epocs: 3", "did you mean 'epochs'?"),
        ("epochs: 3", "epochs: true", "epochs is True; it must be int"),
        ("epochs: 3", "epochs: {integer: [3, 1]}", "low must be below high"),
        ("epochs: 3", "epochs: {integer: [1.5, 3]}", "two integers"),
        ("epochs: 3", "epochs: {uniform: [1, 3]}", "it must be int"),
        ("epochs: 3", "epochs: {choice: []}", "must be a list of values"),
        ("epochs: 3", "epochs: {choice: [1, 1]}", "is listed twice"),
        ("epochs: 3", "epochs: {choice: [1, 2], step: 1}", "found also step"),
        ("epochs: 3", "epochs: 3\n  batch_size: 7", "batch_size is 7; it must be even"),
        ("epochs: 3", "epochs: 3\n  input: {n_frame: 7}", "did you mean 'n_frames'?"),
        ("epochs: 3", "epochs: 3\n  input: {normalize: {choice: [none, max]}}", "one of none, mean, mean_variance"),
        ("{mode: siamese}", "{mod: siamese}", "did you mean 'mode'?"),
        ("{mode: siamese}", "{mode: siames}", "mode is never 'siames'"),
        ("{mode: siamese}", "{loss.margin: 1}", "is not a choice or integer range"),
        ("{mode: siamese}", "siamese", "it must map other parameters"),
        ("log_uniform: [0.5, 2]", "log_uniform: [0.5, .inf]", "both finite"),
        ("log_uniform: [0.5, 2]", "uniform: [-1, 2]", "margin"),
        ("n_lfcc: {choice: [20, 40]", "n_lfcc: {uniform: [20, 40]", "use choice or integer"),
        (", when: {front_end.name: lfcc}}", "}", "when: {front_end.name: [lfcc]}"),
        ("trials: 7", "trials: 0", "search.trials is 0"),
        ("trials: 7", "trials: 7, gpus: 1.5", "search.gpus is 1.5"),
        ("trials: 7", "trials: 7, objective: eval_eer", "there are dev_eer"),
        ("trials: 7, sampler: random", "sampler: grid", "grid needs choice or integer everywhere; see loss.margin"),
        (
            "scheduler: none",
            "scheduler: {name: asha, grace_perod: 3}",
            "asha has no 'grace_perod'; it takes grace_epochs",
        ),
        ("scheduler: none", "scheduler: {name: asha, reduction_factor: 1}", "must be above 1"),
        ("name: example", "name: ../example", "it must be at most 100 letters"),
        ("corpus: {", "corpus: {on_bad_audio: ignore, ", "it must be stop or skip"),
    ],
)
def test_one_mistake_one_clear_message(old, new, words):
    assert old in SPACE
    found = problems(SPACE.replace(old, new, 1))
    assert any(words in each for each in found), found
    assert all(each.startswith("s.yaml:") for each in found)


def test_conditions_in_a_circle():
    text = SPACE.replace(
        "mode: {choice: [siamese, original]}",
        "mode: {choice: [siamese, original], when: {batch_size: 64}}\n  "
        "batch_size: {choice: [32, 64], when: {mode: siamese}}",
    )
    assert any("in a circle" in each for each in problems(text))


def test_resolved_reads_back_as_the_same_space():
    first = space()
    plain = first.resolved()
    again = space(yaml.safe_dump(plain, sort_keys=False))
    assert plain["experiment"]["backbone"]["name"] == {"choice": ["lcnn", "senet18"]}
    assert plain["experiment"]["optimizer"]["name"] == "adam"
    assert plain["experiment"]["loss"]["margin"]["log_uniform"] == [0.5, 2]
    assert plain["experiment"]["batch_size"] == 64
    assert plain["search"]["sampler"] == {"name": "random"}
    assert again.search == first.search
    for seed in range(5):
        values = random_values(first, seed)
        assert random_values(again, seed) == values
        assert experiment_to_plain(again.experiment(values)) == experiment_to_plain(first.experiment(values))
