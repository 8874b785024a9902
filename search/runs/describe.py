"""Trials, their values and times as text for people."""

from typing import Any

from rich.table import Table
from rich.text import Text

from core.evaluation.objectives import METRICS
from search.runs.journal import TrialRecord

AT_CHANCE = 0.95
"""Ratio of a Siamese loss to that of an embedding that carries no information, above which a trial is marked."""


def trial_table(records: list[TrialRecord], objective: str) -> Table:
    """Trials as a table for the terminal, in the given order; `objective` is a key of METRICS."""
    table = Table(box=None, pad_edge=False)
    for column in ("trial", "status", "epoch", f"best {objective}", "time"):
        table.add_column(column, justify="left" if column == "status" else "right", no_wrap=True)
    table.add_column("configuration", overflow="fold")
    for record in records:
        value = describe_objective(objective, record.objective, name=False)
        notes = f" {record.error}" if record.error else ""
        if record.metrics.get("loss_to_chance", 0.0) > AT_CHANCE:
            notes += f" (loss at chance after {record.metrics['step']} steps: the embedding has learned nothing)"
        cells = (str(record.number), record.status, str(record.epoch), value, duration(record.seconds))
        table.add_row(*cells, Text(describe_values(record.values) + notes))
    return table


def describe_values(values: dict[str, Any]) -> str:
    """A configuration on one line, such as `backbone.name=lcnn, loss.margin=1.5`."""
    return ", ".join(f"{path}={describe_value(value)}" for path, value in values.items())


def describe_value(value: Any) -> str:
    """A value of a configuration as text; a real number has four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def describe_objective(objective: str, value: float, *, name: bool = True) -> str:
    """The best value of a trial as text, such as `dev_eer 12.50 %`.

    Args:
        objective: Key of METRICS.
        value: The objective, lower is better.
        name: Whether the text begins with the name of the metric.
    """
    text = METRICS[objective].describe(value)
    return f"{objective} {text}" if name else text


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, such as `1:02:03`; without hours, such as `2:03`, below one hour."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
