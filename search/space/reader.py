"""Reads a search space from its YAML and reports everything that is wrong with it, each with its line."""

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
from search.space.configurations import corners, n_configurations
from search.space.parameter import Parameter
from search.space.ranges import as_list, condition_problems, ordered, parse_range, range_kind
from search.space.sections import SEARCH_TABLES, check_first_judgement, read_corpus, read_search
from search.space.space import Space
from search.space.yaml_file import KeyPath, Tree, read

SECTIONS = ("name", "corpus", "experiment", "search")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read_space(path: Path, changes: list[str] | None = None) -> Space:
    """The space of a YAML file, with `key.path=value` changes laid over it.

    Raises:
        InputError: everything that is wrong, one line each: file, line, key, what was found, what is valid.
    """
    return space_from_tree(read(path, changes))


def space_from_tree(tree: Tree) -> Space:
    """The space that a parsed YAML describes; see `read_space`."""
    reader = _Reader(tree)
    space = reader.space()
    if reader.problems:
        raise InputError(dict.fromkeys(reader.problems))
    return space


class _Reader:
    """One reading of one file: what is wrong gathers in `problems`."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.problems: list[str] = []
        self.parameters: dict[str, Parameter] = {}
        self.fixed: dict[str, Any] = {}

    def wrong(self, path: KeyPath, what: str) -> None:
        self.problems.append(self.tree.problem(path, what))

    def space(self) -> Space:
        data = self.tree.data
        for key in data:
            if key not in SECTIONS:
                self.wrong((key,), f"no section {key!r}; there are {', '.join(SECTIONS)}{did_you_mean(key, SECTIONS)}")
        name = data.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            self.wrong(("name",), f"name is {name!r}; it must be letters, digits, '.', '_' or '-', and begin with one")
        corpus = read_corpus(self.section("corpus"), self.wrong)
        self.experiment(self.section("experiment"))
        search = read_search(self.section("search"), self.wrong)
        space = Space(str(name), corpus, self.fixed, self.ordered(), search, copy.deepcopy(data))
        if not self.problems:
            self.corners(space)
        return space

    def section(self, key: str) -> Mapping[str, Any]:
        value = self.tree.data.get(key)
        if value is None and key == "search":
            return {}
        if not isinstance(value, dict):
            found = "is missing" if value is None else f"is {value!r}"
            self.wrong((key,), f"section {key} {found}; it must be a mapping")
            return {}
        return value

    def experiment(self, section: Mapping[str, Any]) -> None:
        types = field_types()
        hints = {"system": str, **types}
        if "system" in section:
            self.slot("system", section["system"], system_problem)
        for key, value in section.items():
            path = ("experiment", key)
            if key == "system":
                continue
            unknown = table.key_problem("experiment", key, hints)
            if unknown:
                self.wrong(path, unknown)
            elif key in TABLES:
                self.table_field(key, value)
            elif key in GROUPS:
                self.group_field(key, value)
            else:
                self.slot(key, value, functools.partial(_type_problem, key, types[key]))
        if "front_end" not in section and "system" not in section:
            self.wrong(
                ("experiment",),
                f"experiment.front_end is missing; it is one of {', '.join(TABLES['front_end'])}; or name a system",
            )

    def group_field(self, key: str, value: object) -> None:
        hints = typing.get_type_hints(GROUPS[key])
        # Values may be ranges, whose every value is judged in its slot.
        wrong = table.mapping_problems(key, value, dict.fromkeys(hints, Any))
        for problem in wrong:
            self.wrong(("experiment", key, *problem.path), problem.text)
        if not isinstance(value, dict):
            return
        for name, item in value.items():
            if name in hints:
                self.slot(f"{key}.{name}", item, functools.partial(_type_problem, f"{key}.{name}", hints[name]))

    def table_field(self, key: str, value: object) -> None:
        rows = TABLES[key]
        if isinstance(value, str) or range_kind(value) is not None:  # a name, or a choice of names or blocks
            self.slot(key, value, lambda each: self.block_problem(key, each))
            return
        if not isinstance(value, dict):
            self.wrong(("experiment", key), f"{key}: expected a name or a mapping with name, found {value!r}")
            return
        by_system = self.rows_by_system(key)
        names: tuple[Any, ...]
        if "name" in value or not by_system:
            default = {each.name: each.default for each in dataclasses.fields(Experiment)}[key]
            name = value.get("name", default.name if isinstance(default, Block) else None)
            self.slot(f"{key}.name", name, lambda each: table.name_problem(key, rows, each))
            names = self.parameters[f"{key}.name"].labels if f"{key}.name" in self.parameters else (name,)
            by_system = {}
        else:
            names = tuple(dict.fromkeys(by_system.values()))
        if any(each not in rows for each in names):
            return
        if f"{key}.name" in self.parameters and self.parameters[f"{key}.name"].when:
            self.wrong(("experiment", key, "name"), f"{key}.name: a name cannot have a condition")
        decider, rows_of = ("system", by_system) if by_system else (f"{key}.name", {each: each for each in names})
        given: dict[str, set[Any]] = {}
        for option, each in value.items():
            if option == "name":
                continue
            condition = each.get("when") if isinstance(each, dict) and range_kind(each) else None
            allowed = condition.get(decider) if isinstance(condition, dict) else None
            met = {one: row for one, row in rows_of.items() if allowed is None or one in as_list(allowed)}
            applies = list(dict.fromkeys(met.values()))
            given[option] = set(applies)
            bad = [row for row in applies if table.option_problem(key, rows, str(row), option)]
            if bad:
                hint = ""
                if len(bad) < len(names):
                    good = ", ".join(str(one) for one, row in rows_of.items() if row not in bad)
                    hint = f"; give it the condition when: {{{decider}: [{good}]}}"
                problem = table.option_problem(key, rows, str(bad[0]), option)
                self.wrong(("experiment", key, option), f"{problem}{hint}")
                continue
            self.slot(f"{key}.{option}", each, functools.partial(_option_problem, key, applies, option))
        for row in names:
            for option, default_value in table.option_defaults(rows[str(row)]).items():
                if default_value is inspect.Parameter.empty and row not in given.get(option, ()):
                    self.wrong(("experiment", key), f"{key}: {row} needs {option!r}")

    def rows_by_system(self, key: str) -> dict[Any, str]:
        """The row of a table that each system of the space names, where the space has systems."""
        systems: tuple[Any, ...] = ()
        if "system" in self.parameters:
            systems = self.parameters["system"].labels
        elif "system" in self.fixed:
            systems = (self.fixed["system"],)
        default = {each.name: each.default for each in dataclasses.fields(Experiment)}[key]
        ours = {"name": default.name} if isinstance(default, Block) else {}
        return {each: SYSTEMS[each].get(key, ours)["name"] for each in systems if each in SYSTEMS}

    def block_problem(self, key: str, value: object) -> str | None:
        try:
            found = table.problems(key, TABLES[key], table.block(value))
        except InputError as error:
            return f"{key}: {error}"
        return "; ".join(problem.text for problem in found) or None

    def slot(self, dotted: str, value: object, check: typing.Callable[[Any], str | None]) -> None:
        """One place of the experiment: a fixed value, or a range every value of which passes `check`."""
        path: KeyPath = ("experiment", *dotted.split("."))
        if range_kind(value) is None:
            problem = check(value)
            if problem:
                self.wrong(path, problem)
            else:
                *parents, last = dotted.split(".")
                place = self.fixed
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[last] = copy.deepcopy(value)
            return
        try:
            parameter = parse_range(dotted, cast(dict[str, Any], value))
        except InputError as error:
            self.wrong(path, str(error))
            return
        self.parameters[dotted] = parameter
        for each in parameter.choices or (parameter.low, parameter.high):
            problem = check(each)
            if problem:
                self.wrong(path, problem)
                break

    def ordered(self) -> tuple[Parameter, ...]:
        """The parameters in an order in which conditions can be judged; wrong conditions become problems."""
        for dotted, parameter in self.parameters.items():
            for problem in condition_problems(parameter, self.parameters):
                self.wrong(("experiment", *dotted.split(".")), problem)
        try:
            return tuple(ordered(self.parameters))
        except InputError as error:
            self.wrong(("experiment",), str(error))
            return ()

    def corners(self, space: Space) -> None:
        """Builds what can be built without a corpus, at both ends of every range."""
        for values in corners(space):
            try:
                experiment = space.experiment(values)
            except InputError as error:
                for problem in error.located:
                    self.wrong(("experiment", *problem.path), problem.text)
                continue
            for key, context in _LIGHT.items():
                try:
                    table.build(key, TABLES[key], getattr(experiment, key), *context())
                except InputError as error:
                    for problem in error.located:
                        self.wrong(("experiment", key, *problem.path), problem.text)
        if space.search.sampler.name == "grid" and n_configurations(space) is None:
            endless = ", ".join(each.path for each in space.searched if each.finite() is None)
            self.wrong(("search", "sampler"), f"search.sampler: grid needs choice or integer everywhere; see {endless}")
        contexts: dict[str, tuple[Any, ...]] = {"scheduler": ("objective", 10), "sampler": (0,)}
        for key, rows in SEARCH_TABLES.items():
            try:
                table.build(f"search.{key}", rows, getattr(space.search, key), *contexts.get(key, ()))
            except InputError as error:
                self.wrong(("search", key), str(error))
        if not self.problems:
            check_first_judgement(space, self.wrong)


def _one_parameter() -> tuple[Any]:
    import torch

    return ([torch.nn.Parameter(torch.zeros(1))],)


_LIGHT: dict[str, typing.Callable[[], tuple[Any, ...]]] = {
    "pairs": lambda: (),
    "loss": lambda: (),
    "classifier": lambda: (8,),
    "optimizer": _one_parameter,
    "lr_schedule": lambda: (10, 10),
}
"""Rows that are cheap to build, and a context to build them with."""


def _option_problem(key: str, names: list[Any], option: str, value: object) -> str | None:
    """What is wrong with an option's value for the first of some rows that refuses it."""
    found = (table.option_problem(key, TABLES[key], str(name), option, value) for name in names)
    return next(filter(None, found), None)


def _type_problem(dotted: str, annotation: Any, value: object) -> str | None:
    return table.value_problem(dotted, value, annotation)
