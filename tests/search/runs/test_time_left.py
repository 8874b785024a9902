"""The time that a search still needs, on recorded sequences of events whose true end is known."""

import dataclasses
import heapq
import itertools
import math
import random
from datetime import UTC, datetime

import pytest

from search.runs.describe import about
from search.runs.journal import TrialRecord
from search.runs.progress import Watch, describe_progress

START = 1_790_000_000.0


def stamp(seconds):
    return datetime.fromtimestamp(START + seconds, UTC).isoformat(timespec="milliseconds")


def recorded(lengths, *, places, epochs=20, begin=0.0):
    """Events `(time, record)` of trials with given `(seconds per epoch, epochs until the end)`, `places` at a time."""
    free, events = [begin] * places, []
    for number, (pace, last) in enumerate(lengths):
        start = heapq.heappop(free)
        record = TrialRecord(number, {}, time=stamp(start))
        events.append((start, record))
        for epoch in range(1, last + 1):
            now = start + pace * epoch
            record = dataclasses.replace(record, epoch=epoch, epochs=epochs, seconds=now - start, time=stamp(now))
            events.append((now, record))
        status = "finished" if last == epochs else "stopped"
        events.append((now, dataclasses.replace(record, status=status)))
        heapq.heappush(free, now)
    return sorted(events, key=lambda event: event[0])


def state(events, now):
    """The records at a time, as `Journal.trials` returns them."""
    latest = {record.number: record for time, record in events if time <= now}
    return [latest[number] for number in sorted(latest)]


def left_of(watch, events, now):
    return watch.look(state(events, now), now=START + now).left


def watch(n_trials, places, **options):
    return Watch(n_trials, at_a_time=places, **{"started": START, **options})


def drawn(n, *, seed, paces, chance_to_stop):
    """Lengths of trials with paces drawn from a list; a scheduler stops a part of them after epochs 2, 5 or 9."""
    generator, lengths = random.Random(seed), []
    for _ in range(n):
        last = next((epoch for epoch in (2, 5, 9) if generator.random() < chance_to_stop), 20)
        lengths.append((generator.choice(paces), last))
    return lengths


