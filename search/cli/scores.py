"""The command evaluate: metrics of score files. It needs no run."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from core.errors import InputError

if TYPE_CHECKING:
    from core.evaluation.detection_cost import DetectionCosts

PriorOfSpoof = Annotated[
    float, typer.Option("--p-spoof", metavar="P", help="Prior probability of spoofed speech, for the detection costs.")
]
CostOfMiss = Annotated[
    float, typer.Option("--cost-miss", metavar="C", help="Cost of rejecting bona fide speech, with --p-spoof.")
]
CostOfFalseAlarm = Annotated[
    float, typer.Option("--cost-false-alarm", metavar="C", help="Cost of accepting spoofed speech, with --p-spoof.")
]


def evaluate(
    scores: Annotated[
        Path,
        typer.Argument(
            metavar="SCOREFILE",
            help="CM scores: `utterance attack key score`, or `speaker utterance - attack key score`; with --keys "
            "also `utterance score`, `speaker utterance score`, the table of ASVspoof 5, and the output of score.",
        ),
    ],
    *,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            metavar="PROTOCOL",
            help="Protocol of the corpus, trial_metadata.txt or another file with keys.",
            show_default="the keys of SCOREFILE",
        ),
    ] = None,
    phase: Annotated[
        Literal["eval", "progress", "hidden", "all"],
        typer.Option("--phase", help="Evaluate the utterances that --keys lists for this phase of ASVspoof 2021."),
    ] = "eval",
    partial: Annotated[
        bool, typer.Option("--partial", help="Accept that --keys lists utterances without a score.")
    ] = False,
    asv_scores: Annotated[
        Path | None,
        typer.Option(
            "--asv-scores",
            metavar="FILE",
            help="ASV scores of the same partition, for min t-DCF and t-EER: lines `attack key score`.",
            show_default="no min t-DCF",
        ),
    ] = None,
    asv_rates: Annotated[
        Literal["la19-dev", "la19-eval", "asvspoof5-eval"] | None,
        typer.Option(
            "--asv-rates",
            help="Instead of --asv-scores: known error rates of the organisers' ASV system.",
            show_default="no min t-DCF",
        ),
    ] = None,
    joint_scores: Annotated[
        Path | None,
        typer.Option(
            "--joint-scores",
            metavar="FILE",
            help="Scores of ASV and countermeasure as one system, for a-DCF: lines `speaker utterance score key`.",
            show_default="no a-DCF",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="SCOREFILE",
            help="CM scores of another system on the same utterances, to compare with.",
            show_default="no comparison",
        ),
    ] = None,
    calibrate_on: Annotated[
        Path | None,
        typer.Option(
            "--calibrate-on",
            metavar="SCOREFILE",
            help="CM scores of the same system on dev: act DCF and Cllr are of scores calibrated there.",
            show_default="read the scores as log-likelihood ratios",
        ),
    ] = None,
    p_spoof: PriorOfSpoof = 0.05,
    cost_miss: CostOfMiss = 1.0,
    cost_false_alarm: CostOfFalseAlarm = 10.0,
    negate: Annotated[bool, typer.Option("--negate", help="Turn the sign of the scores.")] = False,
    negate_other: Annotated[
        bool, typer.Option("--negate-other", help="Turn the sign of the scores of --compare.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with rates as fractions.")] = False,
) -> int:
    """Compute EER, AUC, DCF, Cllr and min t-DCF from a score file, also by attack and by condition."""
    if asv_scores and asv_rates:
        raise InputError("--asv-scores and --asv-rates exclude each other; give only one of them")
    from search.cli.metrics_text import describe_evaluation
    from search.report.evaluate import Evaluation
    from search.report.evaluate import evaluate as measure

    options = Evaluation(
        keys=keys,
        phase=phase,
        partial=partial,
        other=compare,
        negate=negate,
        negate_other=negate_other,
        asv_scores=asv_scores,
        asv_rates=asv_rates,
        joint_scores=joint_scores,
        calibrate_on=calibrate_on,
        costs=costs_of(p_spoof, cost_miss, cost_false_alarm),
    )
    result = measure(scores, options)
    for warning in result["warnings"]:
        print(f"spooftune: warning: {warning}", file=sys.stderr)
    print(json.dumps(result, indent=2) if as_json else describe_evaluation(result))
    return 0


def costs_of(p_spoof: float, miss: float, false_alarm: float) -> "DetectionCosts":
    """Prior and costs of detection costs, from the command line.

    Raises:
        InputError: A value is out of range.
    """
    from core.evaluation.detection_cost import DetectionCosts

    try:
        return DetectionCosts(p_spoof, miss, false_alarm)
    except ValueError as error:
        raise InputError(f"--p-spoof, --cost-miss, --cost-false-alarm: {error}") from error
