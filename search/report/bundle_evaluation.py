"""Scores a bundle on a partition of any corpus: metrics, score file and figures in a new folder."""

import dataclasses
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from core import bundle as bundles
from core.bundle import Bundle, Listening
from core.bundle.listening import BY_DEFAULT
from core.corpora.corpus import Corpus, Utterance
from core.errors import InputError
from core.evaluation import score_file
from core.evaluation.detection_cost import ASVSPOOF5, DetectionCosts
from core.evaluation.measure import measure, swapped_sign
from core.evaluation.score_file import AsvScores, CmScores
from core.evaluation.tandem import AsvErrorRates
from search.report.progress import scoring_progress
from search.report.scoring import Result, with_speakers
from search.runs.journal import TrialRecord

SCORES, METRICS = "scores.txt", "metrics.json"


def evaluation_folder(bundle: Path, corpus: Corpus, partition: str) -> Path:
    """Folder of an evaluation if the user names none: below the bundle, named after the corpus and the partition."""
    name = re.sub(r"[^\w.-]+", "-", f"{corpus.name}-{partition}").strip("-")
    return bundle / "evaluations" / name


def check_evaluation(corpus: Corpus, partition: str, folder: Path) -> Sequence[Utterance]:
    """The utterances of the partition, after all checks that need no detector.

    Raises:
        InputError: The folder is not empty; the corpus cannot be read, has no such partition, or only one class there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already and was not changed; choose another --output")
    utterances = corpus.partition(partition)
    bona_fide, spoofed = corpus.counts(partition)
    if not bona_fide or not spoofed:
        only = "bona fide" if bona_fide else "spoofed"
        raise InputError(f"{corpus.root}: {partition} has only {only} utterances; an error rate needs both classes")
    return utterances


def evaluate_bundle(
    bundle: Bundle,
    utterances: Sequence[Utterance],
    folder: Path,
    *,
    title: str,
    listening: Listening = BY_DEFAULT,
    on_bad_audio: Literal["stop", "skip"] = "stop",
    device: str = "cpu",
    asv: AsvErrorRates | AsvScores | None = None,
    costs: DetectionCosts = ASVSPOOF5,
    figures: bool = True,
    console: Console,
) -> dict[str, Any]:
    """Scores utterances with a bundle, and writes score file, metrics and figures into a new folder.

    Args:
        bundle: The bundle.
        utterances: Utterances of both classes.
        folder: New folder of the results. It appears when all of them are complete.
        title: Corpus and partition, for messages and figures.
        listening: Which recordings are heard in segments, and how the segments' scores become one.
        on_bad_audio: `stop` raises an error at the first recording that cannot be scored; `skip` leaves such recordings
            out and lists them in the metrics.
        device: Device that computes.
        asv: Scores or error rates of the ASV on the same utterances, for min t-DCF; None = unknown.
        costs: Prior and costs of the detection costs.
        figures: Whether figures are drawn.
        console: Where progress is shown.

    Returns:
        The metrics as `search.report.evaluate.evaluate` returns them, with `skipped`, the recordings left out, and
        `n_in_segments`, the number of those that are longer than utterances of the search.

    Raises:
        InputError: A recording cannot be scored, weights of the front end are missing or differ, or the folder cannot
            be written.
    """
    values, scored, skipped, n_in_segments = _scores(
        bundle, utterances, title, on_bad_audio, device, console, listening
    )
    labels = np.array([utterance.label for utterance in scored], dtype=np.int8)
    if len(set(labels.tolist())) < 2:
        raise InputError(f"{title}: {len(skipped)} recordings could not be scored, so that one class is missing")
    scores = CmScores(
        np.array([utterance.utterance_id for utterance in scored]),
        np.array(values),
        np.array([utterance.attack_id or "-" for utterance in scored]),
        labels,
    )
    scores = with_speakers(scores, scored)
    result: dict[str, Any] = {
        "scores": str(folder / SCORES),
        **measure(scores, asv, costs=costs, calibration=bundle.calibration),
        "skipped": skipped,
        "n_in_segments": n_in_segments,
    }
    warning = swapped_sign(result)
    result["warnings"] = [f"{title}: {warning}"] if warning else []
    if set(result["eer_per_attack"]) == {"-"}:
        del result["eer_per_attack"], result["by_attack"]  # the corpus names no attacks
    if bundle.calibration:
        result["calibration"] = {**dataclasses.asdict(bundle.calibration), "fitted_on": "dev, in the bundle"}
    _write(folder, scores, result, bundle.threshold, title, figures=figures)
    return result


def _scores(
    bundle: Bundle,
    utterances: Sequence[Utterance],
    title: str,
    on_bad_audio: str,
    device: str,
    console: Console,
    listening: Listening,
) -> tuple[list[float], list[Utterance], list[str], int]:
    """Scores, their utterances, the problems of recordings left out, and the number of those heard in segments."""
    values, scored, skipped, n_in_segments = [], [], [], 0
    paths = [utterance.path for utterance in utterances]
    with scoring_progress(console, title, len(utterances), unit="utterances") as progress:
        results = bundles.score_recordings(bundle, paths, listening=listening, device=device, progress=progress.heard)
        for utterance, heard in zip(utterances, results, strict=True):
            value = heard.result
            n_in_segments += heard.in_segments
            if not isinstance(value, InputError) and not np.isfinite(value):
                value = InputError(f"{utterance.path}: the score is not finite: {value}")
            if not isinstance(value, InputError):
                values.append(value)
                scored.append(utterance)
            elif on_bad_audio == "stop":
                hint = "--on-bad-audio skip leaves such recordings out"
                raise InputError([*value.problems, f"{title}: nothing was written; {hint}"])
            else:
                skipped.append(str(value))
            progress.advance()
    if skipped:
        console.print(f"{title}: {len(skipped)} recordings left out; {METRICS} lists them", highlight=False)
    if n_in_segments:
        text = f"{title}: {n_in_segments} recordings are longer than utterances of the search: scored in segments"
        console.print(text, highlight=False, soft_wrap=True)
    return values, scored, skipped, n_in_segments


def _write(
    folder: Path, scores: CmScores, result: dict[str, Any], threshold: float, title: str, *, figures: bool
) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            staged = Path(temporary) / "evaluation"
            staged.mkdir()
            score_file.write_cm_scores(staged / SCORES, scores, columns=6)
            (staged / METRICS).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            if figures:
                _draw(staged, scores, result, threshold, title)
            if folder.exists():
                folder.rmdir()
            staged.replace(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _draw(folder: Path, scores: CmScores, result: dict[str, Any], threshold: float, title: str) -> None:
    from search.report.score_figures import plot_det_curves, plot_eer_per_attack, plot_score_histogram

    results = [Result(TrialRecord(0, {}), 0, {title: scores}, {title: result})]
    plots = {
        "det": plot_det_curves(results, title, ["bundle"]),
        "scores": plot_score_histogram(scores, threshold, title),
        **({"attacks": plot_eer_per_attack(results, title, ["bundle"])} if "eer_per_attack" in result else {}),
    }
    for name, figure in plots.items():
        figure.savefig(folder / f"{name}.png", dpi=120)
