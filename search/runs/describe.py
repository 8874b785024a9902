"""Trials, their values and times as text for people."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from core.evaluation.objectives import METRICS
from search.runs.journal import TrialRecord

AT_CHANCE = 0.95
"""Ratio of a Siamese loss to that of an embedding that carries no information, above which a trial is marked."""


def trial_table(records: list[TrialRecord], objective: str, *, one_line: bool = False) -> Table:
    """Trials as a table for the terminal, in the given order.

    Args:
        records: The trials.
        objective: Key of METRICS.
        one_line: Whether a trial takes one line, whatever the width: the configuration is brief, and cut if need be.
    """
    table = Table(box=None, pad_edge=False)
    for column in ("trial", "status", "epoch", "best" if one_line else f"best {objective}", "s/epoch", "time"):
        table.add_column(column, justify="left" if column == "status" else "right", no_wrap=True)
    table.add_column("configuration", overflow="ellipsis" if one_line else "fold")
    for record in records:
        value = describe_objective(objective, record.objective, name=False)
        notes = [record.error] if record.error else []
        if record.metrics.get("loss_to_chance", 0.0) > AT_CHANCE:
            notes.append(f"(loss at chance after {record.metrics['step']} steps: the embedding has learned nothing)")
        epoch = f"{record.epoch}/{record.epochs}" if record.epochs else str(record.epoch)
        pace = f"{record.seconds / record.epoch:.1f}" if record.epoch else "-"
        cells = (str(record.number), record.status, epoch, value, pace, duration(record.seconds))
        values = brief_values(record.values) if one_line else describe_values(record.values)
        # In one line, the reason of a failure comes first: the configuration may be cut.
        text = " ".join([*notes, values] if one_line and record.error else [values, *notes])
        table.add_row(*cells, Text(text, no_wrap=one_line, overflow="ellipsis" if one_line else None))
    return table


def describe_values(values: dict[str, Any]) -> str:
    """A configuration on one line, such as `backbone.name=lcnn, loss.margin=1.5`."""
    return ", ".join(f"{path}={describe_value(value)}" for path, value in values.items())


BRIEF = {"margin": "m", "weight_decay": "wd", "embedding_dim": "dim", "n_pairs": "pairs", "batch_size": "batch"}
"""Last part of a path -> the shorter name that `brief_values` has for it."""


def brief_values(values: Mapping[str, Any]) -> str:
    """A configuration in as few words as tell it from others of its search, such as `senet18 m=2 lr=0.0003`.

    Names of components stand without their path, numbers with the last part of it; with the whole path if two
    hyperparameters end alike.
    """
    leaves = Counter(path.rpartition(".")[2] for path in values)
    words = []
    for path, value in values.items():
        leaf = path.rpartition(".")[2]
        key = BRIEF.get(leaf, leaf) if leaves[leaf] == 1 else path
        if isinstance(value, str) and value != "none" and (leaf == "name" or "." not in path):
            words.append(value)
        else:
            words.append(f"{key}={describe_value(value).rpartition('/')[2]}")
    return " ".join(words)


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


def about(seconds: float) -> str:
    """A rough duration in words, such as `about 12 min`: an estimate is not known to the second."""
    if seconds < 50:
        return "under a minute"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"about {minutes} min"
    if minutes < 600:  # in steps of five minutes
        hours, rest = divmod(5 * round(minutes / 5), 60)
        return f"about {hours} h {rest} min" if rest else f"about {hours} h"
    hours = round(minutes / 60)
    return f"about {hours} h" if hours < 72 else f"about {round(hours / 24)} days"
