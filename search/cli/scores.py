"""Commands about recordings and score files: score, evaluate. They need no run."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from core.errors import InputError
from search.cli.shared_arguments import check_output

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


def score(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the exported bundle.")],
    audio: Annotated[
        list[Path], typer.Argument(metavar="AUDIO", help="Recordings: WAV, FLAC or OGG, of any sample rate.")
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Also write the output to this file; it must not exist.",
            show_default="only print",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE",
            help="File or folder with the pretrained weights of the front end; their SHA-256 is checked.",
            show_default="where they were at the export",
        ),
    ] = None,
    llr: Annotated[
        bool, typer.Option("--llr", help="Print log-likelihood ratios, calibrated on dev, instead of CM scores.")
    ] = False,
    p_spoof: Annotated[
        float | None,
        typer.Option(
            "--p-spoof",
            metavar="P",
            help="Decide for this prior probability of spoofed speech.",
            show_default="the threshold of the equal error rate on dev",
        ),
    ] = None,
    cost_miss: CostOfMiss = 1.0,
    cost_false_alarm: CostOfFalseAlarm = 10.0,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="Compute on cpu or cuda.")] = "cpu",
) -> int:
    """Score recordings with an exported bundle.

    A line of output has the path, the CM score (higher means more bona fide) and the decision.
    """
    check_output(output)

    from core import bundle as bundles

    costs = None if p_spoof is None else costs_of(p_spoof, cost_miss, cost_false_alarm)
    loaded = bundles.load(bundle, weights)
    calibration, threshold = loaded.calibration, loaded.threshold
    if (llr or costs) and calibration is None:
        raise InputError(f"{bundle}: has no calibration to log-likelihood ratios; export the trial again")
    if costs and calibration:
        threshold = calibration.threshold(costs)
    n_failed = 0
    lines = []
    for path, result in bundles.score(loaded, audio, device=device, weights_at=weights, warn=_warn):
        if isinstance(result, InputError):
            n_failed += 1
            print(f"spooftune: {result}", file=sys.stderr)
            continue
        decision = "bonafide" if result >= threshold else "spoof"
        shown = float(calibration.llr(result)) if llr and calibration else result
        line = f"{path}\t{shown:.6f}\t{decision}"
        lines.append(line)
        print(line, flush=True)
    if output:
        _write_text(output, "".join(line + "\n" for line in lines))
    return 1 if n_failed else 0


def _warn(message: str) -> None:
    print(f"spooftune: warning: {message}", file=sys.stderr)


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


def _write_text(path: Path, text: str) -> None:
    if path.exists():
        raise InputError(f"--output {path}: exists already and was not changed; choose another --output")
    try:
        # Names of files that are not UTF-8 have surrogates for their bytes; the output has the bytes.
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"--output {path}: cannot be written: {error}") from error
