"""A searched hyperparameter: its path in the experiment, its range and its condition."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import optuna

Label = str | int | float | bool | None
Values = dict[str, Label]
"""A configuration: path -> value, for the active parameters. A block is represented by its label."""


class Prior(NamedTuple):
    """A value of a range that is believed to be good before the search has tried anything.

    Attributes:
        value: The value in a configuration; it lies in the range.
        stated: Whether the space states it. Else it is the default of the experiment: the paper's value, or ours.
    """

    value: Label
    stated: bool


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter of a space, and its range.

    Attributes:
        path: Path of the value in the experiment, such as `loss.margin`.
        kind: Kind of range. `value` is a fixed value under a condition; it is not searched.
        low: Minimum (`uniform`, `log_uniform`, `integer`).
        high: Maximum, included.
        choices: Values of a `choice`, or the one value of a `value`. A block is a mapping with a `name`.
        when: Condition: path of another parameter -> the labels that it may have. The parameter is active if all
            entries hold; empty = always.
        prior: The value that the space states as believed to be good; None = it states none. `prior_of` in
            `configurations` also knows the defaults.
    """

    path: str
    kind: Literal["uniform", "log_uniform", "integer", "choice", "value"]
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Label, ...]] = field(default_factory=dict)
    prior: Prior | None = None

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of the choices, in their order."""
        return tuple(label(choice) for choice in self.choices)

    def active(self, values: Mapping[str, Label]) -> bool:
        """Whether the condition holds in a configuration."""
        return all(path in values and values[path] in allowed for path, allowed in self.when.items())

    def decoded(self, value: Label) -> Any:
        """The value in the experiment for a value of a configuration: the block for a label, else the value itself."""
        return self.choices[self.labels.index(value)] if self.kind in ("choice", "value") else value

    def finite(self) -> Sequence[Label] | None:
        """All values in a configuration; None if the range is continuous, or for a `value`.

        Integers are a `range`, which takes no memory however long it is.
        """
        if self.kind == "integer":
            return range(int(self.low), int(self.high) + 1)
        return self.labels if self.kind == "choice" else None

    def holds(self, value: Label) -> bool:
        """Whether a value in a configuration lies in the range."""
        if self.kind == "choice":
            return value in self.labels
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "integer" else int | float):
            return False
        return self.low <= value <= self.high

    def nearest(self, wanted: Any) -> Label:
        """The value of the range that is nearest to `wanted`; the first choice if a choice does not contain it."""
        if self.kind == "choice":
            return wanted if wanted in self.labels else self.labels[0]
        number = wanted if isinstance(wanted, int | float) and not isinstance(wanted, bool) else self.low
        return type(self.low)(min(max(number, self.low), self.high))

    def suggest(self, trial: "optuna.trial.BaseTrial") -> Label:
        """A value that Optuna suggests; a block as its label."""
        if self.kind == "choice":
            # Optuna stores scalars only, so a block is represented by its label.
            return trial.suggest_categorical(self.path, self.labels)
        if self.kind == "integer":
            return trial.suggest_int(self.path, int(self.low), int(self.high))
        return trial.suggest_float(self.path, self.low, self.high, log=self.kind == "log_uniform")

    def describe(self) -> str:
        """The range in words, such as `log_uniform 0.0001 to 0.01`."""
        if self.kind == "choice":
            return "choice of " + ", ".join(map(str, self.labels))
        if self.kind == "value":
            return f"fixed at {self.labels[0]}"
        return f"{self.kind} {self.low:g} to {self.high:g}"


def label(value: object) -> Label:
    """A scalar that represents a choice: a scalar itself, a block as `name(option=value)`, a list as JSON."""
    if isinstance(value, Mapping):
        options = ", ".join(f"{k}={json.dumps(v, default=str)}" for k, v in value.items() if k != "name")
        return f"{value['name']}({options})" if options else str(value["name"])
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value, default=str)  # YAML also has dates
