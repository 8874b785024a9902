"""With a lag, a search depends on its seed alone: not on time, the number of workers or an interruption."""

import functools
import random
from types import SimpleNamespace

import pytest

from core import table
from core.errors import InputError
from search.methods.schedulers import SCHEDULERS
from search.runs.journal import Journal
from search.runs.run import Run
from search.space.reader import space_from_yaml
from search.space.yaml_file import parse
from search.tuning.lagged import LaggedScheduler, LaggedSearcher
from search.tuning.replay import replay
from search.tuning.searcher import OptunaSearcher
from tests.commands import spooftune
from tests.search.conftest import SPACE as CONFIG

EPOCHS = 8
SPACE = """\
name: example
corpus: {layout: asvspoof2019_la, path: data}
experiment:
  front_end: lfcc
  mode: {choice: [siamese, original]}
  loss: {margin: {uniform: [0.5, 3], when: {mode: siamese}}}
  batch_size: {choice: [32, 64]}
  epochs: 8
search: {trials: 14, sampler: SAMPLER, scheduler: SCHEDULER, seed: 3, lag: LAG}
"""


def space_with(lag=3, sampler="{name: tpe, n_startup_trials: 3}", scheduler="{name: asha, grace_epochs: 1}"):
    text = SPACE.replace("SAMPLER", sampler).replace("SCHEDULER", scheduler).replace("LAG", str(lag))
    return space_from_yaml(parse(text))


def objective_of(number, values, epoch):
    """The best value of a made-up training until an epoch; some learn late, so that it matters when they are judged."""
    level = abs(values.get("loss.margin", 0.6) - 2) / 4 + (0.1 if values["batch_size"] == 32 else 0.0)
    noise = random.Random(number).uniform(0, 0.2)
    return level + (0.5 + noise) / (epoch + 3 * (number % 3))


def run(journal, space, order, *, workers, n_trials=14, until=10**6):
    """A search with a made-up clock: trials start and report in random order. Goes on where the journal ends."""
    options = space.search
    scheduler_of = functools.partial(
        table.build, "search.scheduler", SCHEDULERS, options.scheduler, "objective", EPOCHS
    )
    scheduler = LaggedScheduler(options.lag, scheduler_of) if options.lag else scheduler_of()
    replayed = replay(scheduler, journal.events())
    for record in journal.trials():
        if record.status in ("running", "interrupted") and record.number in replayed.stopped:
            journal.record("end", record.number, status="stopped")
    unfinished = [record for record in journal.trials() if record.status in ("running", "interrupted")]
    how = {"unfinished": unfinished, "on_resumed": replayed.adopt}
    searcher_of = functools.partial(OptunaSearcher, space)
    if options.lag:
        searcher = LaggedSearcher(space, options.lag, searcher_of, journal, **how)
    else:
        history = [record for record in journal.trials() if record not in unfinished]
        searcher = searcher_of(history=history, reports=journal.epochs(), **how)
    running, n_to_start = {}, n_trials - len(journal.trials()) + len(unfinished)
    for step in range(until):
        can_start = n_to_start > 0 and len(running) < workers
        config = searcher.suggest(f"{order.random()}{step}") if can_start else None
        if config is not None:
            trial_id = list(searcher._running)[-1]
            known = {record.number: record for record in journal.trials()}
            trial = SimpleNamespace(trial_id=trial_id, config=config, epoch=0)
            if config["number"] in known:
                trial.epoch = known[config["number"]].epoch
                journal.record("resume", config["number"], status="running")
            else:
                journal.record("start", config["number"], values=config["values"])
            scheduler.on_trial_add(None, trial)
            running[trial_id] = trial
            n_to_start -= 1
        elif running:
            advance(journal, searcher, scheduler, running, order)
        else:
            break
    for trial in running.values():
        if order.random() < 0.5:  # else the process was killed
            journal.record("end", trial.config["number"], status="interrupted")
    return [(record.values, record.status, record.epoch, record.objective) for record in journal.trials()]


