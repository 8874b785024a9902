import math

import pytest
from ray.tune.search import Searcher

from search.runs.journal import TrialRecord
from search.space.configurations import baseline
from search.space.reader import space_from_yaml
from search.space.yaml_file import parse
from search.tuning.searcher import OptunaSearcher

SPACE = """\
name: example
corpus: {layout: asvspoof2019_la, path: data}
experiment:
  front_end: lfcc
  mode: {choice: [siamese, original]}
  loss: {margin: {uniform: [0.5, 3], when: {mode: siamese}}}
search: {trials: 7, sampler: SAMPLER, seed: 3}
"""


def new_searcher(sampler="{name: tpe, n_startup_trials: 3}", text=SPACE):
    return OptunaSearcher(space_from_yaml(parse(text.replace("SAMPLER", sampler))))


def value_of(config):
    """A smooth objective whose best lies at margin 2 in siamese mode."""
    return abs(config["values"].get("loss.margin", 0.0) - 2) / 4


def searched(searcher, n, value=value_of):
    configs = []
    for number in range(n):
        config = searcher.suggest(f"id{number}")
        searcher.on_trial_complete(f"id{number}", {"objective": value(config)})
        configs.append(config)
    return configs


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "{name: tpe, n_startup_trials: 3}"])
def test_the_seed_determines_the_search(sampler):
    configs = searched(new_searcher(sampler), 6)
    assert configs == searched(new_searcher(sampler), 6)
    assert [each["number"] for each in configs] == list(range(6))


def test_tpe_learns():
    configs = searched(new_searcher(), 30)
    late = [value_of(each) for each in configs[20:]]
    assert sum(late) / len(late) < 0.8 * sum(map(value_of, configs[:10])) / 10


@pytest.mark.parametrize("result", [None, {}, {"objective": math.nan}, {"objective": math.inf}])
def test_a_failed_trial_is_known_as_the_worst(result):
    searcher = new_searcher()
    searched(searcher, 3)
    worst = max(0.5, *(trial.value for trial in searcher._study.trials))
    searcher.suggest("failing")
    searcher.on_trial_complete("failing", result, error=True)
    told = searcher._study.trials[-1]
    assert told.state.name == "COMPLETE"
    assert told.value == worst
    assert told.user_attrs == {"failed": True}


def test_failures_drive_the_search_away():
    """Half of the space crashes: TPE must come to leave it, which it cannot if failures stay unknown."""
    searcher = new_searcher()
    for number in range(30):
        config = searcher.suggest(str(number))
        crashes = config["values"]["mode"] == "original"
        searcher.on_trial_complete(str(number), None if crashes else {"objective": value_of(config)}, error=crashes)
    modes = [trial.params["mode"] for trial in searcher._study.trials]
    assert modes[:30].count("original") < 12
    assert modes[20:].count("original") <= 2


def test_a_grid_runs_every_configuration_once_and_ends():
    text = SPACE.replace("uniform: [0.5, 3]", "choice: [1, 2]")
    searcher = new_searcher("grid", text)
    assert [searcher.suggest(str(k))["values"] for k in range(3)] == [
        {"mode": "siamese", "loss.margin": 1},
        {"mode": "siamese", "loss.margin": 2},
        {"mode": "original"},
    ]
    assert searcher.suggest("3") == Searcher.FINISHED


def test_a_saved_history_goes_on_as_if_never_stopped(tmp_path):
    whole = searched(new_searcher(), 8)
    first = new_searcher()
    searched(first, 5)
    first.save(str(tmp_path / "history.json"))
    second = new_searcher()
    second.restore(str(tmp_path / "history.json"))
    assert searched(second, 3) == whole[5:]


def test_a_trial_that_had_not_begun_when_the_search_was_cut_off_is_not_skipped():
    values = {"mode": "siamese", "loss.margin": 1.0}
    started = [TrialRecord(number, values, status="finished", epoch=4, objective=0.1) for number in (1, 3)]
    space = space_from_yaml(parse(SPACE.replace("SAMPLER", "tpe")))
    resumed = OptunaSearcher(space, history=started[:1], unfinished=started[1:])
    assert [resumed.suggest(f"t{k}")["number"] for k in range(4)] == [3, 0, 2, 4]


PAPERS = """\
name: example
corpus: {layout: asvspoof2019_la, path: data}
experiment:
  front_end: {name: {choice: [lfcc, logspec]}}
  mode: {choice: [original, siamese]}
  backbone: {name: {choice: [resnet18, senet34]}, embedding_dim: {integer: [16, 256]}}
  loss: {margin: {uniform: [0.5, 3], when: {mode: siamese}}}
  pairs: {n_pairs: {choice: [100, 200], when: {mode: siamese}}}
  optimizer: {name: {choice: [adamw, adam]}, weight_decay: {log_uniform: [1e-5, 1e-2], when: {optimizer.name: adamw}}}
  epochs: {choice: [10, 50]}
search: {trials: 3, baseline: BASELINE}
"""


