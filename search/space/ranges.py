"""Ranges of a YAML file, such as `{uniform: [low, high]}` and `{choice: [...]}`: from plain data to parameters."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

from core.errors import InputError, Problem
from core.table import did_you_mean
from search.space.parameter import Label, Parameter, Prior, label
from search.space.space import STORE_FIELDS

RANGES = ("uniform", "log_uniform", "integer", "choice", "value")


def range_kind(value: object) -> str | None:
    """Kind of the range that a YAML value describes, one of RANGES; None for a fixed value, such as a block."""
    if not isinstance(value, dict) or "name" in value:
        return None
    return next((kind for kind in RANGES if kind in value), None)


def parse_range(path: str, value: Mapping[str, Any]) -> Parameter:
    """The parameter that a range describes, without its prior: see `with_prior`.

    Args:
        path: Path of the value in the experiment, such as `loss.margin`.
        value: The range, a mapping for which `range_kind` is not None.

    Raises:
        InputError: The range is not valid. The message begins with `path`.
    """
    kind = str(range_kind(value))
    extra = [str(key) for key in value if key not in (kind, "when", "prior")]
    if extra:
        valid = f"one of {', '.join(RANGES)}, when and prior"
        raise InputError(f"{path}: a range has {valid}; found also {', '.join(extra)}")
    when = _condition(path, value)
    if kind == "value":
        if not when:
            raise InputError(f"{path}: a range of kind value needs a condition; add when, or write only the value")
        return Parameter(path, "value", choices=(value[kind],), when=when)
    if kind == "choice":
        return Parameter(path, "choice", choices=_choices(path, value[kind]), when=when)
    low, high = _ends(path, kind, value[kind])
    return Parameter(path, cast(Any, kind), low=low, high=high, when=when)


def with_prior(parameter: Parameter, value: Mapping[str, Any]) -> Parameter:
    """The parameter with the prior that its range states; the parameter itself if the range states none.

    Args:
        parameter: The parameter.
        value: The range that describes it. A `prior` is one of its values: a number, a choice, or a block of a choice.

    Raises:
        InputError: The prior does not lie in the range. The message begins with the path of the parameter.
    """
    if "prior" not in value:
        return parameter
    written = value["prior"]
    if parameter.kind == "value":
        raise InputError(Problem(("prior",), f"{parameter.path}: a value is fixed and needs no prior"))
    believed: Any = written if isinstance(written, dict) and "name" not in written else label(written)
    # 1 and true are equal, but true does not mean the choice 1.
    same = [known for known in parameter.labels if (known, type(known) is bool) == (believed, type(believed) is bool)]
    if parameter.kind == "choice" and same:
        return dataclasses.replace(parameter, prior=Prior(same[0], stated=True))
    if parameter.kind != "choice" and parameter.holds(believed):
        return dataclasses.replace(parameter, prior=Prior(type(parameter.low)(believed), stated=True))
    hint = did_you_mean(str(believed), list(map(str, parameter.labels)))
    text = f"{parameter.path}: prior is {written!r}; it must lie in the range, {parameter.describe()}{hint}"
    raise InputError(Problem(("prior",), text))


def as_list(value: Any) -> list[Any]:
    """A list itself; any other value as a list of one item."""
    return value if isinstance(value, list) else [value]


def in_order_of_conditions(parameters: Mapping[str, Parameter]) -> list[Parameter]:
    """The parameters, sorted so that a parameter comes after those that its condition names; else their order is kept.

    Raises:
        InputError: Conditions depend on each other in a circle. The message names the parameters.
    """
    done: dict[str, Parameter] = {}
    waiting = dict(parameters)
    while waiting:
        ready = [parameter for parameter in waiting.values() if not waiting.keys() & parameter.when.keys()]
        if not ready:
            raise InputError(f"the conditions of {', '.join(waiting)} depend on each other in a circle")
        done.update((parameter.path, waiting.pop(parameter.path)) for parameter in ready)
    return list(done.values())


def condition_problems(parameter: Parameter, parameters: Mapping[str, Parameter]) -> Iterator[str]:
    """Problems of a parameter's condition.

    Args:
        parameter: The parameter.
        parameters: All parameters of the space, by path.

    Yields:
        One message for every problem, beginning with the path of the parameter.
    """
    names = [candidate.path for candidate in parameters.values() if candidate.kind in ("choice", "integer")]
    for other, allowed in parameter.when.items():
        if other not in names:
            known = f"there are {', '.join(names) or 'none'}{did_you_mean(other, names)}"
            yield f"{parameter.path}: when: {other} is not a choice or integer range of this space; {known}"
            continue
        for value in allowed:
            if not parameters[other].holds(value):
                labels = [str(label) for label in parameters[other].labels]
                known = f"it is {parameters[other].describe()}{did_you_mean(str(value), labels)}"
                yield f"{parameter.path}: when: {other} is never {value!r}; {known}"


def _condition(path: str, value: Mapping[str, Any]) -> dict[str, tuple[Label, ...]]:
    when = value.get("when", {})
    if not isinstance(when, dict) or ("when" in value and not when):
        raise InputError(f"{path}: when is {when!r}; it must map other parameters to the values that they may have")
    return {str(other): tuple(as_list(allowed)) for other, allowed in when.items()}


def _choices(path: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list) or not value:
        raise InputError(f"{path}: choice is {value!r}; it must be a list of values")
    if any(isinstance(choice, dict) and "name" not in choice for choice in value):
        raise InputError(f"{path}: a mapping in a choice needs a name")
    if len({label(choice) for choice in value}) < len(value):  # 1, 1.0 and true are equal
        raise InputError(f"{path}: a value is listed twice in the choice {value!r}")
    return tuple(value)


def _ends(path: str, kind: str, value: object) -> tuple[float, float]:
    ends = value if isinstance(value, list) and len(value) == 2 else []
    number = int if kind == "integer" else (int, float)
    if not ends or not all(isinstance(end, number) and not isinstance(end, bool) for end in ends):
        numbers = "two integers" if kind == "integer" else "two numbers"
        raise InputError(f"{path}: {kind} is {value!r}; it must be [low, high], {numbers}")
    low, high = ends
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{path}: {kind} is {value!r}; low must be below high, and both finite")
    if kind == "log_uniform" and low <= 0:
        raise InputError(f"{path}: log_uniform is {value!r}; low must be above 0")
    if kind == "integer":
        return low, high
    if path.split(".")[0] in STORE_FIELDS:
        raise InputError(f"{path}: every value needs a feature store of its own; use choice or integer")
    return float(low), float(high)
