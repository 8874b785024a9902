"""Configurations of a space: all of them, those at its corners, the paper's, and one for every feature store."""

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from core.config import GROUPS, TABLES, Experiment, experiment_from_plain
from core.table import Block, option_defaults
from search.space.parameter import Label, Parameter, Values
from search.space.space import STORE_FIELDS, Space, store_name


def corners(space: Space) -> Iterator[Values]:
    """Configurations that meet every choice and both ends of every range at least once.

    For validation: what builds at the corners builds in between, as far as names, types and limits go.
    """
    pools = {parameter.path: parameter.finite() or (parameter.low, parameter.high) for parameter in space.searched}
    ends = {path: (pool if len(pool) <= 64 else (pool[0], pool[-1])) for path, pool in pools.items()}
    draw = random.Random(0)
    for parameter in space.searched:
        for value in ends[parameter.path]:
            values = _completed(space, {parameter.path: value}, ends, draw)
            if parameter.path in values:
                yield values
    if not space.searched:
        yield {}


def _completed(space: Space, wanted: Values, ends: Mapping[str, tuple[Label, ...]], draw: random.Random) -> Values:
    """A configuration in which the wanted parameters are active with the wanted values, if it can be."""
    wanted = dict(wanted)
    for parameter in reversed(space.searched):  # conditions come before what depends on them
        if parameter.path in wanted:
            for path, allowed in parameter.when.items():
                wanted.setdefault(path, allowed[0])
    values: Values = {}
    for parameter in space.searched:
        if parameter.active(values):
            pool = ends[parameter.path]
            values[parameter.path] = wanted.get(parameter.path, pool[draw.randrange(len(pool))])
    return values


def enumerated(space: Space, keys: tuple[str, ...] | None = None) -> Iterator[Values]:
    """Every configuration of the finite parameters of a space.

    Args:
        space: The space.
        keys: Of the experiment, such as `front_end`: only parameters below these are enumerated, with those that
            their conditions name; None = all parameters.
    """
    needed = {parameter.path for parameter in space.parameters if keys is None or parameter.path.split(".")[0] in keys}
    for parameter in reversed(space.parameters):
        if parameter.path in needed:
            needed.update(parameter.when)
    yield from _enumerate([parameter for parameter in space.searched if parameter.path in needed], {})


def _enumerate(parameters: list[Parameter], values: Values) -> Iterator[Values]:
    if not parameters:
        yield values
        return
    first, *rest = parameters
    if not first.active(values):
        yield from _enumerate(rest, values)
        return
    for value in first.finite() or ():
        yield from _enumerate(rest, {**values, first.path: value})


def n_configurations(space: Space, limit: int = 1_000_000) -> int | None:
    """How many configurations there are (at most `limit`), or None for a continuum."""
    if any(parameter.finite() is None for parameter in space.searched):
        return None
    return sum(1 for _ in itertools.islice(enumerated(space), limit))


def store_experiments(space: Space) -> list[Experiment]:
    """One experiment for every feature store that the space can ask for."""
    kept = ("system", *STORE_FIELDS)
    distinct: dict[str, Experiment] = {}
    for values in enumerated(space, kept):
        plain = space.experiment_plain(values)
        experiment = experiment_from_plain({key: plain[key] for key in kept if key in plain})
        distinct.setdefault(store_name(experiment), experiment)
    return list(distinct.values())


def baseline(space: Space) -> Values:
    """The configuration that comes nearest to the paper's: its value where a range holds that, else the nearest.

    A choice that lacks the paper's value takes its first.
    """
    values: Values = {}
    for parameter in space.searched:
        if parameter.active(values):
            values[parameter.path] = parameter.nearest(_paper_value(space, parameter.path, values))
    return values


def _paper_value(space: Space, path: str, values: Values) -> Any:
    """What an experiment has at a path unless it is told otherwise; None where that has no answer."""
    key, _, option = path.partition(".")
    default = {field.name: field.default for field in fields(Experiment)}.get(key)
    if key == "front_end":
        default = Block("wav2vec")
    if key in GROUPS:
        return getattr(GROUPS[key](), option)
    if key not in TABLES or option in ("", "name"):
        return default.name if isinstance(default, Block) else default
    row = values.get(f"{key}.name", space.fixed.get(key, default))
    name = row.name if isinstance(row, Block) else row.get("name") if isinstance(row, Mapping) else row
    if name is None and isinstance(default, Block):
        name = default.name
    return option_defaults(TABLES[key][str(name)]).get(option) if name in TABLES[key] else None
