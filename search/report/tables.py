"""Tables of a report as data, and their forms: text, Markdown, CSV."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.cost import Cost
from core.evaluation.comparison import compare_eer
from search.report.importance import Importance, pareto_front
from search.report.paper import Cell, PaperTable
from search.report.scoring import Result
from search.runs.describe import describe_objective, describe_values
from search.runs.journal import TrialRecord


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: Title of the table.
        columns: Heads of the columns.
        rows: Cells of every row, one per column.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def results_table(results: Sequence[Result], partitions: Sequence[str]) -> Table:
    """One row per trial, in the given order: EER with its intervals and, where known, min t-DCF on each partition."""
    columns = ["trial", "epoch"]
    shown: list[tuple[str, str]] = []
    for partition in partitions:
        optional = ("eer_interval_speakers", "min_tdcf_2019", "min_tdcf_2021")
        known = [key for key in optional if any(key in result.measured[partition] for result in results)]
        keys = ["eer", "eer_interval", *known]
        shown += [(partition, key) for key in keys]
        columns += [f"{partition} {_HEADS[key]}" for key in keys]
    rows = []
    for result in results:
        record = result.record
        cells = [_cell(key, result.measured[partition]) for partition, key in shown]
        configuration = describe_values(record.values) or "-"
        rows.append((str(record.number), str(result.epoch), *cells, _minutes(record.seconds), configuration))
    return Table("Trials, best on dev first", (*columns, "time", "configuration"), tuple(rows))


def comparison_table(results: Sequence[Result], partition: str) -> Table:
    """The first trial compared with each of the others on one partition: EER difference, interval and p-value.

    A negative difference means that the first trial has the lower EER.
    """
    best, *others = results
    rows = []
    for other in others:
        first, second = best.scores[partition], other.scores[partition]
        other_scores = dict(zip(second.utterance_ids.tolist(), second.scores.tolist(), strict=True))
        assert first.labels is not None
        paired = [other_scores[utterance] for utterance in first.utterance_ids.tolist()]
        comparison = compare_eer(first.scores, paired, first.labels)
        low, high = 100 * comparison.interval.low, 100 * comparison.interval.high
        interval = f"{low:+.2f} to {high:+.2f}"
        number, difference = str(other.record.number), f"{100 * comparison.difference:+.2f}"
        rows.append((number, difference, interval, f"{comparison.p_value:.3f}"))
    title = f"EER of trial {best.record.number} minus EER of another trial on {partition} (paired over utterances)"
    return Table(title, ("other trial", "EER difference, points", "95 % interval", "p-value"), tuple(rows))


def attacks_table(results: Sequence[Result], partition: str) -> Table:
    """EER of every attack of a partition, one row per trial."""
    attacks = sorted({attack for result in results for attack in result.measured[partition]["eer_per_attack"]})
    rows = []
    for result in results:
        rates = result.measured[partition]["eer_per_attack"]
        cells = [_number("eer", rates.get(attack)) for attack in attacks]
        rows.append((str(result.record.number), *cells, _number("eer", result.measured[partition]["eer"])))
    return Table(f"EER % per attack on {partition}", ("trial", *attacks, "all"), tuple(rows))


def paper_table(table: PaperTable, results: Sequence[Result]) -> Table:
    """A table of the paper with our results beside the paper's.

    The EER of a system is the mean over its trials, for example of several seeds; `-` if the run has no trial of it.
    """
    columns = ["system"]
    for name in table.columns:
        prefix = f"{name} " if name else ""
        columns += [f"{prefix}Dev", f"{prefix}Eval", f"{prefix}Dev (paper)", f"{prefix}Eval (paper)"]
    rows = []
    for label, cells in table.rows.items():
        row, n_trials, seconds = [label], 0, 0.0
        for cell in cells:
            matches = results_of_cell(cell, results)
            row += [_mean_eer(matches, "dev"), _mean_eer(matches, "eval"), cell.dev, cell.eval]
            n_trials += len(matches)
            seconds += sum(result.record.seconds for result in matches)
        rows.append((*row, str(n_trials), _minutes(seconds)))
    return Table(f"{table.title}; EER %", (*columns, "trials", "time"), tuple(rows))


def importance_table(importances: Sequence[Importance]) -> Table:
    """The importances of hyperparameters, in the given order."""
    rows = tuple(
        (importance.path, f"{importance.fraction:.3f}", str(importance.n_trials)) for importance in importances
    )
    title = "Importance of hyperparameters (fANOVA over the trials in which the hyperparameter was active)"
    return Table(title, ("hyperparameter", "fraction of variance", "trials"), rows)


def cost_table(records: Sequence[TrialRecord], costs: Mapping[int, Cost], objective: str) -> Table:
    """Objective and cost of the trials' detectors, and which trials are on the Pareto front of objective and GMACs.

    Args:
        records: The trials, in the order of the rows.
        costs: Cost by number of the trial.
        objective: Key of METRICS.
    """
    front = pareto_front(records, costs)
    rows = []
    for record in records:
        cost = costs[record.number]
        cells = (
            str(record.number),
            describe_objective(objective, record.objective, name=False),
            f"{cost.parameters:,}",
            "-" if cost.gmacs is None else f"{cost.gmacs:.3f}",
            "-" if cost.real_time_factor is None else f"{cost.real_time_factor:.4f}",
            "yes" if record.number in front else "",
            describe_values(record.values) or "-",
        )
        rows.append(cells)
    heads = (
        "trial",
        objective,
        "parameters",
        "GMACs per utterance",
        "real-time factor",
        "Pareto front",
        "configuration",
    )
    return Table("Cost of the detectors (real-time factor: this machine's CPU, with the front end)", heads, tuple(rows))


def results_of_cell(cell: Cell, results: Sequence[Result]) -> list[Result]:
    """The results of the trials whose configuration has the values of a cell."""
    wanted = cell.values.items()
    return [result for result in results if all(result.record.values.get(path) == value for path, value in wanted)]


def as_text(table: Table) -> str:
    """The title and the table in aligned columns."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.columns))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([table.title, *texts, ""])


def as_markdown(table: Table) -> str:
    """A heading and the table in Markdown."""
    lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([f"## {table.title}", "", *rows, ""])


def as_csv(table: Table) -> str:
    """The table as comma-separated values; the first line has the heads of the columns."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.columns, *table.rows])
    return text.getvalue()


_HEADS = {
    "eer": "EER %",
    "eer_interval": "95 % interval",
    "eer_interval_speakers": "95 % interval over speakers (number)",
    "min_tdcf_2019": "min t-DCF 2019",
    "min_tdcf_2021": "min t-DCF 2021",
}


def _cell(key: str, measured: Mapping[str, Any]) -> str:
    text = _number(key, measured.get(key))
    return f"{text} ({measured['n_speakers']})" if key == "eer_interval_speakers" and "n_speakers" in measured else text


def _number(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key.startswith("eer_interval"):
        return f"{100 * value[0]:.1f} to {100 * value[1]:.1f}"
    return f"{100 * value:.3f}" if key == "eer" else f"{value:.4f}"


def _mean_eer(results: Sequence[Result], partition: str) -> str:
    rates = [result.measured[partition]["eer"] for result in results if partition in result.measured]
    return _number("eer", statistics.mean(rates)) if rates else "-"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
