"""The command that scores a bundle on a corpus: evaluate-bundle."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from core.errors import InputError
from search.cli.score import FractionOfSegments, LongerThan, RuleOfSegments, listening_of
from search.cli.scores import CostOfFalseAlarm, CostOfMiss, PriorOfSpoof, costs_of
from search.cli.shared_arguments import open_console

if TYPE_CHECKING:
    from core.corpora.corpus import Corpus


def evaluate_bundle(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the exported bundle.")],
    corpus: Annotated[
        str,
        typer.Argument(metavar="CORPUS", help="Folder or file of the corpus; with --space, its name in that file."),
    ],
    *,
    layout: Annotated[str, typer.Option("--layout", metavar="NAME", help="Layout of the corpus.")] = "asvspoof2019_la",
    space: Annotated[
        Path | None,
        typer.Option(
            "--space",
            metavar="FILE",
            help="YAML file of a space whose section eval names the corpus, instead of --layout.",
            show_default="no space",
        ),
    ] = None,
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
    rule: RuleOfSegments = "quantile",
    fraction: FractionOfSegments = 0.1,
    longer_than: LongerThan = None,
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
    from search.runs.eval_looks import LOOKS, record_look, record_result
    from search.space.yaml_file import changed

    costs = costs_of(p_spoof, cost_miss, cost_false_alarm)
    listening = listening_of(rule, fraction, longer_than)
    if space:
        opened, files = _of_space(space, corpus, options)
        asv_scores = asv_scores or (Path(files[partition]) if partition in files else None)
    else:
        opened = _opened(Path(corpus), layout, changed({}, options))
    asv = read_asv_scores(asv_scores) if asv_scores else None
    folder = output or evaluation_folder(bundle, opened, partition)
    utterances = check_evaluation(opened, partition, folder)
    loaded = bundles.load(bundle)
    # Whoever measures on eval and then changes something has chosen by eval: the bundle's folder counts it.
    look = None
    if partition == "eval":
        command = "spooftune evaluate-bundle"
        look = record_look(bundle, command=command, detectors=[str(bundle)], corpus=opened.name, partition=partition)
        print(f"spooftune: look {look} at eval with this bundle, recorded in {bundle / LOOKS}", file=sys.stderr)
    result = evaluate_bundle(
        loaded,
        utterances,
        folder,
        title=f"{opened.name} {partition}",
        listening=listening,
        on_bad_audio=on_bad_audio,
        device=device,
        asv=asv,
        costs=costs,
        figures=not no_figures,
        console=open_console(stderr=True),
    )
    if look is not None:
        record_result(bundle, look, {str(bundle): result["eer"]})
    for warning in [*opened.warnings, *result["warnings"]]:
        print(f"spooftune: warning: {warning}", file=sys.stderr)
    print(json.dumps(result, indent=2) if as_json else describe_evaluation(result, hints=False))
    print(f"spooftune: score file, metrics and figures are in {folder}", file=sys.stderr)
    return 0


def _of_space(space: Path, name: str, changes: list[str]) -> "tuple[Corpus, Mapping[str, str]]":
    """The corpus that the section eval of a space calls by that name, and its files of ASV scores by partition.

    `changes` are those of the options of its layout.
    """
    from core.table import did_you_mean
    from search.space.reader import read_space
    from search.space.yaml_file import changed

    corpora = {entry.name: entry.corpus for entry in read_space(space).eval_corpora}
    if name not in corpora:
        known = ", ".join(corpora) or "none"
        raise InputError(
            f"{space}: section eval has no corpus {name!r}; there are {known}{did_you_mean(name, corpora)}"
        )
    chosen = corpora[name]
    options = changed(dict(chosen.layout.options), changes)
    return _opened(Path(chosen.path), chosen.layout.name, options), chosen.asv_scores


def _opened(path: Path, layout: str, options: dict[str, Any]) -> "Corpus":
    from core import table
    from core.corpora.layouts import CORPORA

    corpus: Corpus = table.build("--layout", CORPORA, table.Block(layout, options), path)
    return corpus
