"""Confirmation as a race: fresh seeds go where they can change which configuration is the best."""

import random

import numpy as np
import pytest
from ray.tune.search import Searcher
from rich.console import Console

from core.bundle.card import _about_seeds
from core.errors import InputError
from search.cli.terminal import show_confirmation
from search.methods.confirmations import NUMBER_STRIDE, Confirmation, race, undecided
from search.report.detector_tables import confirmation_table
from search.runs.confirmed import confirmation_trainings, confirmed_configurations, race_data, race_of, select_trial
from search.space.reader import read_space
from search.tuning.searcher import FixedSearcher
from tests.search.tuning.test_confirmation import made_up, written


def predictive_probability(values, seeds, n_draws=400_000):
    """The probability that the second configuration has the lower final mean, by drawing from the posterior."""
    draw = np.random.default_rng(0)
    rows = [np.array(row) for row in values]
    freedom = sum(len(row) - 1 for row in rows)
    squares = sum(((row - row.mean()) ** 2).sum() for row in rows)
    deviation = np.sqrt(squares / draw.chisquare(freedom, n_draws))
    finals = []
    for row in rows:
        left = seeds - len(row)
        true = draw.normal(row.mean(), deviation / len(row) ** 0.5)
        later = draw.normal(true[:, None], deviation[:, None], (n_draws, left)).sum(axis=1)
        finals.append((row.sum() + later) / seeds)
    return float((finals[1] < finals[0]).mean())


@pytest.mark.parametrize(
    ("values", "seeds"), [([[1, 3], [3, 4.5]], 5), ([[1, 2], [4, 6]], 3), ([[1, 2, 1.5], [2.5, 3]], 4)]
)
def test_a_rival_is_a_configuration_that_may_still_win(values, seeds):
    probability = predictive_probability(values, seeds)
    assert undecided(values, seeds=seeds, level=1 - 0.9 * probability) == [0, 1]
    assert undecided(values, seeds=seeds, level=1 - 1.1 * probability) == []


def test_the_error_is_shared_among_the_rivals():
    probability = predictive_probability([[1, 3], [3, 4.5]], 5)
    far = [100.0, 102.0]  # never a rival; but its spread counts
    with_far = undecided([[1, 3], [3, 4.5], far], seeds=5, level=1 - 1.1 * probability)
    assert with_far == [0, 1]  # half of the error remains for it


def test_the_best_and_its_rivals_get_a_seed_and_the_others_none():
    values = [[9.0, 9.1], [1.0, 1.2], [1.1, 1.2], [1.15, 1.3]]
    assert undecided(values, seeds=5, level=0.9) == [1, 2, 3]
    assert undecided(values[:2], seeds=5, level=0.9) == []


def test_a_configuration_may_become_a_rival_again():
    early, late = [[1.0, 1.2], [2.9, 3.1]], [[1.0, 1.2, 3.5, 4.0], [2.9, 3.1]]
    assert undecided(early, seeds=6, level=0.9) == []
    assert undecided(late, seeds=6, level=0.9) == [0, 1]


@pytest.mark.parametrize("values", [[[1.0, 1.2]], [[0.0, 0.0], [0.0, 0.0]], [[0.1, 0.3, 0.2], [0.2, 0.1, 0.3]], []])
def test_nothing_is_undecided_without_a_rival_a_spread_or_a_seed_left(values):
    assert undecided(values, seeds=3, level=0.9) == []


def test_a_configuration_with_all_seeds_gets_no_further_one():
    assert undecided([[1, 2, 3], [1.5, 2]], seeds=3, level=0.9) == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("top: 0", "top is 0; it must be at least 1"),
        ("seeds: 1", "seeds is 1; it must be from 2 to 999"),
        ("level: 1", "level is 1; it must be from 0.5 to below 1"),
        ("level: 0.4", "level is 0.4; it must be from 0.5 to below 1"),
        ("levle: 0.9", "did you mean 'level'?"),
    ],
)
def test_mistakes_are_explained(tmp_path, options, message):
    with pytest.raises(InputError) as caught:
        read_space(written(tmp_path, "corpus", confirm=f"{{name: race, {options}}}"))
    assert message in str(caught.value)


IN_SEARCH = {1: 0.20, 2: 0.10, 3: 0.15, 4: 0.5}
BY_SEED = {2: [0.20, 0.21, 0.22, 0.23, 0.24], 3: [0.205, 0.22, 0.19, 0.2, 0.21], 1: [0.40, 0.41, 0.4, 0.4, 0.4]}


