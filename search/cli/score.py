"""The command score: CM scores of recordings, of any number and length."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from core.errors import InputError
from search.cli.scores import CostOfFalseAlarm, CostOfMiss, costs_of
from search.cli.shared_arguments import check_output, open_console

if TYPE_CHECKING:
    from core.bundle import Bundle, Heard, Listening

RuleOfSegments = Annotated[
    Literal["quantile", "mean"],
    typer.Option("--rule", help="How the scores of the segments of a long recording become one."),
]
FractionOfSegments = Annotated[
    float,
    typer.Option(
        "--fraction",
        metavar="F",
        help="With --rule quantile: the score that this fraction of the segments do not exceed.",
    ),
]
LongerThan = Annotated[
    float | None,
    typer.Option(
        "--longer-than",
        metavar="SECONDS",
        help="Score recordings longer than this in segments, and the others as the search scored utterances.",
        show_default="the longest utterance of train and dev",
    ),
]
LengthOfSegments = Annotated[
    float | None,
    typer.Option(
        "--window", metavar="SECONDS", help="Duration of a segment.", show_default="the window of the training"
    ),
]
StepOfSegments = Annotated[
    float, typer.Option("--step", metavar="F", help="Distance between segments, as a fraction of a segment.")
]


def score(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the exported bundle.")],
    audio: Annotated[
        list[str],
        typer.Argument(
            metavar="AUDIO",
            help="Recordings in WAV, FLAC, OGG and similar formats, of any sample rate; folders; quoted patterns such "
            "as 'clips/**/*.wav'; or @FILE, a list with one of these in a line (@-: the standard input).",
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Also write the output to this file, line by line; it must not exist.",
            show_default="only print",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the file of --output: what it has is not scored again.")
    ] = False,
    segments: Annotated[
        Path | None,
        typer.Option(
            "--segments",
            metavar="DIR",
            help="Write scores over time into this folder: for every recording TSV, JSON and a picture.",
            show_default="no scores over time",
        ),
    ] = None,
    no_figures: Annotated[bool, typer.Option("--no-figures", help="With --segments: draw no pictures.")] = False,
    rule: RuleOfSegments = "quantile",
    fraction: FractionOfSegments = 0.1,
    longer_than: LongerThan = None,
    window: LengthOfSegments = None,
    step: StepOfSegments = 0.5,
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
    """Score recordings of any length with an exported bundle.

    A line of output has the path, the CM score (higher means more bona fide) and the decision.
    """
    if resume and output is None:
        raise InputError("--resume needs --output, the file to continue")
    if output and output.exists() and not resume:
        hint = "--resume continues it; otherwise choose another --output"
        raise InputError(f"--output {output}: exists already and was not changed; {hint}")
    check_output(None if resume else output)
    check_output(None if resume else segments, empty_folder=True)

    from search.cli.recordings import recordings

    paths = recordings(audio)

    from core import bundle as bundles
    from search.report.score_lines import score_lines
    from search.report.segments import WORDS, describe_segments, file_names, write_segments

    costs = None if p_spoof is None else costs_of(p_spoof, cost_miss, cost_false_alarm)
    listening = listening_of(
        rule, fraction, longer_than, window, step, segments=segments is not None, envelope=not no_figures
    )
    loaded = bundles.load(bundle, weights)
    calibration, threshold = loaded.calibration, loaded.threshold
    if (llr or costs) and calibration is None:
        raise InputError(f"{bundle}: has no calibration to log-likelihood ratios; export the trial again")
    if costs and calibration:
        threshold = calibration.threshold(costs)
    scale = calibration if llr else None
    names = file_names(paths) if segments else {}
    made_of: dict[str, Any] = listening.rule.plain()
    n_failed = 0
    with ExitStack() as stack:
        lines = None
        if output:
            settings = _settings(bundle, listening, llr=llr, threshold=threshold)
            lines = stack.enter_context(score_lines(output, settings, resume=resume))
            remaining = [path for path in paths if str(path) not in lines.done]
            if len(remaining) < len(paths):
                n_done = len(paths) - len(remaining)
                print(f"spooftune: {n_done} of {len(paths)} recordings have a score in {output}", file=sys.stderr)
            paths = remaining
        if segments:
            segments.mkdir(parents=True, exist_ok=True)

        from search.report.progress import scoring_progress

        progress = stack.enter_context(
            scoring_progress(open_console(stderr=True), "scoring", len(paths), unit="recordings")
        )
        notes = Notes(loaded, listening)
        for heard in bundles.score_recordings(
            loaded, paths, listening=listening, device=device, weights_at=weights, warn=warn, progress=progress.heard
        ):
            progress.advance()
            if isinstance(heard.result, InputError):
                n_failed += 1
                print(f"spooftune: {heard.result}", file=sys.stderr)
                continue
            notes.add(heard)
            if segments:
                described = describe_segments(heard, threshold=threshold, calibration=scale, rule=made_of)
                try:
                    write_segments(segments, names[heard.path], heard, described, figure=not no_figures)
                except OSError as error:
                    raise InputError(f"--segments {segments}: cannot be written: {error.strerror or error}") from error
            shown = float(scale.llr(heard.result)) if scale else heard.result
            line = f"{heard.path}\t{shown:.6f}\t{WORDS[heard.result >= threshold]}"
            if lines:
                lines.write(line)
            print(line, flush=True)
    notes.conclude()
    if n_failed:
        print(f"spooftune: {n_failed} recordings could not be scored", file=sys.stderr)
    return 1 if n_failed else 0


def listening_of(
    rule: str,
    fraction: float,
    longer_than: float | None,
    window: float | None = None,
    step: float = 0.5,
    *,
    segments: bool = False,
    envelope: bool = False,
) -> "Listening":
    """How recordings are heard, from the command line.

    Raises:
        InputError: A value is out of range.
    """
    from core.bundle import Listening
    from core.table import Block

    block = Block(rule, {"fraction": fraction} if rule == "quantile" else {})
    try:
        return Listening(block, longer_than, window, step, segments=segments, envelope=segments and envelope)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"--longer-than, --window, --step: {error}") from error


def warn(message: str) -> None:
    """Prints a warning."""
    print(f"spooftune: warning: {message}", file=sys.stderr)


class Notes:
    """Warns of recordings unlike those of the training: of the first one of a kind at once, of the others by number."""

    def __init__(self, bundle: "Bundle", listening: "Listening") -> None:
        from core.bundle.unlike import texts_of

        self._texts = texts_of(bundle, listening)
        self._texts["gaps"] += "; --longer-than 0 hears all of it"
        self._counts = dict.fromkeys(self._texts, 0)

    def add(self, heard: "Heard") -> None:
        """Takes a recording that has a score."""
        from core.bundle.unlike import unlike_training

        for kind in unlike_training(heard):
            self._counts[kind] += 1
            if self._counts[kind] == 1:
                warn(f"{heard.path} ({heard.duration_s:.1f} s): {self._texts[kind]}")

    def conclude(self) -> None:
        """Says how many recordings there were of every kind that had several."""
        for kind, count in self._counts.items():
            if count > 1:
                warn(f"{count} recordings: {self._texts[kind]}")


def _settings(bundle: Path, listening: "Listening", *, llr: bool, threshold: float) -> dict[str, Any]:
    """What determines the lines of an output file, apart from the recordings."""
    from core.bundle import CONFIG, WEIGHTS
    from core.stores.contents import file_digest

    return {
        "bundle": {name: file_digest(bundle / name) for name in (CONFIG, WEIGHTS)},
        "rule": listening.rule.plain(),
        "longer_than_s": listening.longer_than_s,
        "window_s": listening.window_s,
        "step": listening.step,
        "llr": llr,
        "threshold": threshold,
    }
