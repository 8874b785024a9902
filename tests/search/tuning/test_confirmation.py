"""The best of a search are trained again with fresh seeds, and that decides what is exported."""

import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
from rich.console import Console

from core import checkpoint
from core.config import experiment_from_plain
from core.corpora.corpus import SealedPartition
from core.errors import InputError
from search.cli.main import main
from search.cli.metrics_text import describe_seeds
from search.cli.terminal import show_confirmation
from search.methods.confirmations import NUMBER_STRIDE, Confirmation
from search.methods.proxies import Proxy, part
from search.prepare.plan import make_plan
from search.prepare.stores import store_opener
from search.report.export import _eer_by_seed
from search.runs.confirmed import (
    best_in_search,
    confirmation_trainings,
    confirmed_configurations,
    fresh_seed,
    race_of,
    select_trial,
)
from search.runs.eval_looks import n_looks
from search.runs.run import Run
from search.runs.storage import Storage
from search.space.configurations import baseline
from search.space.optuna_space import random_values
from search.space.reader import read_space
from tests.commands import Command, spooftune
from tests.core.training.test_fit import PLAIN, stores  # noqa: F401 - a fixture
from tests.search.conftest import SPACE
from tests.speech import make_corpus


def test_a_proxy_shortens_a_training_that_counts_steps():
    plain = {name: value for name, value in PLAIN.items() if name != "epochs"}
    experiment = experiment_from_plain({**plain, "steps": 70, "steps_per_epoch": 7})
    assert part(epochs=4).experiment(experiment).epochs == 4
    assert part(epochs=40).experiment(experiment).epochs == 10


def test_a_proxy_takes_the_same_share_of_each_speaker_and_attack(stores):  # noqa: F811
    train = stores["train"]
    part = Proxy(None, 0.5).training_subset(train, seed=3)

    def counts(store):
        keys = list(zip(store.speaker_ids, store.attack_ids, strict=True))
        return {key: keys.count(key) for key in keys}

    whole, kept = counts(train), counts(part)
    assert kept == {key: max(1, round(n / 2)) for key, n in whole.items()}
    assert part.utterance_ids == Proxy(None, 0.5).training_subset(train, seed=3).utterance_ids
    assert part.utterance_ids != Proxy(None, 0.5).training_subset(train, seed=4).utterance_ids
    assert Proxy(None, 1.0).training_subset(train, seed=3) is train


def written(folder, corpus, **search):
    text = SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(folder / "storage"))
    for key, value in search.items():
        text = text.replace("search:\n", f"search:\n  {key}: {value}\n")
    (folder / "s.yaml").write_text(text)
    return folder / "s.yaml"


def made_up(space_file, objectives, confirmation=None):
    """A run whose trials and trainings ended with these objectives; NaN: failed."""
    space = read_space(space_file)
    run = Run.create(Storage(str(space_file.parent / "storage")), prefix="m")
    run.update(state="finished", objective="dev_eer")
    for where, numbers in ((run, objectives), (run.confirmation(), confirmation or {})):
        where.path.mkdir(exist_ok=True)
        for number, objective in numbers.items():
            values = baseline(space) if number == 0 else {**random_values(space, number)}
            where.journal.record("start", number, values=values)
            where.journal.record(
                "end", number, status="failed" if np.isnan(objective) else "finished", objective=objective
            )
            checkpoint.save(where.path / f"tune-001/{number:05d}/checkpoint_000000/checkpoint.pt", {"epoch": 1})
    if confirmation:
        run.confirmation().update(state="finished", wanted=list(confirmation))
    return space, run


