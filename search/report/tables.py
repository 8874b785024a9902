"""Tables of a report as data, and their forms: text, Markdown, CSV."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.cost import Cost
from core.evaluation.bootstrap import compare_eer
from search.report.importance import Importance, pareto_front
from search.report.paper import Cell, PaperTable
from search.report.scoring import Result
from search.runs.describe import describe_objective, describe_values
from search.runs.journal import TrialRecord


@dataclass(frozen=True)
class Sheet:
    """A table: a title, the heads of its columns, rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def results_sheet(results: Sequence[Result], partitions: Sequence[str]) -> Sheet:
    """One row for each trial, in the order given: EER and, where known, both t-DCFs on each partition."""
    columns = ["trial", "epoch"]
    shown: list[tuple[str, str]] = []
    for partition in partitions:
        optional = ("eer_interval_speakers", "min_tdcf_2019", "min_tdcf_2021")
        known = [key for key in optional if any(key in each.measured[partition] for each in results)]
        keys = ["eer", "eer_interval", *known]
        shown += [(partition, key) for key in keys]
        columns += [f"{partition} {_HEADS[key]}" for key in keys]
    rows = []
    for each in results:
        cells = [_number(key, each.measured[partition].get(key)) for partition, key in shown]
        what = describe_values(each.record.values) or "-"
        rows.append((str(each.record.number), str(each.epoch), *cells, _minutes(each.record.seconds), what))
    return Sheet("Trials, best on dev first", (*columns, "time", "configuration"), tuple(rows))


def comparison_sheet(results: Sequence[Result], partition: str) -> Sheet:
    """The first trial against each of the others: the difference of their EERs by a paired test."""
    best, *others = results
    rows = []
    for each in others:
        first, second = best.scores[partition], each.scores[partition]
        theirs = dict(zip(second.utterance_ids.tolist(), second.scores.tolist(), strict=True))
        assert first.labels is not None
        paired = [theirs[utterance] for utterance in first.utterance_ids.tolist()]
        found = compare_eer(first.scores, paired, first.labels)
        low, high = 100 * found.interval.low, 100 * found.interval.high
        ends = f"{low:+.2f} to {high:+.2f}"
        cells = (str(each.record.number), f"{100 * found.difference:+.2f}", ends, f"{found.p_value:.3f}")
        rows.append(cells)
    title = f"Trial {best.record.number} against the others on {partition}, paired over utterances"
    return Sheet(title, ("trial", "EER difference, points", "95 % interval", "p"), tuple(rows))


def attacks_sheet(results: Sequence[Result], partition: str) -> Sheet:
    """EER of each attack of a partition, one row for each trial."""
    attacks = sorted({attack for each in results for attack in each.measured[partition]["eer_per_attack"]})
    rows = []
    for each in results:
        found = each.measured[partition]["eer_per_attack"]
        cells = [_number("eer", found.get(attack)) for attack in attacks]
        rows.append((str(each.record.number), *cells, _number("eer", each.measured[partition]["eer"])))
    return Sheet(f"EER % per attack on {partition}", ("trial", *attacks, "all"), tuple(rows))


def paper_sheet(table: PaperTable, results: Sequence[Result]) -> Sheet:
    """A table of the paper with our figures; several seeds of a system give their mean."""
    columns = ["system"]
    for name in table.columns:
        prefix = f"{name} " if name else ""
        columns += [f"{prefix}Dev", f"{prefix}Eval", f"{prefix}Dev (paper)", f"{prefix}Eval (paper)"]
    rows = []
    for label, cells in table.rows.items():
        row, n_trials, seconds = [label], 0, 0.0
        for cell in cells:
            found = matching(cell, results)
            row += [_mean(found, "dev"), _mean(found, "eval"), cell.dev, cell.eval]
            n_trials += len(found)
            seconds += sum(each.record.seconds for each in found)
        rows.append((*row, str(n_trials), _minutes(seconds)))
    return Sheet(f"{table.title}; EER %", (*columns, "trials", "time"), tuple(rows))


def importance_sheet(found: Sequence[Importance]) -> Sheet:
    """The importances as a table."""
    rows = tuple((each.path, f"{each.share:.3f}", str(each.n_trials)) for each in found)
    title = "Importance of hyperparameters (fANOVA; each among the trials in which it was active)"
    return Sheet(title, ("parameter", "share of variance", "trials"), rows)


def cost_sheet(records: Sequence[TrialRecord], costs: Mapping[int, Cost], objective: str) -> Sheet:
    """What each trial's detector costs, and which trials are on the Pareto front of objective and operations."""
    best = pareto_front(records, costs)
    rows = []
    for each in records:
        cost = costs[each.number]
        cells = (
            str(each.number),
            describe_objective(objective, each.objective, name=False),
            f"{cost.parameters:,}",
            "-" if cost.gmacs is None else f"{cost.gmacs:.3f}",
            "-" if cost.real_time_factor is None else f"{cost.real_time_factor:.4f}",
            "yes" if each.number in best else "",
            describe_values(each.values) or "-",
        )
        rows.append(cells)
    heads = (
        "trial",
        objective,
        "parameters",
        "GMACs an utterance",
        "real-time factor",
        "Pareto front",
        "configuration",
    )
    return Sheet("Cost (real-time factor: this machine's CPU, front end included)", heads, tuple(rows))


def matching(cell: Cell, results: Sequence[Result]) -> list[Result]:
    """The results of the system of a cell."""
    wanted = cell.values.items()
    return [each for each in results if all(each.record.values.get(path) == value for path, value in wanted)]


def as_text(sheet: Sheet) -> str:
    """The sheet in aligned columns."""
    lines = [sheet.columns, *sheet.rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(sheet.columns))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([sheet.title, *texts, ""])


def as_markdown(sheet: Sheet) -> str:
    """The sheet as a Markdown table under a heading."""
    lines = [sheet.columns, tuple("---" for _ in sheet.columns), *sheet.rows]
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([f"## {sheet.title}", "", *rows, ""])


def as_csv(sheet: Sheet) -> str:
    """The sheet as comma-separated values with a line of heads."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([sheet.columns, *sheet.rows])
    return text.getvalue()


_HEADS = {
    "eer": "EER %",
    "eer_interval": "95 %",
    "eer_interval_speakers": "95 % over speakers",
    "min_tdcf_2019": "t-DCF 2019",
    "min_tdcf_2021": "t-DCF 2021",
}


def _number(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key.startswith("eer_interval"):
        return f"{100 * value[0]:.1f} to {100 * value[1]:.1f}"
    return f"{100 * value:.3f}" if key == "eer" else f"{value:.4f}"


def _mean(results: Sequence[Result], partition: str) -> str:
    found = [each.measured[partition]["eer"] for each in results if partition in each.measured]
    return _number("eer", statistics.mean(found)) if found else "-"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
