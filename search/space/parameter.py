"""One range of a search space, and the values it may take."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import optuna

Label = str | int | float | bool | None
Values = dict[str, Label]
"""One configuration: the searched parameters that are active, by path. Choices of blocks stand as their labels."""


@dataclass(frozen=True)
class Parameter:
    """One range of a space.

    Attributes:
        path: Where the value stands in the experiment, such as `loss.margin`.
        kind: `value` is no range but a fixed value that holds under a condition.
        low: Smallest value (`uniform`, `log_uniform`, `integer`).
        high: Largest value, included.
        choices: Values of a `choice` (or the one of a `value`); a choice of blocks holds mappings.
        when: Paths of other parameters and the labels of theirs under which this one is active; all must hold.
    """

    path: str
    kind: Literal["uniform", "log_uniform", "integer", "choice", "value"]
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Label, ...]] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[Label, ...]:
        """One scalar for every choice."""
        return tuple(label(choice) for choice in self.choices)

    def active(self, values: Mapping[str, Label]) -> bool:
        """Whether the conditions hold in a configuration."""
        return all(path in values and values[path] in allowed for path, allowed in self.when.items())

    def decoded(self, value: Label) -> Any:
        """What stands in the experiment for a label."""
        return self.choices[self.labels.index(value)] if self.kind in ("choice", "value") else value

    def finite(self) -> tuple[Label, ...] | None:
        """Every value, or None where there is a continuum."""
        if self.kind == "integer":
            return tuple(range(int(self.low), int(self.high) + 1))
        return self.labels if self.kind == "choice" else None

    def nearest(self, wanted: Any) -> Label:
        """The value of the range that is nearest to a wanted one."""
        if self.kind == "choice":
            return wanted if wanted in self.labels else self.labels[0]
        number = wanted if isinstance(wanted, int | float) and not isinstance(wanted, bool) else self.low
        return type(self.low)(min(max(number, self.low), self.high))

    def suggest(self, trial: "optuna.trial.BaseTrial") -> Label:
        """A value from Optuna."""
        if self.kind == "choice":
            # Booleans and numbers survive as they are; a block goes by its label.
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
    """A scalar that stands for a choice: itself, or a block as `name(option=value)`."""
    if isinstance(value, Mapping):
        options = ", ".join(f"{k}={json.dumps(v)}" for k, v in value.items() if k != "name")
        return f"{value['name']}({options})" if options else str(value["name"])
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value)