def test_the_best_and_the_papers_configuration_are_trained_again(space_file):
    space, run = made_up(space_file, {0: 0.4, 1: 0.3, 2: 0.1, 3: 0.2})
    trainings = confirmation_trainings(space, run, Confirmation(top=2, seeds=2))
    assert [each["number"] for each in trainings] == [2000, 3000, 0, 2001, 3001, 1]
    values = {each.number: each.values for each in run.journal.trials()}
    assert all(each["values"] == values[each["number"] // NUMBER_STRIDE] for each in trainings)
    seeds = {each["confirmation_seed"] for each in trainings}
    assert len(seeds) == 2  # the same for every configuration: they are compared in pairs
    assert space.experiment({}).seed not in seeds


def test_the_mean_over_seeds_decides_and_the_one_in_the_middle_is_exported(space_file):
    again = {2000: 0.30, 2001: 0.20, 2002: 0.40, 1000: 0.25, 1001: 0.27, 1002: 0.26, 3000: 0.1, 3001: np.nan, 3002: 0.1}
    _, run = made_up(space_file, {1: 0.2, 2: 0.1, 3: 0.15, 4: 0.5}, again)
    found = confirmed_configurations(run)
    assert [each.record.number for each in found] == [1, 2, 3]  # one that fails with a seed comes last
    first = found[0]
    assert first.mean == pytest.approx(0.26)
    assert first.worst == 0.27
    assert first.median.number == 1002
    # Student's t of two degrees of freedom is 4.3027; the deviation 0.01; the root of three 1.7321.
    assert first.half_width == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-4)
    assert found[2].n_failed == 1
    best = best_in_search(found)
    assert best is not None
    assert best.mean - best.record.objective == pytest.approx(0.30 - 0.10)  # trial 2 won the search
    assert select_trial(run, 1).checkpoint.parent.parent.name == "01002"
    assert select_trial(run, 1).confirmed == first
    assert [select_trial(run, rank).record.number for rank in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert select_trial(run, 4).confirmed is None
    with pytest.raises(InputError, match="no trial of rank 5; 4 trials"):
        select_trial(run, 5)


def test_a_trial_may_be_named(space_file):
    _, run = made_up(space_file, {1: 0.2, 2: 0.1, 3: 0.3}, {2000: 0.30})
    assert select_trial(run, 1, 3).record.number == 3
    assert select_trial(run, 1, 2).confirmed is not None
    with pytest.raises(InputError, match="trial 7 has no detector to export; these have: 1, 2, 3"):
        select_trial(run, 1, 7)


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("dev_eer", "search 10.00 %, mean of fresh seeds 30.00 %"),
        ("dev_min_tdcf", "search 0.1000, mean of fresh seeds 0.3000"),
    ],
)
def test_the_selection_bias_is_told_in_the_unit_of_the_metric(space_file, capsys, metric, values):
    _, run = made_up(space_file, {1: 0.2, 2: 0.1}, {2000: 0.3, 1000: 0.25})
    run.update(objective=metric)
    show_confirmation(run, Console(width=200))
    assert f"selection bias: {values}\n" in capsys.readouterr().out


def test_eers_of_seeds_in_words():
    # The deviation is 0.02, Student's t of two degrees of freedom 4.3027, the root of three 1.7321.
    words = "3 seeds: mean EER 22.00 % (95 % interval: 17.03 to 26.97), from 20.00 to 24.00"
    assert describe_seeds([0.24, 0.20, 0.22]) == words
    assert describe_seeds([0.24, 0.20]) == "2 seeds: mean EER 22.00 %, from 20.00 to 24.00"


def test_a_configuration_counts_once_all_its_seeds_have_ended(space_file):
    _, run = made_up(space_file, {1: 0.2, 2: 0.1}, {2000: 0.3, 2001: 0.2})
    run.confirmation().update(wanted=[2000, 2001, 1000, 1001])
    assert [each.record.number for each in confirmed_configurations(run)] == [2]


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"confirm": "{name: retrain, top: 0}"}, "top is 0; it must be at least 1"),
        ({"confirm": "{name: retrain, seeds: 0}"}, "seeds is 0; it must be from 1 to 999"),
        ({"confirm": "retrian"}, "did you mean 'retrain'"),
        ({"confirm": "retrain", "proxy": "{name: part, share: 1.5}"}, "share is 1.5; it must be above 0 and at most 1"),
        ({"proxy": "{name: part, epochs: 2}"}, "add confirm: retrain"),
        ({"warm_start": "first"}, "warm_start is 'first'"),
    ],
)
def test_mistakes_are_explained(tmp_path, search, message):
    with pytest.raises(InputError) as caught:
        read_space(written(tmp_path, "corpus", **search))
    assert message in str(caught.value)


def test_the_corpus_of_a_search_refuses_eval(space_file):
    plan = make_plan(read_space(space_file), Storage(str(space_file.parent / "storage")))
    assert plan.corpus.partition("eval")
    with pytest.raises(SealedPartition, match="the search must not read it"):
        plan.sealed().corpus.partition("eval")
    assert plan.sealed().corpus.partition("dev") == plan.corpus.partition("dev")


