"""The command line: `spooftune COMMAND`. Exit codes: 0 done, 1 part failed, 2 wrong input, 130 interrupted."""

import argparse
import json
import os
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

# Commands import what they need themselves: `evaluate` must not wait for torch and Ray.


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code; a user's mistake gets its messages and no traceback."""
    options = _parser().parse_args(arguments)
    try:
        if getattr(options, "cluster", None):
            from search.cluster import require_token

            require_token()  # before anything imports Ray
            from search.remote import carried_out

            return carried_out(options)
        return int(options.command(options))
    except InputError as error:
        for problem in error.problems:
            print(f"spooftune: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("spooftune: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of a pipe left: nothing to flush to
        return 1


def _check(options: argparse.Namespace) -> int:
    from search.report import show_plan

    show_plan(_plan(options), _console(), n_samples=options.samples)
    return 0


def _extract(options: argparse.Namespace) -> int:
    from search.launch import join_cluster
    from search.stores import build_stores

    plan, console = _plan(options), _console()
    if options.address:
        join_cluster(plan, options.address, console)
    build_stores(plan, console, spread=options.address is not None)
    return 0


def _launch(options: argparse.Namespace) -> int:
    from search.launch import join_cluster, run_search
    from search.run import Run

    plan, console = _plan(options, embedded=options.address is None), _console()
    if options.address:
        join_cluster(plan, options.address, console)
    run = Run.create(plan.storage, prefix=plan.space.name, name=options.name)
    console.print(f"run {run.name} in {plan.storage}/runs/{run.name}", highlight=False)
    with _kept(run, plan):
        state = run_search(plan, run, address=options.address, console=console)
        return _conclude(run, plan, state)


def _list(options: argparse.Namespace) -> int:
    from search.report import show_runs
    from search.run import Run

    storage = _storage(options)
    show_runs(storage, Run.all(storage), _console())
    return 0


def _logs(options: argparse.Namespace) -> int:
    from search.report import show_events
    from search.run import Run

    show_events(Run.open(_storage(options), options.run), options.trial, _console())
    return 0


def _tensorboard(options: argparse.Namespace) -> int:
    from search.board import show_folder
    from search.run import Run

    return show_folder(Run.open(_storage(options), options.run).tensorboard, port=options.port)


def _resume(options: argparse.Namespace) -> int:
    from search.launch import join_cluster, resume_search

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


def _changed(run: "Run", plan: "Plan", options: argparse.Namespace) -> "Plan":
    """The plan of another space with which a run goes on."""
    from search.changes import check_change
    from search.plan import make_plan
    from search.space_reader import read_space

    space = read_space(Path(options.space), options.set)
    for line in check_change(run.name, plan.space, space, allowed=options.allow_changed_space):
        print(f"changed: {line}", flush=True)
    return make_plan(space, plan.storage)


def _stop(options: argparse.Namespace) -> int:
    from search.run import Run

    run = Run.open(_storage(options), options.run)
    run.stop()
    print(f"run {run.name} was asked to stop; spooftune status {run.name} says when it has, resume lets it go on")
    return 0


def _kept(run: "Run", plan: "Plan") -> "AbstractContextManager[None]":
    """Keeps a run's folder at its URL up to date; what Tune wrote is there already."""
    return plan.storage.kept(f"runs/{run.name}", skip=("tune",))


def _conclude(run: "Run", plan: "Plan", state: str) -> int:
    from search.report import show_run

    console = _console()
    show_run(run, console)
    trials = run.trials()
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


def _status(options: argparse.Namespace) -> int:
    from search.report import show_run
    from search.run import Run

    if options.run is None:
        return _list(options)
    show_run(Run.open(_storage(options), options.run), _console(), limit=options.limit)
    return 0


def _export(options: argparse.Namespace) -> int:
    run, plan = _opened(options)
    which = f"rank{options.rank}" if options.trial is None else f"trial{options.trial}"
    folder = Path(options.output) if options.output else run.path / f"export-{which}"
    with _kept(run, plan):
        _export_to(run, plan, folder, rank=options.rank, number=options.trial, look_at_eval=not options.no_eval)
    return 0


def _pretrain(options: argparse.Namespace) -> int:
    from search.pretrain import read_pretraining, run_pretraining

    plan = read_pretraining(Path(options.config), options.set)
    print(f"wav2vec ({plan.options.size}) on {len(plan.files)} recordings, in {plan.output}", flush=True)
    path = run_pretraining(plan, _console())
    print(f"watch it: tensorboard --logdir {plan.output / 'tensorboard'}")
    print(f"in a search space: front_end: {{name: wav2vec, checkpoint: {path}}}")
    return 0


def _report(options: argparse.Namespace) -> int:
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


def _score(options: argparse.Namespace) -> int:
    from core import bundle
    from core.errors import InputError

    loaded = bundle.load(Path(options.bundle))
    failed = 0
    lines = []
    for path, result in bundle.score(loaded, map(Path, options.audio), device=options.device):
        if isinstance(result, InputError):
            failed += 1
            print(f"spooftune: {result}", file=sys.stderr)
            continue
        decision = "bonafide" if result >= loaded.threshold else "spoof"
        line = f"{path}\t{result:.6f}\t{decision}"
        lines.append(line)
        print(line, flush=True)
    if options.output:
        _write_text(Path(options.output), "".join(line + "\n" for line in lines))
    return 1 if failed else 0


def _evaluate(options: argparse.Namespace) -> int:
    from search.evaluate import evaluate, show_evaluation

    other = Path(options.compare) if options.compare else None
    result = evaluate(Path(options.scores), other=other, asv_scores=options.asv_scores, asv_rates=options.asv_rates)
    print(json.dumps(result, indent=2) if options.json else show_evaluation(result))
    return 0


def _corpus_demo(options: argparse.Namespace) -> int:
    from core.demo import build_demo_corpus

    speech = Path(options.speech) if options.speech else None
    build_demo_corpus(Path(options.folder), speech=speech, seed=options.seed, report=print)
    return 0


def _corpus_widen(options: argparse.Namespace) -> int:
    from core import table
    from core.protocol import CORPORA
    from core.widening import widen

    corpus = table.build("--layout", CORPORA, table.Block(options.layout), Path(options.corpus))
    made = widen(corpus, Path(options.folder), options.copies, seed=options.seed, workers=options.workers, report=print)
    print(f"in a search space: corpus: {{layout: csv, path: {made}}}; experiment: widen: [{', '.join(options.copies)}]")
    return 0


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


def _write_text(path: Path, text: str) -> None:
    if path.exists():
        raise InputError(f"--output {path}: is there already; nothing of it was touched")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--output {path}: cannot be written: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spooftune", description="Hyperparameter search for spoofing-speech detectors."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, what: str, within: Any = commands) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = within.add_parser(name, help=what, description=what)
        added.set_defaults(command=function, verb=name)
        return added

    def on_cluster(added: argparse.ArgumentParser) -> None:
        what = "YAML of a Ray cluster, or the address of its Jobs API: carried out there"
        added.add_argument("--cluster", metavar="FILE|URL", help=what)

    def of_space(name: str, function: Any, what: str) -> argparse.ArgumentParser:
        added = command(name, function, what)
        added.add_argument("space", metavar="SPACE", help="YAML of the search space")
        changes = "changes a value of the YAML, such as corpus.path=/data/LA; may be repeated"
        added.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=changes)
        added.add_argument("--storage", metavar="DIR", help="folder of runs and feature stores, instead of the YAML's")
        return added

    check = of_space("check", _check, "Validates a space and shows what it would run.")
    check.add_argument("--samples", type=int, default=3, metavar="K", help="sampled configurations to show (3)")
    extract = of_space("extract", _extract, "Builds the feature stores of a space.")
    extract.add_argument(
        "--address", help="on a node of a cluster, all of which then extract: Ray's address, such as auto"
    )
    launch = of_space("launch", _launch, "Runs a search: stores, trials, the exported best.")
    launch.add_argument("--name", help="name of the run (default: the space's name and a number)")
    what = "on a node of a cluster: Ray's address of it, such as auto (default: a Ray of its own)"
    launch.add_argument("--address", help=what)
    on_cluster(launch)
    launch.add_argument("--wait", action="store_true", help="with --cluster: show the search until its end")

    pretrain = command("pretrain", _pretrain, "Trains wav2vec on speech without labels, for a front end of your own.")
    pretrain.add_argument("config", metavar="CONFIG", help="YAML such as spaces/pretrain/small.yaml")
    what = "changes a value of the YAML, such as speech=/data/speech; may be repeated"
    pretrain.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=what)

    def of_run(name: str, function: Any, what: str, nargs: str | None = None) -> argparse.ArgumentParser:
        added = command(name, function, what)
        added.add_argument("run", metavar="RUN", help="name of the run", nargs=nargs)
        added.add_argument("--storage", metavar="DIR", help="folder of runs and feature stores (storage)")
        return added

    resume = of_run("resume", _resume, "Goes on with a run that was interrupted, or extends one that ended.")
    resume.add_argument("--trials", type=int, metavar="N", help="trials in all (as many as before)")
    resume.add_argument("--hours", type=float, metavar="H", help="wall-clock limit of this part (the space's)")
    what = "limit of the GPU-hours of this part (the space's)"
    resume.add_argument("--gpu-hours", type=float, metavar="H", help=what)
    resume.add_argument("--space", metavar="FILE", help="go on with this space (the run's own)")
    what = "with --space: changes a value of the YAML; may be repeated"
    resume.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=what)
    what = "go on although the space differs; old trials that fit in it are known to the sampler"
    resume.add_argument("--allow-changed-space", action="store_true", help=what)
    resume.add_argument("--retry-failed", action="store_true", help="run failed trials again, too")
    resume.add_argument("--force", action="store_true", help="although the run seems to go on, on a host that is gone")
    what = "on a node of a cluster: Ray's address of it, such as auto (default: a Ray of its own)"
    resume.add_argument("--address", help=what)
    on_cluster(resume)

    stop = of_run("stop", _stop, "Stops a running search as Ctrl-C does; resume lets it go on.")
    on_cluster(stop)
    logs = of_run("logs", _logs, "Shows what a search did so far, or why a trial failed.")
    logs.add_argument("--trial", type=int, metavar="N", help="of one trial, with the error that ended it")
    logs.add_argument("--follow", action="store_true", help="with --cluster: go on until the search ends")
    on_cluster(logs)
    board = of_run("tensorboard", _tensorboard, "Shows a run in TensorBoard, on this machine's loopback.")
    board.add_argument("--port", type=int, default=6006, help="of the page (6006)")
    on_cluster(board)
    listed = command("list", _list, "Lists the runs of a storage, or the jobs of a cluster.")
    listed.add_argument(
        "--storage", default="storage", metavar="DIR", help="folder of runs and feature stores (storage)"
    )
    on_cluster(listed)
    status = of_run("status", _status, "Lists the runs, or shows one.", nargs="?")
    status.add_argument("--limit", type=int, default=20, metavar="K", help="trials to show (20)")
    on_cluster(status)
    export = of_run("export", _export, "Exports the detector of a run's trial as a bundle.")
    export.add_argument("--rank", type=int, default=1, metavar="K", help="1 = the best (1)")
    export.add_argument(
        "--trial", type=int, metavar="N", help="this trial, such as one on the front of EER against cost"
    )
    export.add_argument("--output", metavar="DIR", help="new folder of the bundle")
    on_cluster(export)
    export.add_argument("--no-eval", action="store_true", help="leave eval unopened")

    report = of_run("report", _report, "Tables and figures of a run's trials; in the paper's layout for its spaces.")
    report.add_argument("--eval", action="store_true", help="score the trials on eval too; every look is counted")
    report.add_argument("--train", action="store_true", help="score the trials on train too")
    report.add_argument("--top", type=int, metavar="K", help="the K best trials on dev alone")
    report.add_argument("--format", choices=("text", "markdown", "csv", "json"), default="text", help="on the terminal")
    report.add_argument("--output", metavar="DIR", help="new folder of the report (RUN's folder, report-001, ...)")
    report.add_argument("--no-figures", action="store_true", help="tables alone")
    report.add_argument("--no-cost", action="store_true", help="measure no parameters, GMACs and real-time factors")
    report.add_argument("--tsne", action="store_true", help="draw the best trial's embeddings too (figures 2 and 3)")
    report.add_argument("--asv-rates", choices=("la19",), help="known ASV error rates of ASVspoof 2019 LA, for t-DCF")
    what = "ASV scores of a partition, such as eval=asv_eval.txt; may be repeated"
    report.add_argument("--asv-scores", metavar="PARTITION=F", action="append", default=[], help=what)

    score = command("score", _score, "Scores recordings with a bundle: path, CM score (higher = bona fide), decision.")
    score.add_argument("bundle", metavar="BUNDLE", help="folder of the bundle")
    score.add_argument("audio", metavar="AUDIO", nargs="+", help="recordings: WAV, FLAC, OGG, any rate")
    score.add_argument("--output", metavar="F", help="also write the lines to this new file")
    score.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")

    evaluate = command("evaluate", _evaluate, "EER, min t-DCF, AUC and EER per attack of a score file.")
    evaluate.add_argument(
        "scores", metavar="SCOREFILE", help="lines `utt attack key score`, or six columns with speaker and `-`"
    )
    asv = evaluate.add_mutually_exclusive_group()
    asv.add_argument("--asv-scores", metavar="F", help="ASV scores of the same partition, lines `attack key score`")
    asv.add_argument("--asv-rates", choices=("la19-dev", "la19-eval"), help="known ASV error rates of ASVspoof 2019 LA")
    evaluate.add_argument("--compare", metavar="SCOREFILE", help="scores of another system on the same utterances")
    evaluate.add_argument("--json", action="store_true", help="as JSON, rates as fractions")

    corpus = commands.add_parser("corpus", help="Makes corpora.").add_subparsers(required=True, metavar="WHAT")
    demo = command("demo", _corpus_demo, "Makes a small corpus of real and spoofed speech.", within=corpus)
    demo.add_argument("folder", metavar="DIR", help="new folder of the corpus")
    demo.add_argument("--speech", metavar="DIR", help="your own recordings instead of Debian's packages")
    demo.add_argument("--seed", type=int, default=0, help="determines the corpus (0)")

    what = "Makes further training utterances of a corpus: vocoded, distorted and coded copies."
    widen = command("widen", _corpus_widen, what, within=corpus)
    widen.add_argument("corpus", metavar="CORPUS", help="folder or file of the corpus")
    widen.add_argument("folder", metavar="DIR", help="folder of the copies and of corpus.csv, which names all")
    widen.add_argument("copies", metavar="COPY", nargs="+", help="such as world_coded griffin_lim rawboost mulaw")
    widen.add_argument("--layout", default="asvspoof2019_la", help="layout of the corpus (asvspoof2019_la)")
    widen.add_argument("--seed", type=int, default=0, metavar="N", help="determines what is random (0)")
    widen.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")

    return parser


if __name__ == "__main__":
    sys.exit(main())
