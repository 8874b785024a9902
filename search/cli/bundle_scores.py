"""The command that scores a bundle on a corpus: evaluate-bundle."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from search.cli.scores import CostOfFalseAlarm, CostOfMiss, PriorOfSpoof, costs_of
from search.cli.shared_arguments import open_console

if TYPE_CHECKING:
    from core.corpora.corpus import Corpus


def evaluate_bundle(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the exported bundle.")],
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder or file of the corpus.")],
    *,
    layout: Annotated[str, typer.Option("--layout", metavar="NAME", help="Layout of the corpus.")] = "asvspoof2019_la",
    options: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="OPTION=VALUE",
            help="Option of the layout, for example track=DF. May be repeated.",
            default_factory=list,
            show_default="the defaults of the layout",
        ),
    ],
    partition: Annotated[
        Literal["train", "dev", "eval"], typer.Option("--partition", help="Partition to score.")
    ] = "eval",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR",
            help="Folder of the results; it must not exist.",
            show_default="evaluations/CORPUS-PARTITION in BUNDLE",
        ),
    ] = None,
    on_bad_audio: Annotated[
        Literal["stop", "skip"],
        typer.Option("--on-bad-audio", help="Stop at a recording that cannot be scored, or leave it out."),
    ] = "stop",
    asv_scores: Annotated[
        Path | None,
        typer.Option(
            "--asv-scores",
            metavar="FILE",
            help="ASV scores of the same partition, for min t-DCF and t-EER.",
            show_default="no min t-DCF",
        ),
    ] = None,
    p_spoof: PriorOfSpoof = 0.05,
    cost_miss: CostOfMiss = 1.0,
    cost_false_alarm: CostOfFalseAlarm = 10.0,
    no_figures: Annotated[bool, typer.Option("--no-figures", help="Draw no figures.")] = False,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="Compute on cpu or cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with rates as fractions.")] = False,
) -> int:
    """Score a bundle on a corpus of any layout: metrics, score file and figures."""
    from core import bundle as bundles
    from core.evaluation.score_file import read_asv_scores
    from search.cli.metrics_text import describe_evaluation
    from search.report.bundle_evaluation import check_evaluation, evaluate_bundle, evaluation_folder

    costs = costs_of(p_spoof, cost_miss, cost_false_alarm)
    asv = read_asv_scores(asv_scores) if asv_scores else None
    opened = _opened(corpus, layout, options)
    folder = output or evaluation_folder(bundle, opened, partition)
    utterances = check_evaluation(opened, partition, folder)
    loaded = bundles.load(bundle)
    result = evaluate_bundle(
        loaded,
        utterances,
        folder,
        title=f"{opened.name} {partition}",
        on_bad_audio=on_bad_audio,
        device=device,
        asv=asv,
        costs=costs,
        figures=not no_figures,
        console=open_console(stderr=True),
    )
    for warning in [*opened.warnings, *result["warnings"]]:
        print(f"spooftune: warning: {warning}", file=sys.stderr)
    print(json.dumps(result, indent=2) if as_json else describe_evaluation(result, hints=False))
    print(f"spooftune: score file, metrics and figures are in {folder}", file=sys.stderr)
    return 0


def _opened(path: Path, layout: str, options: list[str]) -> "Corpus":
    from core import table
    from core.corpora.layouts import CORPORA
    from search.space.yaml_file import changed

    corpus: Corpus = table.build("--layout", CORPORA, table.Block(layout, changed({}, options)), path)
    return corpus
