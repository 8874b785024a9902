"""The command that evaluates scores over time: evaluate-segments."""

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate_segments(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with the scores over time of `spooftune score --segments`.")
    ],
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS",
            help="Labelled parts: lines `recording duration key begin-end-key begin-end-key ...`, times in s.",
        ),
    ],
    *,
    unit: Annotated[
        float, typer.Option("--unit", metavar="SECONDS", help="Resolution: duration of a unit that counts once.")
    ] = 0.16,
    partial: Annotated[
        bool, typer.Option("--partial", help="Accept that LABELS lists recordings without scores.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with rates as fractions.")] = False,
) -> int:
    """Compute the EER by segment: how well scores over time locate the spoofed parts of recordings."""
    from core.evaluation.localisation import evaluate_segments as measure

    result = measure(folder, labels, unit_s=unit, partial=partial)
    if as_json:
        print(json.dumps(result, indent=2))
        return 0
    print(
        f"EER by segment {100 * result['eer']:.2f} % at threshold {result['eer_threshold']:.6g}, units of {unit:g} s: "
        f"{result['n_bona_fide']:,} bona fide, {result['n_spoof']:,} spoofed, in {result['n_recordings']:,} recordings"
    )
    print(
        f"at the threshold of the scores, {result['threshold']:.6g}: miss rate {100 * result['miss']:.2f} %, "
        f"false alarm rate {100 * result['false_alarm']:.2f} %"
    )
    return 0