KINDS = {
    "equal trials": {"paces": [3.0], "chance_to_stop": 0.0},
    "a scheduler stops most": {"paces": [3.0], "chance_to_stop": 0.5},
    "trials of very different length": {"paces": [0.5, 2.0, 40.0], "chance_to_stop": 0.0},
    "both": {"paces": [1.0, 20.0], "chance_to_stop": 0.4},
}
SEARCHES = {kind: drawn(60, seed=1, **options) for kind, options in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_on_average_it_is_the_truth(kind):
    # Elapsed time times open trials over ended ones, which has no sense of running trials, gives 0.59 to 1.56 here.
    searches = [recorded(drawn(60, seed=seed, **KINDS[kind]), places=4) for seed in range(40)]
    ends = [events[-1][0] for events in searches]
    for part in (0.1, 0.2, 0.5, 0.8):
        now = part * sum(ends) / len(ends)
        estimated = sum(left_of(watch(60, 4), events, now) for events in searches)
        true = sum(max(0.0, end - now) for end in ends)
        assert estimated / true == pytest.approx(1, abs=0.01 if kind == "equal trials" else 0.13)
    assert all(left_of(watch(60, 4), events, end) == 0 for events, end in zip(searches, ends, strict=True))


@pytest.mark.parametrize("lengths", SEARCHES.values(), ids=SEARCHES)
def test_it_never_rises_while_nothing_happens(lengths):
    events = recorded(lengths, places=3)
    look = watch(len(lengths), 3)
    times = sorted({time for time, _ in events})
    for before, after in zip(times, [*times[1:], times[-1] + 1000], strict=True):
        steps = [before + k * (after - before) / 5 for k in range(5)]
        lefts = [left for left in (left_of(look, events, now) for now in steps) if left is not None]
        assert lefts == sorted(lefts, reverse=True)


def test_it_never_rises_at_all_where_trials_are_equal():
    events = recorded(SEARCHES["equal trials"], places=2)
    look = watch(60, 2)
    lefts = [left_of(look, events, second / 2) for second in range(6, int(2 * events[-1][0]))]
    assert all(after <= before + 1e-6 for before, after in itertools.pairwise(lefts))


def test_the_first_trials_to_end_are_short_but_do_not_make_it_short():
    # One trial in three takes 80 times as long as the others. When four short ones have ended, a mean over ended trials
    # would promise 36 s.
    lengths = [(0.1, 20), (8.0, 20), (0.1, 20)] * 6
    events = recorded(lengths, places=2)
    now, end = 9.0, events[-1][0]
    ended = [record for record in state(events, now) if record.status == "finished"]
    naive = now / len(ended) * (18 - len(ended))
    assert naive < 0.15 * (end - now)
    assert 0.5 * (end - now) < left_of(watch(18, 2), events, now) < 2 * (end - now)


def test_a_resumed_run_knows_its_earlier_trials():
    # The first part ended at 200 s while trials 6 and 7 ran; the second one starts a day later.
    lengths = [(3.0, 20)] * 24
    first = [event for event in recorded(lengths, places=2) if event[0] <= 200]
    day = 86_400.0
    look = watch(24, 2, started=START + day, unfinished={6, 7})
    left = left_of(look, first, day + 1)
    assert left == pytest.approx(24 * 60 / 2 - 200, rel=0.05)
    assert look.look(state(first, day + 1), now=START + day + 1).counts["waiting"] == 2
    # They are resumed, and the estimate continues to fall.
    resumed = [
        (day + 2, dataclasses.replace(record, time=stamp(day + 2)))
        for record in state(first, 200)
        if record.number in (6, 7)
    ]
    progress = look.look(state(first + resumed, day + 3), now=START + day + 3)
    assert progress.left <= left
    assert (progress.counts["running"], progress.counts["waiting"], progress.n_done) == (2, 0, 6)


def test_trials_that_an_earlier_version_recorded_have_no_planned_epochs():
    events = [(time, dataclasses.replace(record, epochs=0)) for time, record in recorded([(3.0, 20)] * 8, places=1)]
    assert left_of(watch(8, 1), events, 90) == pytest.approx(8 * 60 - 90, rel=0.02)


def test_nothing_is_known_before_the_first_report_and_a_limit_counts():
    events = recorded([(3.0, 20)] * 8, places=1)
    assert left_of(watch(8, 1), events, 2) is None
    assert left_of(watch(8, 1, hours=0.01), events, 10) == pytest.approx(26)


def test_failed_trials_count_with_the_time_that_they_took():
    failed = [TrialRecord(k, {}, "failed", seconds=2.0, time=stamp(2.0 * k + 2)) for k in range(5)]
    left = watch(20, 1).look(failed, now=START + 10).left
    assert left == pytest.approx(15 * 2.0)


def test_the_progress_in_words_fits_a_terminal_of_80_columns():
    events = recorded(SEARCHES["both"], places=4)
    best = dataclasses.replace(state(events, 500)[0], objective=0.0825)
    lines = describe_progress(
        watch(60, 4).look([best, *state(events, 500)[1:]], now=START + 500), "quickstart-001", "dev_eer"
    )
    assert all(len(line) <= 80 for line in lines), lines
    assert "quickstart-001: " in lines[0]
    assert "8:20 elapsed, about " in lines[1]
    assert "epochs/min" in lines[1]
    assert "best dev_eer 8.25 %" in lines[1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under a minute"),
        (70, "about 1 min"),
        (1500, "about 25 min"),
        (5000, "about 1 h 25 min"),
        (7200, "about 2 h"),
        (100_000, "about 28 h"),
        (400_000, "about 5 days"),
    ],
)
def test_an_estimate_is_rough(seconds, words):
    assert about(seconds) == words


def test_a_best_trial_needs_a_finite_objective():
    record = TrialRecord(0, {}, objective=math.inf)
    assert watch(1, 1).look([record], now=START).best is None
