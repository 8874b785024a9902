"""JSON lines on stdout: nothing else goes there while a command writes them."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from search.runs.facts import confirmed_facts, event_facts, fact, run_facts, trial_facts

if TYPE_CHECKING:
    from search.cluster.jobs import Job
    from search.prepare.plan import Plan
    from search.runs.run import Run

Emit = Callable[[Mapping[str, Any]], None]
"""Writes an object of `search.runs.facts`."""


@contextlib.contextmanager
def json_on_stdout() -> Iterator[Emit]:
    """Yields a function that writes a line of JSON on stdout. Everything else goes to stderr during the block."""
    with _stdout_alone() as stdout:
        gone = False

        def emit(item: Mapping[str, Any]) -> None:
            nonlocal gone
            if gone:
                return
            try:
                stdout.write(json.dumps(item, ensure_ascii=False) + "\n")
                stdout.flush()
            except BrokenPipeError:  # The reader has ended. A search is worth more than its output.
                gone = True

        yield emit


@contextlib.contextmanager
def _stdout_alone() -> Iterator[TextIO]:
    stdout: TextIO = sys.stdout
    stdout.flush()
    if stdout is not sys.__stdout__:  # another Python program has replaced it, and looks there
        with contextlib.redirect_stdout(sys.stderr):
            yield stdout
        return
    # Libraries and other processes write to the descriptor.
    descriptor = os.dup(stdout.fileno())
    os.dup2(sys.stderr.fileno(), stdout.fileno())
    try:
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="surrogateescape") as lines:
            yield lines
    finally:
        stdout.flush()
        os.dup2(descriptor, stdout.fileno())
        os.close(descriptor)


def passing_on(emit: Emit) -> Callable[[str], None]:
    """A function for the lines of a job with `--json`: its log mixes them with what it writes on stderr."""

    def say(line: str) -> None:
        try:
            item = json.loads(line)
        except ValueError:
            item = None
        if isinstance(item, dict) and "kind" in item:
            emit(item)
        else:
            print(line, file=sys.stderr, flush=True)

    return say


def emit_run(run: "Run", emit: Emit, *, limit: int | None = None) -> None:
    """Writes a run, its trials, the best first, and what its confirmation has shown.

    Args:
        run: The run.
        emit: Writes an object.
        limit: Maximum number of trials; None: all.
    """
    from search.runs.confirmed import confirmed_configurations

    emit(run_facts(run))
    for record in run.by_rank()[:limit]:
        emit(trial_facts(record, run.name, "search"))
    for configuration in confirmed_configurations(run):
        emit(confirmed_facts(configuration, run.name))


def emit_event(event: Mapping[str, Any], run: str, part: str, emit: Emit) -> None:
    """Writes an event of a journal."""
    emit(event_facts(event, run, part))


def emit_plan(plan: "Plan", emit: Emit, *, n_samples: int) -> None:
    """Writes what a search of a space would do, as `show_plan` prints it."""
    from search.prepare.checks import resource_problems
    from search.prepare.plan import SEARCHED_PARTITIONS
    from search.space.configurations import baseline, n_configurations
    from search.space.optuna_space import random_values

    space, options = plan.space, plan.space.search
    counts = {partition: plan.corpus.counts(partition) for partition in SEARCHED_PARTITIONS}
    item = fact(
        "space",
        space=space.name,
        corpus=str(space.corpus.path),
        n_utterances={name: {"bona_fide": a, "spoof": b} for name, (a, b) in counts.items()},
        warnings=[*plan.corpus.warnings, *resource_problems(space)],
        objective=space.metric,
        n_trials=plan.n_trials,
        n_configurations=n_configurations(space),
        parameters={parameter.path: parameter.describe() for parameter in space.parameters},
        sampler=options.sampler.name,
        scheduler=options.scheduler.name,
    )
    emit(item)
    if options.baseline and options.sampler.name != "grid":
        emit(fact("configuration", values=baseline(space), first=True))
    for seed in range(n_samples):
        emit(fact("configuration", values=random_values(space, seed), first=False))
    for store in plan.stores:
        item = fact(
            "store",
            front_end=store.experiment.front_end.name,
            partition=store.partition,
            n_bytes=store.n_bytes,
            complete=store.complete,
            path=str(store.path),
        )
        emit(item)


def emit_jobs(jobs: "list[Job]", emit: Emit) -> None:
    """Writes the jobs of a cluster."""
    for job in jobs:
        began = job.began or None
        emit(fact("job", run=job.run, job=job.id, state=job.state.lower(), started=began, storage=job.storage))
