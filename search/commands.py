"""Commands about searches and their runs: a parsed command line in, an exit code out."""

import argparse
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError

if TYPE_CHECKING:
    from core.metrics import AsvErrorRates
    from search.plan import Plan
    from search.run import Run
    from search.storage import Storage

# Commands import what they need themselves: none waits for torch and Ray that can do without.


def check(options: argparse.Namespace) -> int:
    """Shows what a space would run."""
    from search.report import show_plan

    show_plan(_plan(options), _console(), n_samples=options.samples)
    return 0


def extract(options: argparse.Namespace) -> int:
    """Builds the feature stores of a space."""
    from search.preflight import join_cluster
    from search.stores import build_stores

    plan, console = _plan(options), _console()
    if options.address:
        join_cluster(plan, options.address, console)
    build_stores(plan, console, spread=options.address is not None)
    return 0


def launch(options: argparse.Namespace) -> int:
    """Runs a search to its end and exports the best."""
    from search.launch import run_search
    from search.preflight import join_cluster
    from search.report import show_corpus
    from search.run import Run

    plan, console = _plan(options, embedded=options.address is None), _console()
    if options.address:
        join_cluster(plan, options.address, console)
    run = Run.create(plan.storage, prefix=plan.space.name, name=options.name)
    console.print(f"run {run.name} in {plan.storage}/runs/{run.name}", highlight=False)
    with _kept(run, plan):
        show_corpus(plan.sealed(), console)
        state = run_search(plan, run, address=options.address, console=console)
        return _conclude(run, plan, state)


def resume(options: argparse.Namespace) -> int:
    """Goes on with a run, or extends it, and exports the best."""
    from search.launch import resume_search
    from search.preflight import join_cluster

    run, plan = _opened(options)
    former = None
    if options.space:
        former, plan = plan.space, _changed(run, plan, options)
    if options.address:
        join_cluster(plan, options.address, _console())
    with _kept(run, plan):
        state = resume_search(
            plan,
            run,
            n_trials=options.trials,
            hours=options.hours,
            gpu_hours=options.gpu_hours,
            retry_failed=options.retry_failed,
            force=options.force,
            address=options.address,
            console=_console(),
            former=former,
        )
        return _conclude(run, plan, state)


def stop(options: argparse.Namespace) -> int:
    """Asks a search to stop."""
    from search.run import Run

    run = Run.open(_storage(options), options.run)
    run.stop()
    print(f"run {run.name} was asked to stop; spooftune status {run.name} says when it has, resume lets it go on")
    return 0


def list_runs(options: argparse.Namespace) -> int:
    """Lists the runs of a storage."""
    from search.report import show_runs
    from search.run import Run

    storage = _storage(options)
    show_runs(storage, Run.all(storage), _console())
    return 0


def status(options: argparse.Namespace) -> int:
    """Shows the trials of a run, or lists the runs."""
    from search.report import show_run
    from search.run import Run

    if options.run is None:
        return list_runs(options)
    show_run(Run.open(_storage(options), options.run), _console(), limit=options.limit)
    return 0


def logs(options: argparse.Namespace) -> int:
    """Shows what happened in a run."""
    from search.report import show_events
    from search.run import Run

    show_events(Run.open(_storage(options), options.run), options.trial, _console())
    return 0


def tensorboard(options: argparse.Namespace) -> int:
    """Shows a run in TensorBoard until it is interrupted."""
    from search.board import show_folder
    from search.run import Run

    return show_folder(Run.open(_storage(options), options.run).tensorboard, port=options.port)


def export(options: argparse.Namespace) -> int:
    """Exports the detector of a run's trial."""
    run, plan = _opened(options)
    which = f"rank{options.rank}" if options.trial is None else f"trial{options.trial}"
    folder = Path(options.output) if options.output else run.path / f"export-{which}"
    with _kept(run, plan):
        _export_to(run, plan, folder, rank=options.rank, number=options.trial, look_at_eval=not options.no_eval)
    return 0


