"""When a search ends before its last trial."""

from types import SimpleNamespace

from search.space.options import SearchOptions
from search.tuning import limits as module
from search.tuning.limits import Limits


def clocked(monkeypatch, **options):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return Limits(SearchOptions(**options)), now


def run(limits, now, name, seconds, objective):
    trial = SimpleNamespace(trial_id=name, last_result={"objective": objective})
    limits.on_trial_start(0, [], trial)
    now[0] += seconds
    limits.on_trial_complete(0, [], trial)


def test_hours_are_of_the_clock(monkeypatch):
    limits, now = clocked(monkeypatch, hours=1.0)
    now[0] = 3599.0
    assert not limits.stop_all()
    now[0] = 3600.0
    assert limits.stop_all()
    assert limits.reason == "out of time"


def test_gpu_hours_count_fractions_and_what_runs_still(monkeypatch):
    limits, now = clocked(monkeypatch, gpu_hours=1.0, gpus=0.5)
    run(limits, now, "a", 3600, 0.1)
    assert not limits.stop_all()
    assert limits.gpu_hours() == 0.5
    for name in ("b", "c"):
        limits.on_trial_start(0, [], SimpleNamespace(trial_id=name))
    now[0] += 1799
    assert not limits.stop_all()
    now[0] += 1
    assert limits.stop_all()
    assert limits.reason == "out of GPU hours"


def test_a_trial_that_starts_again_counts_while_it_runs(monkeypatch):
    limits, now = clocked(monkeypatch, gpu_hours=1.0, gpus=1.0)
    trial = SimpleNamespace(trial_id="a", last_result={})
    limits.on_trial_start(0, [], trial)
    now[0] += 600
    limits.on_trial_recover(0, [], trial)
    now[0] += 6000
    assert limits.gpu_hours() == 600 / 3600


def test_patience_counts_trials_in_a_row_without_a_better_one(monkeypatch):
    limits, now = clocked(monkeypatch, patience=2)
    for name, objective, ends in (("a", 0.3, False), ("b", 0.4, False), ("c", 0.2, False), ("d", 0.2, False)):
        run(limits, now, name, 1, objective)
        assert limits.stop_all() == ends
    run(limits, now, "e", 1, float("inf"))
    assert limits.stop_all()
    assert limits.reason == "no progress"


def test_a_storage_that_a_trial_lost_ends_the_search():
    limits = Limits(SearchOptions())
    assert not limits("a", {"objective": 0.1})
    assert not limits.stop_all()
    assert not limits("a", {"objective": float("inf"), "storage_lost": "it was away"})
    assert limits.stop_all()
    assert limits.problem == "it was away"
