"""The command line: `spooftune COMMAND`. Exit codes: 0 done, 1 part failed, 2 wrong input, 130 interrupted."""

import argparse
import os
import sys
from typing import Any

from core.errors import InputError
from search import commands, standalone


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code; a user's mistake gets its messages and no traceback."""
    options = _parser().parse_args(arguments)
    try:
        if getattr(options, "cluster", None):
            from search.connection import require_token

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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spooftune", description="Hyperparameter search for spoofing-speech detectors."
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, what: str, within: Any = verbs) -> argparse.ArgumentParser:
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

    check = of_space("check", commands.check, "Validates a space and shows what it would run.")
    check.add_argument("--samples", type=int, default=3, metavar="K", help="sampled configurations to show (3)")
    extract = of_space("extract", commands.extract, "Builds the feature stores of a space.")
    extract.add_argument(
        "--address", help="on a node of a cluster, all of which then extract: Ray's address, such as auto"
    )
    launch = of_space("launch", commands.launch, "Runs a search: stores, trials, the exported best.")
    launch.add_argument("--name", help="name of the run (default: the space's name and a number)")
    what = "on a node of a cluster: Ray's address of it, such as auto (default: a Ray of its own)"
    launch.add_argument("--address", help=what)
    on_cluster(launch)
    launch.add_argument("--wait", action="store_true", help="with --cluster: show the search until its end")

    pretrain = command(
        "pretrain", standalone.pretrain, "Trains wav2vec on speech without labels, for a front end of your own."
    )
    pretrain.add_argument("config", metavar="CONFIG", help="YAML such as spaces/pretrain/small.yaml")
    what = "changes a value of the YAML, such as speech=/data/speech; may be repeated"
    pretrain.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=what)

    def of_run(name: str, function: Any, what: str, nargs: str | None = None) -> argparse.ArgumentParser:
        added = command(name, function, what)
        added.add_argument("run", metavar="RUN", help="name of the run", nargs=nargs)
        added.add_argument("--storage", metavar="DIR", help="folder of runs and feature stores (storage)")
        return added

    resume = of_run("resume", commands.resume, "Goes on with a run that was interrupted, or extends one that ended.")
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

    stop = of_run("stop", commands.stop, "Stops a running search as Ctrl-C does; resume lets it go on.")
    on_cluster(stop)
    logs = of_run("logs", commands.logs, "Shows what a search did so far, or why a trial failed.")
    logs.add_argument("--trial", type=int, metavar="N", help="of one trial, with the error that ended it")
    logs.add_argument("--follow", action="store_true", help="with --cluster: go on until the search ends")
    on_cluster(logs)
    board = of_run("tensorboard", commands.tensorboard, "Shows a run in TensorBoard, on this machine's loopback.")
    board.add_argument("--port", type=int, default=6006, help="of the page (6006)")
    on_cluster(board)
    listed = command("list", commands.list_runs, "Lists the runs of a storage, or the jobs of a cluster.")
    listed.add_argument(
        "--storage", default="storage", metavar="DIR", help="folder of runs and feature stores (storage)"
    )
    on_cluster(listed)
    status = of_run("status", commands.status, "Lists the runs, or shows one.", nargs="?")
    status.add_argument("--limit", type=int, default=20, metavar="K", help="trials to show (20)")
    on_cluster(status)
    export = of_run("export", commands.export, "Exports the detector of a run's trial as a bundle.")
    export.add_argument("--rank", type=int, default=1, metavar="K", help="1 = the best (1)")
    export.add_argument(
        "--trial", type=int, metavar="N", help="this trial, such as one on the front of EER against cost"
    )
    export.add_argument("--output", metavar="DIR", help="new folder of the bundle")
    on_cluster(export)
    export.add_argument("--no-eval", action="store_true", help="leave eval unopened")

    report = of_run(
        "report", commands.report, "Tables and figures of a run's trials; in the paper's layout for its spaces."
    )
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

    score = command(
        "score", standalone.score, "Scores recordings with a bundle: path, CM score (higher = bona fide), decision."
    )
    score.add_argument("bundle", metavar="BUNDLE", help="folder of the bundle")
    score.add_argument("audio", metavar="AUDIO", nargs="+", help="recordings: WAV, FLAC, OGG, any rate")
    score.add_argument("--output", metavar="F", help="also write the lines to this new file")
    score.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")

    evaluate = command("evaluate", standalone.evaluate, "EER, min t-DCF, AUC and EER per attack of a score file.")
    evaluate.add_argument(
        "scores", metavar="SCOREFILE", help="lines `utt attack key score`, or six columns with speaker and `-`"
    )
    asv = evaluate.add_mutually_exclusive_group()
    asv.add_argument("--asv-scores", metavar="F", help="ASV scores of the same partition, lines `attack key score`")
    asv.add_argument("--asv-rates", choices=("la19-dev", "la19-eval"), help="known ASV error rates of ASVspoof 2019 LA")
    evaluate.add_argument("--compare", metavar="SCOREFILE", help="scores of another system on the same utterances")
    evaluate.add_argument("--json", action="store_true", help="as JSON, rates as fractions")

    corpus = verbs.add_parser("corpus", help="Makes corpora.").add_subparsers(required=True, metavar="WHAT")
    demo = command("demo", standalone.corpus_demo, "Makes a small corpus of real and spoofed speech.", within=corpus)
    demo.add_argument("folder", metavar="DIR", help="new folder of the corpus")
    demo.add_argument("--speech", metavar="DIR", help="your own recordings instead of Debian's packages")
    demo.add_argument("--seed", type=int, default=0, help="determines the corpus (0)")

    what = "Makes further training utterances of a corpus: vocoded, distorted and coded copies."
    widen = command("widen", standalone.corpus_widen, what, within=corpus)
    widen.add_argument("corpus", metavar="CORPUS", help="folder or file of the corpus")
    widen.add_argument("folder", metavar="DIR", help="folder of the copies and of corpus.csv, which names all")
    widen.add_argument("copies", metavar="COPY", nargs="+", help="such as world_coded griffin_lim rawboost mulaw")
    widen.add_argument("--layout", default="asvspoof2019_la", help="layout of the corpus (asvspoof2019_la)")
    widen.add_argument("--seed", type=int, default=0, metavar="N", help="determines what is random (0)")
    widen.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")

    return parser


if __name__ == "__main__":
    sys.exit(main())
