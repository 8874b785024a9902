"""Runs, trials and events as plain objects for scripts, with one schema for all commands.

`spooftune ... --json` writes one object per line. Its `kind` is a key of SCHEMA, and it has all fields of that kind, in
this order. A value that is not known is null. docs/json-lines.md shows the schema to users.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search.runs.journal import TrialRecord, finite
from search.runs.progress import Progress, best_first

if TYPE_CHECKING:
    from search.runs.confirmed import ConfirmedConfiguration
    from search.runs.run import Run

OF_TRIAL = {
    "run": "name of the run",
    "part": "`search` or `confirmation`",
    "trial": "number of the trial; in a confirmation 1000 times the number of the trial, plus that of the seed",
}
RESULTS = {
    "epoch": "last reported epoch, from 1; 0 before the first report",
    "epochs": "epochs of the whole training",
    "objective": "best value so far; lower is better, a rate is a fraction",
    "seconds": "seconds from the start of the trial to its end or to this report",
    "metrics": "metrics of the last epoch by name",
    "values": "hyperparameters by path",
    "error": "why the trial failed",
}
SCHEMA: dict[str, dict[str, str]] = {
    "run": {
        "run": "name of the run",
        "state": "`extracting`, `running`, `confirming`, `finished`, `interrupted` or the limit that ended it",
        "objective": "name of the metric that the search minimises",
        "n_trials": "trials in total",
        "n_started": "trials that have started",
        "n_done": "trials that have ended",
        "best_trial": "number of the trial with the best objective",
        "best": "its objective",
        "created": "time of the launch",
        "path": "folder of the run",
    },
    "trial": {**OF_TRIAL, "status": "`running`, `finished`, `stopped`, `failed` or `interrupted`", **RESULTS},
    "event": {
        **OF_TRIAL,
        "event": "`start`, `epoch`, `resume` or `end`",
        "time": "when it was recorded",
        "status": "of an end or a resumption, as for `trial`",
        **RESULTS,
    },
    "progress": {
        "run": "name of the run",
        "part": "`search` or `confirmation`",
        "n_trials": "trials in total",
        "n_done": "trials that have ended",
        "running": "trials that run now",
        "elapsed": "seconds since the launch or the resumption",
        "left": "estimated seconds until the last trial ends",
        "epochs_per_minute": "epochs of the running trials together",
        "best_trial": "number of the trial with the best objective",
        "best": "its objective",
    },
    "confirmed": {
        "run": "name of the run",
        "trial": "number of the trial that was trained again",
        "objective": "its objective in the search",
        "mean": "mean objective of the fresh seeds",
        "half_width": "half of the 95 % interval of the mean; null below three seeds",
        "worst": "objective of the worst seed",
        "n_seeds": "trainings that succeeded",
        "n_failed": "trainings that failed",
        "values": "hyperparameters by path",
    },
    "bundle": {
        "run": "name of the run",
        "trial": "number of the exported trial",
        "path": "folder of the bundle",
        "measured": "metrics by partition",
    },
    "space": {
        "space": "name of the space",
        "corpus": "path of the corpus",
        "n_utterances": "bona fide and spoofed utterances by partition; eval is not opened",
        "warnings": "warnings about the corpus, and what this machine lacks",
        "objective": "name of the metric that the search minimises",
        "n_trials": "trials of the search",
        "n_configurations": "configurations of the space; null: infinitely many",
        "parameters": "hyperparameters by path, in words",
        "sampler": "name of the sampler",
        "scheduler": "name of the scheduler",
    },
    "configuration": {"values": "hyperparameters by path", "first": "whether the first trial has them"},
    "store": {
        "front_end": "name of the front end",
        "partition": "partition of the corpus",
        "n_bytes": "expected size",
        "complete": "whether the features are cached",
        "path": "folder of the feature store",
    },
    "job": {
        "run": "name of the run",
        "job": "number of the job on the cluster",
        "state": "state of the job",
        "started": "start in seconds since 1970",
        "storage": "storage of the run on the cluster",
    },
}
"""Kind of an object -> its fields, besides `kind` -> their meaning."""


def fact(kind: str, **fields: Any) -> dict[str, Any]:
    """An object of a kind of SCHEMA; fields that are not given, NaN and infinity are None."""
    unknown = fields.keys() - SCHEMA[kind].keys()
    assert not unknown, f"{kind} has no {unknown}"
    return {"kind": kind, **{name: finite(fields.get(name)) for name in SCHEMA[kind]}}


def run_facts(run: "Run") -> dict[str, Any]:
    """A run."""
    info, trials = run.info(), run.journal.trials()
    best = best_first(trials)[:1]
    return fact(
        "run",
        run=run.name,
        state=run.state(),
        n_started=len(trials),
        n_done=sum(trial.status != "running" for trial in trials),
        best_trial=best[0].number if best else None,
        best=best[0].objective if best else None,
        path=str(run.path),
        **{name: info.get(name) for name in ("objective", "n_trials", "created")},
    )


def trial_facts(record: TrialRecord, run: str, part: str) -> dict[str, Any]:
    """A trial of a search, or a training of its confirmation."""
    fields = {name: getattr(record, name) for name in ("status", *RESULTS)}
    fields |= {"epochs": record.epochs or None, "error": record.error or None}
    return fact("trial", run=run, part=part, trial=record.number, **fields)


def event_facts(event: Mapping[str, Any], run: str, part: str) -> dict[str, Any]:
    """An event of the journal of a search or of its confirmation."""
    known = {name: event[name] for name in ("trial", "event", "time", "status", *RESULTS) if name in event}
    return fact("event", run=run, part=part, **{**known, "error": known.get("error") or None})


def progress_facts(progress: Progress, run: str, part: str) -> dict[str, Any]:
    """The progress of a running search."""
    best = progress.best
    return fact(
        "progress",
        run=run,
        part=part,
        n_trials=progress.n_trials,
        n_done=progress.n_done,
        running=progress.counts["running"],
        elapsed=round(progress.elapsed, 3),
        left=None if progress.left is None else round(progress.left, 3),
        epochs_per_minute=progress.epochs_per_minute,
        best_trial=None if best is None else best.number,
        best=math.nan if best is None else best.objective,
    )


def confirmed_facts(configuration: "ConfirmedConfiguration", run: str) -> dict[str, Any]:
    """A configuration that was trained again with fresh seeds."""
    record = configuration.record
    return fact(
        "confirmed",
        run=run,
        trial=record.number,
        objective=record.objective,
        mean=configuration.mean,
        half_width=configuration.half_width,
        worst=configuration.worst,
        n_seeds=len(configuration.trainings),
        n_failed=configuration.n_failed,
        values=record.values,
    )