@pytest.fixture(scope="module")
def killed_and_resumed(tmp_path_factory):
    """A search on a corpus that has no eval, killed in its confirmation, and resumed."""
    folder = tmp_path_factory.mktemp("confirmation")
    corpus = make_corpus(folder / "LA")
    shutil.rmtree(corpus / "ASVspoof2019_LA_eval")
    (corpus / "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.eval.trl.txt").unlink()
    options = {"proxy": "{name: part, epochs: 1}", "confirm": "{name: race, top: 1, seeds: 3, level: 0.99}"}
    space = written(folder, corpus, **options)
    space.write_text(space.read_text().replace("trials: 6", "trials: 2").replace("epochs: 4", "epochs: 6"))
    command = Command("launch", space, "--name", "c")
    run = Run(folder / "storage" / "runs" / "c")
    again = run.confirmation()
    deadline = time.monotonic() + 300
    while not any(each.status == "finished" for each in again.journal.trials()):
        assert command.running, command.stderr
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = again.journal.trials()
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    done = spooftune("resume", "c", "--storage", folder / "storage")
    assert done.returncode == 0, done.stderr + done.stdout
    return folder, run, before, done


def test_a_killed_confirmation_goes_on_and_nothing_is_trained_twice(killed_and_resumed):
    _, run, before, _ = killed_and_resumed
    again = run.confirmation()
    after = {each.number: each for each in again.journal.trials()}
    n_configurations = len({each // NUMBER_STRIDE for each in after})
    assert 2 * n_configurations <= len(after) <= 3 * n_configurations
    assert sorted(again.info()["wanted"]) == sorted(after)
    assert race_of(run) == (len(after), 3 * n_configurations, 0.99, True)
    assert {each.status for each in after.values()} == {"finished"}
    for each in before:
        if each.status == "finished":
            assert after[each.number] == each
    reported = [(number, epoch) for number, epoch, _ in again.journal.epochs()]
    assert len(reported) == len(set(reported))
    # Trials were trained in part, these in full.
    assert {each.epoch for each in run.journal.trials()} == {1}
    assert {each.epoch for each in after.values()} == {6}
    assert run.info()["state"] == "finished"


def test_what_is_exported_is_a_training_with_a_fresh_seed(killed_and_resumed):
    folder, run, _, done = killed_and_resumed
    best = confirmed_configurations(run)[0]
    state = checkpoint.load(run.confirmation().checkpoint(best.median.number))
    experiment = read_space(folder / "s.yaml").experiment(best.record.values)
    assert state["experiment"]["seed"] == fresh_seed(experiment, best.median.number % NUMBER_STRIDE) != experiment.seed
    config = json.loads((run.path / "export" / "config.json").read_text())
    assert config["provenance"]["seed"] == state["experiment"]["seed"]
    told = config["provenance"]["confirmation"]
    assert told["seed_index"] == best.median.number % NUMBER_STRIDE
    assert told["mean"] == pytest.approx(best.mean)
    assert told["by_seed"] == [each.objective for each in best.trainings]
    assert config["experiment"]["seed"] == state["experiment"]["seed"]
    assert told["race"]["trainings"] == len(run.confirmation().journal.trials())
    assert f"{told['race']['trainings']} trainings instead of" in (run.path / "export" / "README.md").read_text()
    assert "confirmation: configurations retrained with fresh seeds, best mean first" in done.stdout
    assert race_of(run).words in done.stdout
    assert f"exported trial {best.record.number} (rank 1)" in done.stdout


def test_each_seeds_detector_has_the_eer_that_it_reported(killed_and_resumed):
    folder, run, _, _ = killed_and_resumed
    plan = make_plan(read_space(folder / "s.yaml"), Storage(str(folder / "storage")))
    best = confirmed_configurations(run)[0]
    experiment = plan.space.experiment(best.record.values)
    dev = store_opener(plan, console=Console(quiet=True))(experiment, "dev")
    checkpoints = [run.confirmation().checkpoint(training.number) for training in best.trainings]
    rates = _eer_by_seed(checkpoints, dev, experiment.front_end)
    assert rates == pytest.approx([each.objective for each in best.trainings], abs=2e-6)


def test_without_eval_a_search_misses_nothing_but_its_scores(killed_and_resumed, capsys):
    _, run, _, done = killed_and_resumed
    assert "eval: not scored" in done.stdout
    assert n_looks(run.path) == 0
    storage = str(run.path.parents[1])
    assert main(["export", "c", "--storage", storage, "--eval", "--output", str(run.path / "b")]) == 2
    assert "leave --eval out" in capsys.readouterr().err
    assert not (run.path / "b").exists()
    assert sorted(path.name for path in (run.path / "export" / "scores").iterdir()) == ["dev.txt"]
    assert main(["status", "c", "--storage", str(run.path.parents[1])]) == 0


def test_a_finished_confirmation_leaves_nothing_to_resume(killed_and_resumed, capsys):
    folder, _, _, _ = killed_and_resumed
    assert main(["resume", "c", "--storage", str(folder / "storage")]) == 2
    assert "all 2 trials have ended" in capsys.readouterr().err
