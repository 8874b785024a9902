"""YAML files as plain data, with the line of every key for messages."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from core.errors import InputError
from search.space.shipped import shipped_spaces, space_file

KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `1e-3` is a number. In YAML 1.1 it would be a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class YamlFile:
    """The plain data of a YAML file, and the line of every key.

    Attributes:
        source: Name of the file, for messages.
        data: Dicts, lists, strings, numbers, booleans and None.
    """

    def __init__(self, source: str, data: dict[str, Any], lines: dict[KeyPath, int]) -> None:
        self.source = source
        self.data = data
        self._lines = lines

    def location(self, path: KeyPath) -> str:
        """Location of a key as `file:line`; of the nearest enclosing key if the file does not contain it."""
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self.source}:{self._lines.get(path, 1)}"

    def problem(self, path: KeyPath, text: str) -> str:
        """The message `text` with the location of `path` in front of it."""
        return f"{self.location(path)}: {text}"


def read(path: Path, changes: list[str] | None = None) -> YamlFile:
    """Reads a YAML file.

    Args:
        path: The file, in UTF-8, or the name of a space that comes with spooftune.
        changes: Changes from the command line, `key.path=value`, which override the file. The value is YAML.

    Returns:
        The data with the changes, and the lines of the file.

    Raises:
        InputError: The file is missing, is not YAML, is not a mapping or lists a key twice, or a change is malformed.
    """
    path = space_file(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        hint = f", and no space of this name; there are {', '.join(shipped_spaces())}" if not path.suffix else ""
        raise InputError(f"{path}: no such file{hint}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return parse(text, str(path), changes)


def of_data(data: Mapping[str, Any], changes: list[str] | None = None) -> YamlFile:
    """A space that is plain data already, with lines as if it were written as YAML.

    Raises:
        InputError: The data has what YAML cannot hold, such as a NumPy number, or a change is malformed.
    """
    try:
        text = yaml.safe_dump(dict(data), sort_keys=False)
    except yaml.YAMLError as error:
        raise InputError(f"space: cannot be written as YAML: {' '.join(str(error).split())}") from error
    return parse(text, "space", changes)


def parse(text: str, source: str = "<text>", changes: list[str] | None = None) -> YamlFile:
    """Reads a YAML text; `source` is its name in messages. See `read`."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        if not isinstance(node, yaml.MappingNode):
            raise InputError(f"{source}:1: expected a mapping with name, corpus, experiment and search")
        lines: dict[KeyPath, int] = {}
        problems = list(_locate(node, (), lines, source))
        if problems:
            raise InputError(problems)
        data = _plain(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{source}:{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {error}") from error
    for change in changes or []:
        _apply(data, change)
    return YamlFile(source, data, lines)


def _plain(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _locate(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], source: str) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                yield f"{source}:{line}: a key must be a word"
                continue
            key = (*path, str(key_node.value))
            if key in lines:
                yield f"{source}:{line}: {'.'.join(map(str, key))} is listed twice; the first is in line {lines[key]}"
            lines.setdefault(key, line)
            yield from _locate(value_node, key, lines, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value_node in enumerate(node.value):
            lines.setdefault((*path, index), value_node.start_mark.line + 1)
            yield from _locate(value_node, (*path, index), lines, source)


def changed(data: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """The data after changes from the command line, `key.path=value`; the data itself is changed.

    Raises:
        InputError: A change has another form, or its value is not YAML.
    """
    for change in changes:
        _apply(data, change)
    return data


def _apply(data: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {change}: expected key.path=value, for example corpus.path=/data/LA")
    try:
        value = _plain(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {change}: {text!r} is not a YAML value") from error
    *parents, last = key.strip().split(".")
    mapping = data
    for parent in parents:
        if not isinstance(mapping.get(parent), dict):
            mapping[parent] = {}
        mapping = mapping[parent]
    mapping[last] = value
