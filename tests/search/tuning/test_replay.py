"""A scheduler is told again what an earlier part of a search reported, and decides as if nothing had happened."""

from types import SimpleNamespace

import numpy as np
import pytest
from ray.tune.schedulers import TrialScheduler

from search.methods.schedulers import asha, hyperband, median
from search.tuning.replay import replay


class Named:
    def __init__(self, name):
        self.trial_id = name


def events_of(reports):
    return [{"event": "epoch", "trial": n, "epoch": epoch, "objective": value} for n, epoch, value in reports]


def feeder(scheduler):
    """Gives a scheduler reports as Tune does, and returns what it decides."""
    trials, nobody_waits = {}, SimpleNamespace(get_live_trials=list)

    def feed(reports):
        decisions = []
        for number, epoch, value in reports:
            if number not in trials:
                trials[number] = Named(str(number))
                scheduler.on_trial_add(None, trials[number])
            result = {"epoch": epoch, "objective": value}
            decisions.append(scheduler.on_trial_result(nobody_waits, trials[number], result))
            if decisions[-1] == TrialScheduler.STOP:
                scheduler.on_trial_complete(None, trials[number], result)
        return decisions

    return feed


def reports_of(scheduler, n_trials=8, n_epochs=9):
    """What trials report, one after another, each until it is stopped; with what is decided."""
    random = np.random.default_rng(0)
    feed, reports, decisions = feeder(scheduler), [], []
    for number in range(n_trials):
        for epoch in range(1, n_epochs + 1):
            reports.append((number, epoch, float(random.random() + number / 50)))
            decisions += feed(reports[-1:])
            if decisions[-1] == TrialScheduler.STOP:
                break
    return reports, decisions


@pytest.mark.parametrize(
    "row", [lambda: asha("objective", 10, grace_epochs=1, reduction_factor=3), lambda: median("objective", 9)]
)
def test_a_scheduler_goes_on_where_the_search_was_cut_off(row):
    reports, expected = reports_of(row())
    assert {TrialScheduler.STOP, TrialScheduler.CONTINUE} == set(expected)
    for cut in range(1, len(reports)):
        events, running = events_of(reports[:cut]), reports[cut - 1][0]
        for number in range(running):
            at = max(n for n, each in enumerate(events) if each["trial"] == number)
            events.insert(at + 1, {"event": "end", "trial": number, "status": "stopped"})
        scheduler = row()
        replayed = replay(scheduler, events)
        assert (running in replayed.stopped) == (expected[cut - 1] == TrialScheduler.STOP)
        replayed.adopt(running, str(running))
        assert feeder(scheduler)(reports[cut:]) == expected[cut:]


def test_hyperband_begins_anew():
    replayed = replay(hyperband("objective", 9), events_of([(0, 1, 0.5)]))
    replayed.adopt(0, "name")
    assert replayed.stopped == set()


def test_a_failed_trial_does_not_upset_the_median_rule():
    rule = median("objective", 9, grace_epochs=1, min_trials=1)
    feed = feeder(rule)
    feed([(0, 1, 0.5), (0, 2, 0.4)])
    failed = Named("failed")
    rule.on_trial_add(None, failed)
    rule.on_trial_complete(None, failed, {"objective": float("inf"), "failed": "why"})
    assert feed([(1, 1, 0.3), (2, 1, 0.9)]) == [TrialScheduler.CONTINUE, TrialScheduler.STOP]
