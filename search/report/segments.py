"""Scores over time: for every recording a table, the same as JSON, and a picture."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.atomic import replacing
from core.bundle.hearing import Heard
from core.evaluation.calibration import Calibration
from core.evaluation.timeline import score_over_time, stretches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORDS = {True: "bonafide", False: "spoof"}
"""Words for a decision, as in the protocols of ASVspoof."""

COLUMNS = 2000
"""Maximum number of columns of a drawn waveform."""


def file_names(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for the files of every recording: its own, with a number if several recordings have the same name."""
    counts: Counter[str] = Counter()
    names = {}
    taken = {path.name for path in paths}
    for path in paths:
        counts[path.name] += 1
        name, number = path.name, counts[path.name]
        while number > 1 and (name := f"{path.name}-{number}") in taken:
            number += 1
        taken.add(name)
        names[path] = name
    return names


def describe_segments(
    heard: Heard, *, threshold: float, calibration: Calibration | None, rule: dict[str, Any]
) -> dict[str, Any]:
    """The segments of a recording as plain data: scores, decisions, and stretches of one decision.

    Args:
        heard: The recording; it has a score.
        threshold: CM score from which on speech counts as bona fide.
        calibration: Map to log-likelihood ratios, which are then told instead of CM scores; None: CM scores.
        rule: Rule that makes one score of those of the segments, for the reader.
    """

    def shown(score: float) -> float:
        return float(calibration.llr(score)) if calibration else float(score)

    edges, scores = score_over_time(heard.begins_s, heard.ends_s, heard.segment_scores)
    assert isinstance(heard.result, float)
    return {
        "recording": str(heard.path),
        "duration_s": heard.duration_s,
        "score": shown(heard.result),
        "decision": WORDS[heard.result >= threshold],
        "made_of": rule if heard.in_segments else "the recording, as the search scored utterances",
        "scale": "log-likelihood ratio" if calibration else "CM score",
        "threshold": shown(threshold),
        "segments": [
            {"begin_s": begin, "end_s": end, "score": shown(score), "decision": WORDS[score >= threshold]}
            for begin, end, score in zip(
                heard.begins_s.tolist(), heard.ends_s.tolist(), heard.segment_scores.tolist(), strict=True
            )
        ],
        "stretches": [
            {"begin_s": stretch.begin_s, "end_s": stretch.end_s, "decision": WORDS[stretch.bona_fide]}
            for stretch in stretches(edges, scores, threshold)
        ],
    }


def write_segments(folder: Path, name: str, heard: Heard, described: dict[str, Any], *, figure: bool) -> None:
    """Writes `NAME.tsv`, `NAME.json` and `NAME.png` of a recording.

    Args:
        folder: Existing folder.
        name: Name of the files without their last suffix.
        heard: The recording, with its envelope if a picture is wanted.
        described: What `describe_segments` returns of it.
        figure: Whether the picture is drawn.

    Raises:
        OSError: The folder cannot be written.
    """
    lines = ["begin_s\tend_s\tscore\tdecision"]
    for segment in described["segments"]:
        times = f"{segment['begin_s']:.3f}\t{segment['end_s']:.3f}"
        lines.append(f"{times}\t{segment['score']:.6f}\t{segment['decision']}")
    texts = {".tsv": "\n".join(lines) + "\n", ".json": json.dumps(described, indent=2) + "\n"}
    for suffix, text in texts.items():
        with replacing(folder / f"{name}{suffix}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    if figure:
        with replacing(folder / f"{name}.png") as temporary:
            plot_segments(heard, described).savefig(temporary, dpi=120, format="png")


def plot_segments(heard: Heard, described: dict[str, Any]) -> "Figure":
    """A recording over time: its waveform, the decision for every moment, and the scores with the threshold.

    Args:
        heard: The recording, with its envelope.
        described: What `describe_segments` returns of it.
    """
    from matplotlib.figure import Figure

    from search.report.score_figures import literal

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.4])
    _draw_waveform(top, heard)
    _draw_decisions(top, described)
    edges, scores = score_over_time(
        heard.begins_s, heard.ends_s, np.array([segment["score"] for segment in described["segments"]])
    )
    bottom.stairs(scores, edges, color="0.15", linewidth=1.2, baseline=None, label="mean of the segments there")
    bottom.axhline(described["threshold"], color="0.35", linestyle="--", linewidth=1, label="threshold")
    if heard.in_segments:
        label = "score of the recording"
        bottom.axhline(described["score"], color="#009e73", linestyle=":", linewidth=1.5, label=label)
    bottom.set_ylabel(f"{described['scale']}\n(higher = more bona fide)")
    bottom.set_xlabel("time, s")
    bottom.set_xlim(0, heard.duration_s)
    bottom.grid(alpha=0.3)
    figure.legend(
        *bottom.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small", frameon=False
    )
    top.set_title(f"{literal(heard.path.name)}: {described['decision']}, score {described['score']:.3g}")
    return figure


def _draw_waveform(axes: "Axes", heard: Heard) -> None:
    """Draws the extremes of the waveform, in at most COLUMNS columns."""
    envelope = heard.envelope
    n = -(-len(envelope) // COLUMNS)
    padded = np.pad(envelope, ((0, -len(envelope) % n), (0, 0)), mode="edge").reshape(-1, n, 2)
    lowest, highest = padded[:, :, 0].min(axis=1), padded[:, :, 1].max(axis=1)
    times = (np.arange(len(lowest)) + 0.5) * n * 0.02
    axes.fill_between(np.minimum(times, heard.duration_s), lowest, highest, color="0.25", linewidth=0.4)
    axes.set_ylabel("waveform")
    limit = max(float(np.abs(envelope).max()), 1e-3)
    axes.set_ylim(-1.1 * limit, 1.1 * limit)


def _draw_decisions(axes: "Axes", described: dict[str, Any]) -> None:
    """Shades the stretches: colours that colour-blind readers distinguish, and hatching for print."""
    from search.report.score_figures import BONA_FIDE, SPOOF

    for word, label, colour, hatch in (("bonafide", "bona fide", BONA_FIDE, None), ("spoof", "spoofed", SPOOF, "///")):
        spans = [
            (stretch["begin_s"], stretch["end_s"] - stretch["begin_s"])
            for stretch in described["stretches"]
            if stretch["decision"] == word
        ]
        bottom, top = axes.get_ylim()
        axes.broken_barh(
            spans,
            (bottom, top - bottom),
            facecolor=(colour, 0.3),
            edgecolor=(colour, 0.5),
            hatch=hatch,
            linewidth=0,
            label=label,
            zorder=0,
        )
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small", frameon=False)