def test_the_first_trial_is_the_papers_as_nearly_as_the_space_holds_it():
    searcher = new_searcher(text=PAPERS.replace("BASELINE", "true"))
    assert searcher.suggest("a")["values"] == {
        "front_end.name": "lfcc",  # neither is the paper's: the first
        "mode": "siamese",
        "backbone.name": "senet34",
        "backbone.embedding_dim": 256,  # 512 lies outside: the nearest end
        "loss.margin": 2.0,
        "pairs.n_pairs": 100,
        "optimizer.name": "adam",
        "epochs": 50,
    }
    assert searcher.suggest("b")["values"] != baseline(searcher._space)


def test_the_first_trial_has_the_priors_that_the_space_states():
    text = PAPERS.replace("BASELINE", "true").replace("[0.5, 3]", "[0.5, 3], prior: 1.5")
    values = new_searcher(text=text).suggest("a")["values"]
    assert values["loss.margin"] == 1.5
    assert values["backbone.name"] == "senet34"


def test_a_search_without_the_papers_settings_begins_at_random():
    searcher = new_searcher(text=PAPERS.replace("BASELINE", "false"))
    assert searcher.suggest("a")["values"] != baseline(searcher._space)


def test_trials_of_earlier_runs_are_learnt_from_and_take_no_number():
    space = space_from_yaml(parse(SPACE.replace("SAMPLER", "{name: tpe, n_startup_trials: 10}")))
    known = [
        TrialRecord(number, {"mode": "siamese", "loss.margin": 0.5 + number / 10}, "finished", 4, abs(number - 15) / 30)
        for number in range(25)
    ]
    searcher = OptunaSearcher(space, warm_start=known)
    assert [trial.value for trial in searcher._study.trials] == [each.objective for each in known]
    configs = searched(searcher, 4)
    assert [each["number"] for each in configs] == list(range(4))
    assert configs[1:] != searched(OptunaSearcher(space), 4)[1:]  # which are random: it is past its random beginnings


@pytest.mark.parametrize("sampler", ["{name: tpe, n_startup_trials: 5}", "{name: gp, n_startup_trials: 5}", "random"])
def test_a_search_over_cost_too_looks_along_the_front(sampler):
    """The objective falls with the margin as the cost rises: no margin beats another in both."""
    space = space_from_yaml(parse(SPACE.replace("SAMPLER", sampler)))
    searcher = OptunaSearcher(space, cost=lambda values: values.get("loss.margin", 10.0))
    for number in range(12):
        config = searcher.suggest(str(number))
        failed = config["values"]["mode"] == "original"
        value = 1 / (1 + config["values"].get("loss.margin", 0))
        searcher.on_trial_complete(str(number), None if failed else {"objective": value})
    told = [trial.values for trial in searcher._study.trials]
    assert all(len(each) == 2 for each in told)
    assert [each[1] for each in told] == [trial.params.get("loss.margin", 10.0) for trial in searcher._study.trials]
    best = {tuple(trial.values) for trial in searcher._study.best_trials}
    assert best == {tuple(each) for each in told if each[1] < 10}


def test_a_history_is_taken_up_with_its_costs():
    space = space_from_yaml(parse(SPACE.replace("SAMPLER", "tpe")))
    history = [TrialRecord(0, {"mode": "siamese", "loss.margin": 1.5}, "finished", 4, 0.2)]
    searcher = OptunaSearcher(space, history=history, cost=lambda values: 7.0)
    assert [trial.values for trial in searcher._study.trials] == [[0.2, 7.0]]


def test_a_trial_that_was_stopped_early_is_no_final_value():
    searcher = new_searcher()
    for trial_id in ("stopped", "finished"):
        searcher.suggest(trial_id)
        searcher.on_trial_result(trial_id, {"objective": math.inf, "epoch": 1, "epochs": 4})
        searcher.on_trial_result(trial_id, {"objective": 0.4, "epoch": 2, "epochs": 4})
    searcher.on_trial_complete("stopped", {"objective": 0.3, "epoch": 3, "epochs": 4})
    searcher.on_trial_complete("finished", {"objective": 0.2, "epoch": 4, "epochs": 4})
    stopped, finished = searcher._study.trials
    assert (stopped.state.name, stopped.intermediate_values) == ("PRUNED", {2: 0.4, 3: 0.3})
    assert (finished.state.name, finished.intermediate_values, finished.value) == ("COMPLETE", {2: 0.4, 4: 0.2}, 0.2)


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_a_resumed_search_knows_the_curves(sampler):
    """Its next suggestion is the one that the search would have made without the interruption."""
    searcher = new_searcher(f"{{name: {sampler}, n_startup_trials: 3}}")
    history, reports = [], []
    for number in range(8):
        config = searcher.suggest(str(number))
        last = 2 if number % 2 else 4
        curve = [(epoch, value_of(config) + 1 / epoch) for epoch in range(1, last + 1)]
        for epoch, objective in curve:
            searcher.on_trial_result(str(number), {"objective": objective, "epoch": epoch, "epochs": 4})
            reports.append((number, epoch, objective))
        searcher.on_trial_complete(str(number), {"objective": curve[-1][1], "epoch": last, "epochs": 4})
        status = "finished" if last == 4 else "stopped"
        history.append(TrialRecord(number, config["values"], status, last, curve[-1][1]))
    resumed = OptunaSearcher(searcher._space, history=history, reports=reports)
    assert resumed.suggest("next") == searcher.suggest("next")
