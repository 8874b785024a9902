"""Ranges as they stand in a YAML: `{uniform: [low, high]}`, `{choice: [...]}`, ... -> parameters and their order."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

from core.errors import InputError
from core.table import did_you_mean
from search.space.parameter import Label, Parameter, label
from search.space.space import STORE_FIELDS

RANGES = ("uniform", "log_uniform", "integer", "choice", "value")


def range_kind(value: object) -> str | None:
    """Which range a mapping is, or None for a fixed value; a block has a `name`, a range has not."""
    if not isinstance(value, dict) or "name" in value:
        return None
    return next((kind for kind in RANGES if kind in value), None)


def parse_range(path: str, value: Mapping[str, Any]) -> Parameter:
    """The parameter that a range describes.

    Args:
        path: Where it stands in the experiment, such as `loss.margin`.
        value: A mapping of which `range_kind` names the kind.

    Raises:
        InputError: what is wrong with it, beginning with the path.
    """
    kind = str(range_kind(value))
    extra = [str(key) for key in value if key not in (kind, "when")]
    if extra:
        raise InputError(f"{path}: a range is one of {', '.join(RANGES)}, and when; found also {', '.join(extra)}")
    when = _condition(path, value)
    if kind == "value":
        if not when:
            raise InputError(f"{path}: value is for what holds under a condition; add when, or write the value alone")
        return Parameter(path, "value", choices=(value[kind],), when=when)
    if kind == "choice":
        return Parameter(path, "choice", choices=_choices(path, value[kind]), when=when)
    low, high = _ends(path, kind, value[kind])
    return Parameter(path, cast(Any, kind), low=low, high=high, when=when)


def as_list(value: Any) -> list[Any]:
    """A list as it is, anything else as the one item of a list."""
    return value if isinstance(value, list) else [value]


def ordered(parameters: Mapping[str, Parameter]) -> list[Parameter]:
    """The parameters, each after those that its condition names, else as they stand.

    Raises:
        InputError: conditions depend on each other in a circle; names them.
    """
    done: dict[str, Parameter] = {}
    waiting = dict(parameters)
    while waiting:
        ready = [each for each in waiting.values() if not any(other in waiting for other in each.when)]
        if not ready:
            raise InputError(f"the conditions of {', '.join(waiting)} depend on each other in a circle")
        done.update((each.path, waiting.pop(each.path)) for each in ready)
    return list(done.values())


def condition_problems(parameter: Parameter, parameters: Mapping[str, Parameter]) -> Iterator[str]:
    """What is wrong with a parameter's condition, given all parameters of the space."""
    names = [each.path for each in parameters.values() if each.kind in ("choice", "integer")]
    for other, allowed in parameter.when.items():
        if other not in names:
            there = f"there are {', '.join(names) or 'none'}{did_you_mean(other, names)}"
            yield f"{parameter.path}: when: {other} is not a choice or integer range of this space; {there}"
            continue
        valid = parameters[other].finite() or ()
        for value in allowed:
            if value not in valid:
                known = f"it is one of {', '.join(map(str, valid))}{did_you_mean(str(value), map(str, valid))}"
                yield f"{parameter.path}: when: {other} is never {value!r}; {known}"


def _condition(path: str, value: Mapping[str, Any]) -> dict[str, tuple[Label, ...]]:
    when = value.get("when", {})
    if not isinstance(when, dict) or ("when" in value and not when):
        raise InputError(f"{path}: when is {when!r}; it must map other parameters to the values that they must have")
    return {str(other): tuple(as_list(allowed)) for other, allowed in when.items()}


def _choices(path: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list) or not value:
        raise InputError(f"{path}: choice is {value!r}; it must be a list of values")
    if any(isinstance(each, dict) and "name" not in each for each in value):
        raise InputError(f"{path}: a choice that is a mapping needs a name")
    if len({label(each) for each in value}) < len(value):  # 1, 1.0 and true count as the same
        raise InputError(f"{path}: a value stands twice in the choice {value!r}")
    return tuple(value)


def _ends(path: str, kind: str, value: object) -> tuple[float, float]:
    ends = value if isinstance(value, list) and len(value) == 2 else []
    number = int if kind == "integer" else (int, float)
    if not ends or not all(isinstance(each, number) and not isinstance(each, bool) for each in ends):
        what = "two integers" if kind == "integer" else "two numbers"
        raise InputError(f"{path}: {kind} is {value!r}; it must be [low, high], {what}")
    low, high = ends
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{path}: {kind} is {value!r}; low must be below high, and both finite")
    if kind == "log_uniform" and low <= 0:
        raise InputError(f"{path}: log_uniform is {value!r}; low must be above 0")
    if kind == "integer":
        return low, high
    if path.split(".")[0] in STORE_FIELDS:
        raise InputError(f"{path}: a feature store is built for every value; use choice or integer")
    return float(low), float(high)
