"""Tables of named parts: the signature of a row is the schema of its options.

A table is a plain dict from a name to a factory. The positional parameters of a factory are its context, which the
code supplies (sizes, parameters to optimise). Its keyword-only parameters are the options, which a user may write
beside the name: `{name: senet34, embedding_dim: 256}`.
"""

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import InputError, Problem

Table = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Block:
    """The name of a table's row, and the options that differ from the defaults of its signature."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """The block as a YAML file contains it: `{"name": ..., option: value, ...}`."""
        return {"name": self.name, **self.options}


def block(value: object) -> Block:
    """A block from a bare name or from a mapping with `name`.

    Raises:
        InputError: The value is neither of the two.
    """
    if isinstance(value, str):
        return Block(value)
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return Block(value["name"], {str(key): option for key, option in value.items() if key != "name"})
    raise InputError(f"expected a name or a mapping with `name`, found {value!r}")


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the closest valid word; empty if none is close."""
    close = difflib.get_close_matches(str(word), list(valid), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def option_defaults(factory: Callable[..., Any]) -> dict[str, Any]:
    """Names of a factory's options and their defaults; `inspect.Parameter.empty` = the option is required."""
    parameters = inspect.signature(factory).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def option_types(factory: Callable[..., Any]) -> dict[str, Any]:
    """Resolved annotations of a factory's options."""
    hints = typing.get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    return {name: hints.get(name, Any) for name in option_defaults(factory)}


def matches(value: object, annotation: Any) -> bool:
    """Whether a plain YAML value fits an annotation; an integer is a float, a boolean is not an integer."""
    origin = typing.get_origin(annotation)
    if annotation is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(matches(value, member) for member in typing.get_args(annotation))
    if origin is typing.Literal:
        return value in typing.get_args(annotation) and not isinstance(value, bool)
    if annotation is None or annotation is type(None):
        return value is None
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin in (list, tuple, Sequence) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        item_type = (typing.get_args(annotation) or (Any,))[0]
        return isinstance(value, list | tuple) and all(matches(item, item_type) for item in value)
    return isinstance(annotation, type) and isinstance(value, annotation)


def type_name(annotation: Any) -> str:
    """An annotation in words for an error message."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(map(type_name, typing.get_args(annotation)))
    if annotation is type(None):
        return "null"
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(annotation)))
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def key_problem(kind: str, key: object, hints: Mapping[str, Any]) -> str | None:
    """Message for an unknown key of a mapping; None if the key is valid.

    Args:
        kind: Name of the mapping, such as `search`.
        key: The key.
        hints: Valid key -> annotation of its value.
    """
    if key in hints:
        return None
    return f"{kind}: no {key!r}; it takes {', '.join(hints)}{did_you_mean(str(key), hints)}"


def value_problem(name: str, value: object, annotation: Any) -> str | None:
    """Message for a plain value of the wrong type, under the name `name`; None if the type fits."""
    return None if matches(value, annotation) else f"{name} is {value!r}; it must be {type_name(annotation)}"


def mapping_problems(kind: str, value: object, hints: Mapping[str, Any]) -> list[Problem]:
    """Problems of a mapping: unknown keys and values of the wrong type.

    Args:
        kind: Name of the mapping, such as `search`.
        value: The user's input.
        hints: Valid key -> annotation of its value; Any = other code checks the value.
    """
    if not isinstance(value, Mapping):
        return [Problem((), f"{kind}: expected a mapping of {', '.join(hints)}, found {value!r}")]
    wrong = []
    for key, item in value.items():
        text = key_problem(kind, key, hints) or value_problem(f"{kind}.{key}", item, hints[key])
        if text:
            wrong.append(Problem((key,), text))
    return wrong


def name_problem(kind: str, table: Table, name: object) -> str | None:
    """Message for the name of a row that the table lacks; None if the name is valid."""
    if isinstance(name, str) and name in table:
        return None
    return f"{kind}: no {name!r}; there are {', '.join(table)}{did_you_mean(str(name), table)}"


def option_problem(
    kind: str, table: Table, name: str, option: str, value: object = inspect.Parameter.empty
) -> str | None:
    """Message for a wrong option of an existing row; None if it is valid. Without a value, only its name is checked."""
    annotations = option_types(table[name])
    if option not in annotations:
        takes = ", ".join(annotations) or "no options"
        return f"{kind}: {name} has no {option!r}; it takes {takes}{did_you_mean(option, annotations)}"
    if value is not inspect.Parameter.empty and not matches(value, annotations[option]):
        return f"{kind}: {option} of {name} is {value!r}; it must be {type_name(annotations[option])}"
    return None


def problems(kind: str, table: Table, chosen: Block) -> list[Problem]:
    """Problems of a block: an unknown name, unknown, wrong or missing options."""
    wrong_name = name_problem(kind, table, chosen.name)
    if wrong_name:
        return [Problem(("name",), wrong_name)]
    wrong = []
    for key, value in chosen.options.items():
        text = option_problem(kind, table, chosen.name, key, value)
        if text:
            wrong.append(Problem((key,), text))
    needed = [key for key, default in option_defaults(table[chosen.name]).items() if default is inspect.Parameter.empty]
    missing = [Problem((), f"{kind}: {chosen.name} needs {key!r}") for key in needed if key not in chosen.options]
    return wrong + missing


def resolved(table: Table, chosen: Block) -> Block:
    """The block with every default of the signature written out."""
    defaults = {
        name: list(default) if isinstance(default, tuple) else default  # YAML and JSON have lists only
        for name, default in option_defaults(table[chosen.name]).items()
        if default is not inspect.Parameter.empty
    }
    return Block(chosen.name, {**defaults, **chosen.options})


def build(kind: str, table: Table, chosen: Block, *context: Any) -> Any:
    """The part that a block describes: its row, called with the context and the block's options.

    Raises:
        InputError: The name or an option is unknown, an option is missing or has the wrong type, or the row refuses a
            value.
    """
    wrong = problems(kind, table, chosen)
    if wrong:
        raise InputError(wrong)
    try:
        return table[chosen.name](*context, **chosen.options)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{kind}: {chosen.name}: {error}") from error
