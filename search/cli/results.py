"""Commands about the results of a search: export, report."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from core.errors import InputError
from search.cli.shared_arguments import (
    ClusterPlace,
    Places,
    RunName,
    RunStorage,
    check_output,
    open_console,
    open_run,
    pushing_run,
)

if TYPE_CHECKING:
    from core.evaluation.tandem import AsvErrorRates
    from search.prepare.plan import Plan
    from search.runs.output import Output
    from search.runs.run import Run


def export(
    run: RunName,
    *,
    storage: RunStorage = None,
    rank: Annotated[int, typer.Option("--rank", metavar="K", help="Rank of the trial; 1 is the best.")] = 1,
    trial: Annotated[
        int | None,
        typer.Option(
            "--trial",
            metavar="N",
            help="Number of the trial, for example of one on the Pareto front of EER and cost.",
            show_default="the trial of --rank",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR",
            help="Folder of the bundle; it must not exist.",
            show_default="export-rank1 or the like, in the run's folder; with --cluster, RUN-rank1 here",
        ),
    ] = None,
    changes: Places,
    changed_corpus: Annotated[
        bool,
        typer.Option("--changed-corpus", help="Export although the corpus changed, and measure on the corpus of now."),
    ] = False,
    with_weights: Annotated[
        bool,
        typer.Option("--with-weights", help="Copy the pretrained weights of the front end into the bundle."),
    ] = False,
    score_eval: Annotated[
        bool, typer.Option("--eval", help="Score the bundle on eval too. The run records every look at eval.")
    ] = False,
    cluster: ClusterPlace = None,
) -> int:
    """Export the detector of a trial as a bundle, which needs neither the run nor its features."""
    if cluster:
        from search.cli import remote

        if changes or changed_corpus:
            raise InputError("--set and --changed-corpus do not work with --cluster; run the command on a node")
        return remote.export(
            cluster,
            run,
            storage=storage,
            rank=rank,
            trial=trial,
            output=output,
            with_weights=with_weights,
            score_eval=score_eval,
        )

    from search.cli.local import export_here

    _, code = export_here(
        run,
        storage,
        changes=changes,
        output=output,
        rank=rank,
        trial=trial,
        with_weights=with_weights,
        score_eval=score_eval,
        changed_corpus=changed_corpus,
    )
    return code


def report(
    run: RunName,
    *,
    storage: RunStorage = None,
    changes: Places,
    score_eval: Annotated[
        bool, typer.Option("--eval", help="Score the trials on eval too. The run records every look at eval.")
    ] = False,
    score_train: Annotated[bool, typer.Option("--train", help="Score the trials on train too.")] = False,
    top: Annotated[
        int | None,
        typer.Option("--top", metavar="K", help="Report only the K best trials on dev.", show_default="all trials"),
    ] = None,
    output_format: Annotated[
        Literal["text", "markdown", "csv", "json"],
        typer.Option("--format", help="Format of the tables on the terminal."),
    ] = "text",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR",
            help="Folder of the report; it must not exist.",
            show_default="report-001, report-002, ... in the run's folder",
        ),
    ] = None,
    no_figures: Annotated[bool, typer.Option("--no-figures", help="Write tables, but no figures.")] = False,
    no_cost: Annotated[
        bool, typer.Option("--no-cost", help="Do not measure parameters, GMACs and real-time factors.")
    ] = False,
    tsne: Annotated[
        bool,
        typer.Option("--tsne", help="Draw the embeddings of the best trial with t-SNE (the paper's figures 2 and 3)."),
    ] = False,
    asv_rates: Annotated[
        Literal["la19"] | None,
        typer.Option(
            "--asv-rates",
            help="Known error rates of an ASV system, for min t-DCF: those of ASVspoof 2019 LA.",
            show_default="no min t-DCF",
        ),
    ] = None,
    asv_scores: Annotated[
        list[str],
        typer.Option(
            "--asv-scores",
            metavar="PARTITION=FILE",
            help="ASV scores of a partition, for min t-DCF, for example eval=asv_eval.txt. May be repeated.",
            default_factory=list,
            show_default="none",
        ),
    ],
) -> int:
    """Write tables and figures of a run's trials, and print the tables.

    For a space of the paper, the report has the paper's table with the paper's figures beside ours.
    """
    check_output(output)

    from search.report.report import ReportOptions, write_report

    opened, plan = open_run(run, storage, changes)
    wanted = {"dev": True, "eval": score_eval, "train": score_train}
    partitions = tuple(partition for partition, is_wanted in wanted.items() if is_wanted)
    chosen = ReportOptions(
        partitions=partitions,
        top=top,
        asv=_asv(plan, partitions, asv_rates, asv_scores),
        figures=not no_figures,
        cost=not no_cost,
        tsne=tsne,
    )
    candidates = (opened.path / f"report-{k:03d}" for k in range(1, 100_000))
    folder = output or next(path for path in candidates if not path.exists())
    # Progress goes to stderr: the report itself may be piped.
    with pushing_run(opened, plan):
        forms = write_report(opened, plan, folder, chosen, open_console(stderr=True))
    print(forms[output_format], end="")
    print(f"spooftune: the report's tables and figures are in {folder}", file=sys.stderr)
    return 0


def trial_label(rank: int, number: int | None) -> str:
    """The trial in the name of a folder: `rank1`, or `trial7` if the user gave the number of the trial."""
    return f"rank{rank}" if number is None else f"trial{number}"


def check_eval(plan: "Plan", command: str | None) -> None:
    """Checks before any work that the protocol of eval can be read, if a command asks for eval. No audio is opened.

    Raises:
        InputError: The corpus has no partition eval, or its protocol has mistakes.
    """
    if command is not None:
        try:
            plan.corpus.partition("eval")
        except InputError as error:
            raise InputError([*error.problems, "--eval needs the partition eval; leave --eval out"]) from error


def export_trial(
    run: "Run",
    plan: "Plan",
    folder: Path,
    *,
    rank: int,
    number: int | None = None,
    eval_command: str | None = None,
    changed_corpus: bool = False,
    with_weights: bool = False,
    output: "Output | None" = None,
) -> int:
    """Exports the detector of a trial and shows its metrics.

    Args:
        run: The run of the trial.
        plan: Plan of the run.
        folder: New folder of the bundle.
        rank: Rank of the trial, from 1 = best.
        number: Number of the trial, which then counts instead of the rank.
        eval_command: Command that asks for eval, for the record of looks; None: eval is not opened.
        changed_corpus: Whether the corpus may differ from that of the launch.
        with_weights: Whether the pretrained weights of the front end are copied into the bundle.
        output: Where text and the bundle's facts go; None: text on stdout.

    Returns:
        The exit code: 1 if eval was wanted and could not be read.

    Raises:
        InputError: No trial has that rank or number, or the folder is not empty.
    """
    from search.cli.metrics_text import show_metrics
    from search.report.export import export as write_bundle
    from search.runs.facts import fact
    from search.runs.output import Output

    output = output or Output(open_console())
    console = output.console
    record, measured = write_bundle(
        run,
        plan,
        folder,
        rank=rank,
        number=number,
        eval_command=eval_command,
        changed_corpus=changed_corpus,
        with_weights=with_weights,
        console=console,
    )
    choice = f"rank {rank}" if number is None else "chosen by --trial"
    output.say(f"exported trial {record.number} ({choice}) to {folder}")
    show_metrics(measured, console)
    if eval_command is None and "eval" in plan.corpus.partitions():
        command = f"spooftune export {run.name} --eval{plan.storage.option}"
        output.say(f"eval: not scored; {command} scores it and records the look")
    if output.emit:
        output.emit(fact("bundle", run=run.name, trial=record.number, path=str(folder), measured=measured))
    return int(eval_command is not None and "eval" not in measured)


def _asv(
    plan: "Plan", partitions: tuple[str, ...], rates: str | None, score_files: list[str]
) -> "dict[str, AsvErrorRates]":
    """Error rates of an ASV system by partition, of the options or else of the corpus; unknown ones are left out."""
    from search.prepare.asv import asv_of_corpus, asv_of_file, la19_asv

    known = asv_of_corpus(plan.space, plan.corpus, partitions)
    if rates:
        of_la19 = {partition: la19_asv(plan.corpus.partition(partition)) for partition in partitions}
        known |= {partition: of_partition for partition, of_partition in of_la19.items() if of_partition}
    for argument in score_files:
        partition, equals, path = argument.partition("=")
        if not equals or partition not in ("train", "dev", "eval"):
            raise InputError(f"--asv-scores {argument}: expected PARTITION=FILE, such as eval=asv_eval.txt")
        if partition not in partitions:
            raise InputError(f"--asv-scores {argument}: the report does not score {partition}; add --{partition}")
        utterances = plan.corpus.partition(partition)
        known[partition] = asv_of_file(Path(path), utterances, name=f"--asv-scores {partition}")
    return known
