"""Reads a search space from its YAML file and reports every mistake with its line."""

import copy
import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from core import table
from core.config import GROUPS, TABLES, Experiment, field_types
from core.errors import InputError
from core.systems import SYSTEMS, system_problem
from core.table import Block, did_you_mean
from search.space.configurations import MOST_CONFIGURATIONS, corners, n_configurations
from search.space.parameter import Parameter
from search.space.places import make_absolute
from search.space.ranges import as_list, condition_problems, in_order_of_conditions, parse_range, range_kind, with_prior
from search.space.sections import SEARCH_TABLES, check_grace_epochs, read_corpus, read_eval, read_search
from search.space.space import Space
from search.space.yaml_file import KeyPath, YamlFile, read

SECTIONS = ("name", "corpus", "eval", "experiment", "search")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read_space(path: Path, changes: list[str] | None = None, *, absolute: bool = False) -> Space:
    """The space that a YAML file describes.

    Args:
        path: The YAML file.
        changes: Changes from the command line, `key.path=value`, which override the file.
        absolute: Whether to make the paths of corpus and weights absolute.

    Returns:
        The space. Configurations at its corners have been checked as far as that needs no corpus.

    Raises:
        InputError: The file cannot be read, or something in it is wrong. Every problem is one line with file, line and
            key, the value and the valid values.
    """
    yaml_file = read(path, changes)
    if absolute:
        make_absolute(yaml_file.data, path.parent)
    return space_from_yaml(yaml_file)


def space_from_yaml(yaml_file: YamlFile) -> Space:
    """The space that a YAML file describes, after it has been parsed; see `read_space`."""
    reader = _Reader(yaml_file)
    space = reader.space()
    if reader.problems:
        raise InputError(dict.fromkeys(reader.problems))
    return space