def report(options: argparse.Namespace) -> int:
    """Prints a run's report, whose files go to a new folder."""
    from search.publish import ReportOptions, publish

    run, plan = _opened(options)
    wanted = {"train": options.train, "dev": True, "eval": options.eval}
    chosen = ReportOptions(
        partitions=tuple(partition for partition in ("dev", "eval", "train") if wanted[partition]),
        top=options.top,
        asv=_asv(options),
        figures=not options.no_figures,
        cost=not options.no_cost,
        tsne=options.tsne,
    )
    numbers = (f"report-{k:03d}" for k in range(1, 100_000))
    folder = Path(options.output) if options.output else next(p for n in numbers if not (p := run.path / n).exists())
    # Progress goes to stderr: the report itself may be piped.
    with _kept(run, plan):
        forms = publish(run, plan, folder, chosen, _console(stderr=True))
    print(forms[options.format], end="")
    print(f"spooftune: the report's tables and figures are in {folder}", file=sys.stderr)
    return 0


def _kept(run: "Run", plan: "Plan") -> "AbstractContextManager[None]":
    """Keeps a run's folder at its URL up to date; what Tune wrote is there already."""
    return plan.storage.kept(f"runs/{run.name}", skip=("tune",))


def _conclude(run: "Run", plan: "Plan", state: str) -> int:
    from search.report import show_run

    console = _console()
    show_run(run, console)
    trials = run.journal.trials()
    failed = sum(each.status == "failed" for each in trials)
    if failed:
        console.print(f"{failed} trials failed; {run.path / 'errors'} says why", highlight=False)
    if not run.ranked():
        print(f"spooftune: run {run.name}: no trial gave a detector", file=sys.stderr)
        return 130 if state == "interrupted" else 1
    bundle = run.free_folder("export")
    _export_to(run, plan, bundle, rank=1)
    print(f"watch the trials: tensorboard --logdir {run.tensorboard}")
    print(f"score recordings: spooftune score {bundle} RECORDING.flac")
    if state == "interrupted":
        what = f"what it had found is exported; spooftune resume {run.name} goes on"
        print(f"spooftune: run {run.name} was interrupted; {what}", file=sys.stderr)
        return 130
    return 0


def _export_to(
    run: "Run", plan: "Plan", folder: Path, *, rank: int, number: int | None = None, look_at_eval: bool = True
) -> None:
    from search.export import export
    from search.report import show_measured

    console = _console()
    record, measured = export(run, plan, folder, rank=rank, number=number, look_at_eval=look_at_eval, console=console)
    which = f"rank {rank}" if number is None else "as you named it"
    console.print(f"exported trial {record.number} ({which}) to {folder}", highlight=False)
    show_measured(measured, console)


def _changed(run: "Run", plan: "Plan", options: argparse.Namespace) -> "Plan":
    """The plan of another space with which a run goes on."""
    from search.changes import check_change
    from search.plan import make_plan
    from search.space_reader import read_space

    space = read_space(Path(options.space), options.set)
    for line in check_change(run.name, plan.space, space, allowed=options.allow_changed_space):
        print(f"changed: {line}", flush=True)
    return make_plan(space, plan.storage)


def _asv(options: argparse.Namespace) -> "dict[str, AsvErrorRates]":
    from core import metrics
    from core.score_file import read_asv_scores

    rates = dict(metrics.LA19_ASV) if options.asv_rates else {}
    for each in options.asv_scores:
        partition, equals, path = each.partition("=")
        if not equals or partition not in ("train", "dev", "eval"):
            raise InputError(f"--asv-scores {each}: expected PARTITION=FILE, such as eval=asv_eval.txt")
        scores = read_asv_scores(Path(path))
        rates[partition] = metrics.asv_error_rates(scores.target, scores.nontarget, scores.spoof)
    return rates


def _plan(options: argparse.Namespace, *, embedded: bool = False) -> "Plan":
    from search.plan import make_plan
    from search.space_reader import read_space
    from search.storage import Storage

    space = read_space(Path(options.space), options.set)
    storage = Storage(getattr(options, "storage", None) or space.search.storage)
    return make_plan(space, storage, embedded=embedded)


def _opened(options: argparse.Namespace) -> "tuple[Run, Plan]":
    from search.plan import make_plan
    from search.run import Run
    from search.space_reader import read_space

    storage = _storage(options)
    run = Run.open(storage, options.run)
    return run, make_plan(read_space(run.path / "space.yaml"), storage)


def _storage(options: argparse.Namespace) -> "Storage":
    from search.storage import Storage

    return Storage(options.storage or "storage")


def _console(*, stderr: bool = False) -> Any:
    from search.report import console

    return console(stderr=stderr)
