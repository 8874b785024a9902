import math

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.methods.gp_sampler import GaussianProcessSampler, Observed, observations
from search.space.optuna_space import distributions
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
  lr_schedule: {name: cosine, lr: {log_uniform: [1e-4, 1e-1]}}
search: {trials: 7, sampler: SAMPLER, seed: SEED, baseline: false}
"""


def new_searcher(sampler="gp", seed=0, text=SPACE):
    return OptunaSearcher(space_from_yaml(parse(text.replace("SAMPLER", sampler).replace("SEED", str(seed)))))


def value_of(values):
    """Best at margin 2 and learning rate 1e-2 in siamese mode."""
    margin = (values.get("loss.margin", 0.0) - 2) ** 2 / 4
    return margin + (math.log10(values["lr_schedule.lr"]) + 2) ** 2 / 4


def best_of(searcher, n):
    found = []
    for number in range(n):
        values = searcher.suggest(str(number))["values"]
        found.append(value_of(values))
        searcher.on_trial_complete(str(number), {"objective": found[-1]})
    return min(found)


def test_the_model_comes_closer_than_chance():
    guided = [best_of(new_searcher("gp", seed), 25) for seed in range(5)]
    random = [best_of(new_searcher("random", seed), 25) for seed in range(5)]
    assert np.median(guided) < 0.2 * np.median(random)


def trial(curve, value=None, state=TrialState.PRUNED, margin=1.0):
    values = {"mode": "siamese", "loss.margin": margin, "lr_schedule.lr": 1e-3}
    ranges = distributions(new_searcher()._space)
    return create_trial(state=state, params=values, distributions=ranges, value=value, intermediate_values=curve)


def test_a_stopped_training_is_taken_for_what_others_gained_later():
    ended = [
        trial({1: 0.5, 2: 0.4, 3: 0.3}, 0.3, TrialState.COMPLETE),
        trial({1: 0.5, 2: 0.3, 3: 0.3}, 0.3, TrialState.COMPLETE),
    ]
    stopped, running = trial({1: 0.6}, 0.6), trial({1: 0.55, 2: 0.5}, state=TrialState.RUNNING)
    waiting = trial({}, state=TrialState.RUNNING)
    seen = observations([*ended, stopped, running, waiting])
    # The three trainings gained 0.1, 0.2 and 0.05 in epoch 2; two gained 0.1 and 0 in epoch 3.
    expected = [0.3, 0.3, 0.6 - 0.35 / 3 - 0.05, 0.5 - 0.05]
    np.testing.assert_allclose(seen.values, expected)
    np.testing.assert_allclose(seen.openness, [0, 0, 2 / 3, 1 / 3])


@pytest.mark.parametrize("ended", [True, False])
def test_a_finite_space_is_searched_without_repetition(ended):
    """Whether the trials of the model have ended, or run and have no value yet."""
    text = SPACE.replace("uniform: [0.5, 3]", "choice: [1, 2, 3]").replace(
        "log_uniform: [1e-4, 1e-1]", "choice: [1e-4, 1e-3]"
    )
    searcher = new_searcher("{name: gp, n_startup_trials: 2}", text=text)
    for number in range(8):
        values = searcher.suggest(str(number))["values"]
        if ended or number < 2:
            searcher.on_trial_complete(str(number), {"objective": value_of(values)})
    learnt = [tuple(sorted(known.params.items())) for known in searcher._study.trials[2:]]
    assert len(set(learnt)) == 6


def test_conditional_parameters_are_the_models_choice():
    """Optuna's own Gaussian process draws them at random."""
    searcher = new_searcher()
    for number in range(20):
        values = searcher.suggest(str(number))["values"]
        searcher.on_trial_complete(str(number), {"objective": value_of(values)})
    sampler = GaussianProcessSampler(0, searcher._space.searched, n_startup_trials=8)
    frozen = create_trial(state=TrialState.RUNNING)
    values = sampler.sample_relative(searcher._study, frozen, {})
    assert values["mode"] == "siamese"
    assert values["loss.margin"] == pytest.approx(2, abs=0.5)


def test_optuna_knows_the_ranges_of_a_suggestion():
    space = new_searcher()._space
    sampler = GaussianProcessSampler(0, space.searched, n_startup_trials=1)
    study = optuna.create_study()
    assert sampler.infer_relative_search_space(study, create_trial(state=TrialState.RUNNING)) == distributions(space)


def test_of_many_trials_the_model_takes_the_best_half_and_a_sample_of_the_others():
    values = np.random.default_rng(0).permutation(1000) / 1000
    observed = Observed([{"a": index} for index in range(1000)], values, 1 - values, 2 * values)
    some = observed.some(100, np.random.default_rng(0))
    indices = [configuration["a"] for configuration in some.configurations]
    assert np.array_equal(some.values, values[indices])
    assert np.array_equal(some.openness, 1 - values[indices])
    assert np.array_equal(some.costs, 2 * values[indices])
    assert (np.sort(some.values)[:50] == np.arange(50) / 1000).all()
    assert 0.3 < np.sort(some.values)[50:].mean() < 0.75
    assert len(set(indices)) == 100
    assert observed.some(1000, np.random.default_rng(0)) is observed


def test_a_search_of_thousands_of_trials_still_gets_suggestions(monkeypatch):
    monkeypatch.setattr("search.methods.gp_sampler.N_KNOWN", 20)
    assert best_of(new_searcher("gp"), 60) < 0.02