class _Reader:
    """Reads one file. Problems are collected in `problems`, so that all of them are reported together."""

    def __init__(self, yaml_file: YamlFile) -> None:
        self.yaml_file = yaml_file
        self.problems: list[str] = []
        self.parameters: dict[str, Parameter] = {}
        self.fixed: dict[str, Any] = {}

    def add_problem(self, path: KeyPath, text: str) -> None:
        self.problems.append(self.yaml_file.problem(path, text))

    def space(self) -> Space:
        data = self.yaml_file.data
        for key in data:
            if key not in SECTIONS:
                text = f"no section {key!r}; there are {', '.join(SECTIONS)}{did_you_mean(key, SECTIONS)}"
                self.add_problem((key,), text)
        name = data.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            valid = "at most 100 letters, digits, '.', '_' or '-', and begin with a letter or digit"
            self.add_problem(("name",), f"name is {name!r}; it must be {valid}")
        corpus = read_corpus(self.section("corpus"), self.add_problem)
        self.read_experiment(self.section("experiment"))
        search = read_search(self.section("search"), self.add_problem)
        measured_on = read_eval(data.get("eval"), self.add_problem)
        plain = copy.deepcopy(data)
        space = Space(str(name), corpus, self.fixed, self.sorted_parameters(), search, plain, measured_on)
        if not self.problems:
            self.check_corners(space)
        return space

    def section(self, key: str) -> Mapping[str, Any]:
        """A section of the file; empty if it is missing or not a mapping."""
        value = self.yaml_file.data.get(key)
        if value is None and key == "search":
            return {}
        if not isinstance(value, dict):
            state = "is missing" if value is None else f"is {value!r}"
            self.add_problem((key,), f"section {key} {state}; it must be a mapping")
            return {}
        return value

    def read_experiment(self, section: Mapping[str, Any]) -> None:
        """Reads the section `experiment` into `fixed` and `parameters`."""
        types = field_types()
        hints = {"system": str, **types}
        if "system" in section:
            self.read_value("system", section["system"], system_problem)
        for key, value in section.items():
            path = ("experiment", key)
            if key == "system":
                continue
            unknown = table.key_problem("experiment", key, hints)
            if unknown:
                self.add_problem(path, unknown)
            elif key in TABLES:
                self.read_row(key, value)
            elif key in GROUPS:
                self.read_group(key, value)
            else:
                self.read_value(key, value, functools.partial(_type_problem, key, types[key]))
        if "front_end" not in section and "system" not in section:
            self.add_problem(
                ("experiment",),
                f"experiment.front_end is missing; it is one of {', '.join(TABLES['front_end'])}; or name a system",
            )

    def read_group(self, key: str, value: object) -> None:
        """Reads a group of options that has no rows, such as `input`."""
        hints = typing.get_type_hints(GROUPS[key])
        # A value may be a range, so `read_value` checks the values.
        for problem in table.mapping_problems(key, value, dict.fromkeys(hints, Any)):
            self.add_problem(("experiment", key, *problem.path), problem.text)
        if not isinstance(value, dict):
            return
        for name, item in value.items():
            if name in hints:
                self.read_value(f"{key}.{name}", item, functools.partial(_type_problem, f"{key}.{name}", hints[name]))

    def read_row(self, key: str, value: object) -> None:
        """Reads a row of a table, such as `backbone`: its name and its options, or ranges of them."""
        rows = TABLES[key]
        if isinstance(value, str) or range_kind(value) is not None:  # a name, or a choice of names or blocks
            self.read_value(key, value, lambda choice: self.block_problem(key, choice))
            return
        if not isinstance(value, dict):
            self.add_problem(("experiment", key), f"{key}: expected a name or a mapping with name, found {value!r}")
            return
        by_system = self.rows_by_system(key)
        names: tuple[Any, ...]
        if "name" in value or not by_system:
            default = {field.name: field.default for field in dataclasses.fields(Experiment)}[key]
            name = value.get("name", default.name if isinstance(default, Block) else None)
            self.read_value(f"{key}.name", name, lambda name: table.name_problem(key, rows, name))
            names = self.parameters[f"{key}.name"].labels if f"{key}.name" in self.parameters else (name,)
            by_system = {}
        else:
            names = tuple(dict.fromkeys(by_system.values()))
        if any(row not in rows for row in names):
            return
        if f"{key}.name" in self.parameters and self.parameters[f"{key}.name"].when:
            self.add_problem(("experiment", key, "name"), f"{key}.name: a name cannot have a condition")
        selector, rows_of = ("system", by_system) if by_system else (f"{key}.name", {row: row for row in names})
        rows_with: dict[str, set[Any]] = {}
        for option, option_value in value.items():
            if option == "name":
                continue
            condition = option_value.get("when") if range_kind(option_value) else None
            allowed = condition.get(selector) if isinstance(condition, dict) else None
            met = {label: row for label, row in rows_of.items() if allowed is None or label in as_list(allowed)}
            applies = list(dict.fromkeys(met.values()))
            rows_with[option] = set(applies)
            bad = [row for row in applies if table.option_problem(key, rows, str(row), option)]
            if bad:
                hint = ""
                if len(bad) < len(names):
                    good = ", ".join(str(label) for label, row in rows_of.items() if row not in bad)
                    hint = f"; give it the condition when: {{{selector}: [{good}]}}"
                problem = table.option_problem(key, rows, str(bad[0]), option)
                self.add_problem(("experiment", key, option), f"{problem}{hint}")
                continue
            self.read_value(f"{key}.{option}", option_value, functools.partial(_option_problem, key, applies, option))
        for row in names:
            for option, default_value in table.option_defaults(rows[str(row)]).items():
                if default_value is inspect.Parameter.empty and row not in rows_with.get(option, ()):
                    self.add_problem(("experiment", key), f"{key}: {row} needs {option!r}")

    def rows_by_system(self, key: str) -> dict[Any, str]:
        """System -> its row of a table, for the systems of the space; empty if the space names no system."""
        systems: tuple[Any, ...] = ()
        if "system" in self.parameters:
            systems = self.parameters["system"].labels
        elif "system" in self.fixed:
            systems = (self.fixed["system"],)
        default = {field.name: field.default for field in dataclasses.fields(Experiment)}[key]
        ours = {"name": default.name} if isinstance(default, Block) else {}
        return {name: SYSTEMS[name].get(key, ours)["name"] for name in systems if name in SYSTEMS}

    def block_problem(self, key: str, value: object) -> str | None:
        """The problem of a name or block as a row of the table `key`, or None."""
        try:
            problems = table.problems(key, TABLES[key], table.block(value))
        except InputError as error:
            return f"{key}: {error}"
        return "; ".join(problem.text for problem in problems) or None

    def read_value(self, dotted: str, value: object, check: typing.Callable[[Any], str | None]) -> None:
        """Reads a fixed value or a range of the experiment; `check` returns the problem of a value, or None."""
        path: KeyPath = ("experiment", *dotted.split("."))
        if range_kind(value) is None:
            problem = check(value)
            if problem:
                self.add_problem(path, problem)
            else:
                *parents, last = dotted.split(".")
                mapping = self.fixed
                for parent in parents:
                    mapping = mapping.setdefault(parent, {})
                mapping[last] = copy.deepcopy(value)
            return
        try:
            parameter = self.parameters[dotted] = parse_range(dotted, cast(dict[str, Any], value))
            parameter = self.parameters[dotted] = with_prior(parameter, cast(dict[str, Any], value))
        except InputError as error:
            for located in error.located:
                self.add_problem((*path, *located.path), located.text)
            return
        for choice in parameter.choices or (parameter.low, parameter.high):
            problem = check(choice)
            if problem:
                self.add_problem(path, problem)
                break

    def sorted_parameters(self) -> tuple[Parameter, ...]:
        """The parameters, those of a condition before the parameter that depends on them."""
        for dotted, parameter in self.parameters.items():
            for problem in condition_problems(parameter, self.parameters):
                self.add_problem(("experiment", *dotted.split(".")), problem)
        try:
            return tuple(in_order_of_conditions(self.parameters))
        except InputError as error:
            self.add_problem(("experiment",), str(error))
            return ()

    def check_corners(self, space: Space) -> None:
        """Builds the parts that need no corpus, for the configurations at the corners of the space."""
        for values in corners(space):
            try:
                experiment = space.experiment(values)
            except InputError as error:
                for problem in error.located:
                    self.add_problem(("experiment", *problem.path), problem.text)
                continue
            for key, arguments in _CHECKED_TABLES.items():
                try:
                    table.build(key, TABLES[key], getattr(experiment, key), *arguments())
                except InputError as error:
                    for problem in error.located:
                        self.add_problem(("experiment", key, *problem.path), problem.text)
        if space.search.sampler.name == "grid" and n_configurations(space) is None:
            continuous = ", ".join(parameter.path for parameter in space.searched if parameter.finite() is None)
            text = f"search.sampler: grid needs choice or integer everywhere; see {continuous}"
            self.add_problem(("search", "sampler"), text)
        elif space.search.sampler.name == "grid" and n_configurations(space) == MOST_CONFIGURATIONS:
            text = f"search.sampler: grid would enumerate {MOST_CONFIGURATIONS:,} configurations or more; use another"
            self.add_problem(("search", "sampler"), text)
        arguments_of: dict[str, tuple[Any, ...]] = {"scheduler": ("objective", 10), "sampler": (0, ())}
        for key, rows in SEARCH_TABLES.items():
            try:
                table.build(f"search.{key}", rows, getattr(space.search, key), *arguments_of.get(key, ()))
            except InputError as error:
                self.add_problem(("search", key), str(error))
        if not self.problems:
            check_grace_epochs(space, self.add_problem)


def _one_weight() -> tuple[Any]:
    import torch

    return ([torch.nn.Parameter(torch.zeros(1))],)


_CHECKED_TABLES: dict[str, typing.Callable[[], tuple[Any, ...]]] = {
    "pairs": lambda: (),
    "loss": lambda: (),
    "classifier": lambda: (8,),
    "optimizer": _one_weight,
    "lr_schedule": lambda: (10, 10),
}
"""Tables whose rows are built in a check -> the positional arguments of these rows. Building them is fast."""


def _option_problem(key: str, names: list[Any], option: str, value: object) -> str | None:
    """The problem of an option's value in the first row that refuses it; None if all rows accept it."""
    problems = (table.option_problem(key, TABLES[key], str(name), option, value) for name in names)
    return next(filter(None, problems), None)


def _type_problem(dotted: str, annotation: Any, value: object) -> str | None:
    return table.value_problem(dotted, value, annotation)
