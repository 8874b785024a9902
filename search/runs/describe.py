"""How trials, their values and times are written for people."""

from typing import Any

from rich.table import Table
from rich.text import Text

from core.evaluation.objectives import METRICS
from search.runs.journal import TrialRecord


def trial_table(records: list[TrialRecord], objective: str) -> Table:
    """Trials as a table, in the order given."""
    table = Table(box=None, pad_edge=False)
    for column in ("trial", "status", "epoch", f"best {objective}", "time"):
        table.add_column(column, justify="left" if column == "status" else "right", no_wrap=True)
    table.add_column("configuration", overflow="fold")
    for each in records:
        value = describe_objective(objective, each.objective, name=False)
        what = f" {each.error}" if each.error else ""
        cells = (str(each.number), each.status, str(each.epoch), value, duration(each.seconds))
        table.add_row(*cells, Text(describe_values(each.values) + what))
    return table


def describe_values(values: dict[str, Any]) -> str:
    """A configuration on one line."""
    return ", ".join(
        f"{path}={value:.4g}" if isinstance(value, float) else f"{path}={value}" for path, value in values.items()
    )


def describe_objective(objective: str, value: float, *, name: bool = True) -> str:
    """The best value of a trial for people, such as `dev_eer 12.50 %`.

    Args:
        objective: Key of METRICS.
        value: The objective, lower is better.
        name: Whether the metric's name stands before it.
    """
    text = METRICS[objective].describe(value)
    return f"{objective} {text}" if name else text


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, such as `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