def objective_of(number):
    return BY_SEED[number // NUMBER_STRIDE][number % NUMBER_STRIDE]


def raced(space, run, confirmation, order, *, workers, until=10**6):
    """Runs a race as the searcher asks for it, with trainings that end in random order; returns what was suggested."""
    journal, open_now, suggested = run.confirmation().journal, {}, []

    def todo():
        wanted = confirmation_trainings(space, run, confirmation)
        numbers = [training["number"] for training in wanted]
        run.confirmation().update(wanted=numbers, race={"level": confirmation.level, "at_most": 15})
        ended = {record.number for record in journal.trials() if record.status in ("finished", "failed")}
        return [training for training in wanted if training["number"] not in ended]

    run.confirmation().path.mkdir(exist_ok=True)
    searcher = FixedSearcher(todo)
    for step in range(until):
        config = searcher.suggest(f"t{step}") if len(open_now) < workers else None
        if config == Searcher.FINISHED:
            break
        if config is not None:
            number = config["number"]
            suggested.append(number)
            open_now[f"t{step}"] = number
            journal.record("start", number, values=config["values"])
        elif open_now:
            trial_id = order.choice(sorted(open_now))
            number = open_now.pop(trial_id)
            journal.record("end", number, status="finished", objective=objective_of(number))
            searcher.on_trial_complete(trial_id)
    for number in open_now.values():
        journal.record("end", number, status="interrupted")
    return suggested


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("order_seed", range(4))
def test_the_race_depends_neither_on_time_nor_on_the_number_of_workers(space_file, workers, order_seed):
    space, run = made_up(space_file, IN_SEARCH)
    suggested = raced(space, run, race(), random.Random(order_seed), workers=workers)
    # Trial 1 is out after two seeds. The others are rivals for two seeds more.
    assert suggested == [2000, 3000, 1000, 2001, 3001, 1001, 2002, 3002, 2003, 3003]
    assert [configuration.record.number for configuration in confirmed_configurations(run)] == [3, 2, 1]
    assert race_of(run) == (10, 15, 0.9, True)


@pytest.mark.parametrize("until", range(3, 24, 4))
def test_an_interrupted_race_resumes_where_it_was(space_file, until):
    space, run = made_up(space_file, IN_SEARCH)
    first = raced(space, run, race(), random.Random(until), workers=2, until=until)
    ranks = [configuration.record.number for configuration in confirmed_configurations(run)]
    assert ranks[:1] != [1]  # which is out: its seeds are complete, but it is the worst
    rest = raced(space, run, race(), random.Random(0), workers=3)
    assert len(set(first) | set(rest)) == 10
    assert race_of(run) == (10, 15, 0.9, True)


def test_all_seeds_are_given_without_a_level(space_file):
    space, run = made_up(space_file, IN_SEARCH)
    suggested = raced(space, run, Confirmation(top=2, seeds=2), random.Random(0), workers=2)
    assert suggested == [2000, 3000, 2001, 3001]


def test_a_configuration_that_fails_with_a_seed_gets_no_further_one(space_file):
    again = {2000: 0.2, 2001: np.nan, 3000: 0.3, 3001: 0.31, 1000: 0.3, 1001: 0.32}
    space, run = made_up(space_file, IN_SEARCH, again)
    wanted = [training["number"] for training in confirmation_trainings(space, run, race())]
    assert wanted == [2000, 3000, 1000, 2001, 3001, 1001, 3002, 1002]
    assert confirmed_configurations(run)[-1].record.number == 2
    assert select_trial(run, 1).record.number == 3


def test_the_saving_is_told(space_file, capsys):
    again = {2000: 0.2, 2001: 0.21, 3000: 0.4, 3001: 0.41, 1000: 0.5, 1001: 0.51}
    _, run = made_up(space_file, IN_SEARCH, again)
    run.confirmation().update(race={"level": 0.9, "at_most": 15})
    words = "race: settled at level 0.9 after 6 of 15 trainings, 9 saved"
    show_confirmation(run, Console(width=200))
    assert words in capsys.readouterr().out
    table = confirmation_table(confirmed_configurations(run), "dev_eer", {}, comparable=True, race=race_of(run))
    assert words in table.title
    assert race_data(run) == {"trainings": 6, "at_most": 15, "level": 0.9, "settled": True, "saved": 9}
    told = {"objective": "dev_eer", "by_seed": [0.2, 0.21], "mean": 0.205, "worst": 0.21, "race": race_data(run)}
    (line,) = _about_seeds(told)
    assert "2 fresh seeds" in line
    assert "20.50 %" in line
    assert "6 trainings instead of 15" in line
    run.confirmation().update(wanted=[*again, 2002])
    assert race_of(run).words == "race: not settled yet, 6 trainings of at most 15"