def advance(journal, searcher, scheduler, running, order):
    """One report of a random trial, and its end if it was the last one."""
    trial_id = order.choice(sorted(running))
    trial = running[trial_id]
    number, values = trial.config["number"], trial.config["values"]
    trial.epoch += 1
    if number % 5 == 4 and trial.epoch == 3:
        searcher.on_trial_complete(trial_id, {"objective": float("inf")})
        journal.record("end", number, status="failed")
        scheduler.on_trial_complete(None, running.pop(trial_id), {"failed": "no"})
        return
    result = {"epoch": trial.epoch, "epochs": EPOCHS, "objective": objective_of(number, values, trial.epoch)}
    decision = scheduler.on_trial_result(None, trial, result)
    journal.record("epoch", number, epoch=trial.epoch, objective=result["objective"])
    if decision == "STOP" or trial.epoch == EPOCHS:
        searcher.on_trial_complete(trial_id, result)
        journal.record("end", number, status="finished" if trial.epoch == EPOCHS else "stopped")
        scheduler.on_trial_complete(None, running.pop(trial_id), result)


def in_order(tmp_path, space, seed, **options):
    journal = Journal(tmp_path / f"{random.random()}.jsonl")
    run(journal, space, random.Random(seed), **options)
    return sorted(str((r.number, r.values, r.status, r.epoch, r.objective)) for r in journal.trials())


@pytest.mark.parametrize("scheduler", ["{name: asha, grace_epochs: 1}", "{name: median, grace_epochs: 2}", "none"])
def test_time_and_workers_change_nothing(tmp_path, scheduler):
    space = space_with(scheduler=scheduler)
    alone = in_order(tmp_path, space, 0, workers=1)
    assert len(alone) == 14
    for seed, workers in [(1, 2), (2, 2), (3, 3), (4, 8), (5, 8)]:
        assert in_order(tmp_path, space, seed, workers=workers) == alone
    if scheduler != "none":
        assert any("stopped" in line for line in alone)


def test_without_a_lag_time_changes_the_search(tmp_path):
    space = space_with(lag="null")
    searches = [in_order(tmp_path, space, seed, workers=8) for seed in range(3)]
    assert any(search != searches[0] for search in searches)


def test_a_lag_of_one_is_a_search_of_one_worker(tmp_path):
    assert in_order(tmp_path, space_with(lag=1), 0, workers=8) == in_order(tmp_path, space_with("null"), 0, workers=1)


@pytest.mark.parametrize("seed", range(6))
def test_interruptions_change_nothing(tmp_path, seed):
    space, order = space_with(), random.Random(seed)
    alone = in_order(tmp_path, space, 0, workers=1)
    journal = Journal(tmp_path / "trials.jsonl")
    for _ in range(3):
        run(journal, space, order, workers=order.choice([1, 2, 8]), until=order.randrange(1, 40))
    run(journal, space, order, workers=2)
    assert sorted(str((r.number, r.values, r.status, r.epoch, r.objective)) for r in journal.trials()) == alone


def test_two_workers_of_ray_search_as_one_does(tmp_path, corpus):
    text = CONFIG.replace("CORPUS", str(corpus)).replace("STORAGE", str(tmp_path / "storage"))
    # The EER of this corpus is 0 for most trials, the loss is not.
    (tmp_path / "s.yaml").write_text(text.replace("trials: 6", "trials: 6\n  lag: 2\n  objective: dev_loss"))
    searches = []
    for workers in (1, 2):
        change = f"search.concurrency={workers}"
        done = spooftune("launch", tmp_path / "s.yaml", "--name", f"w{workers}", "--set", change)
        assert done.returncode == 0, done.stderr + done.stdout
        records = Run(tmp_path / "storage" / "runs" / f"w{workers}").journal.trials()
        searches.append([(r.number, r.values, r.status, r.epoch, r.objective) for r in records])
    assert searches[0] == searches[1]
    assert {status for _, _, status, _, _ in searches[0]} == {"finished", "stopped"}


def test_at_most_as_many_trials_run_as_the_lag_allows(tmp_path):
    searcher_of, journal = functools.partial(OptunaSearcher, space_with()), Journal(tmp_path / "trials.jsonl")
    searcher = LaggedSearcher(space_with(lag=2), 2, searcher_of, journal)
    assert [searcher.suggest(name)["number"] for name in "ab"] == [0, 1]
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("b")
    assert searcher.suggest("c") is None  # trial 0 has to end first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lag": 0}, "search.lag is 0; it must be at least 1"),
        ({"scheduler": "hyperband"}, "search.lag: hyperband lets trials wait for each other"),
    ],
)
def test_mistakes_are_explained(options, message):
    with pytest.raises(InputError) as caught:
        space_with(**options)
    assert message in str(caught.value)
