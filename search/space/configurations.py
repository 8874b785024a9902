"""Configurations of a space: all of them, those at its corners, the baseline, and one for every feature store."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from core.config import GROUPS, TABLES, Experiment, experiment_from_plain
from core.table import Block, option_defaults
from search.space.parameter import Label, Parameter, Prior, Values, label
from search.space.space import STORE_FIELDS, Space, store_name

NAMES = ("", "name")
"""Ends of the paths of parameters that choose a row of a table, such as `backbone` and `backbone.name`."""

MOST_CONFIGURATIONS = 1_000_000
"""Number up to which configurations are counted."""


def corners(space: Space) -> Iterator[Values]:
    """Configurations for checking a space, in which every choice and both ends of every range occur.

    Of more than 64 choices or integers, only the first and the last occur. A value whose condition cannot be met is
    left out. The other values of a configuration are drawn at random, the same in every call, but a layer occurs with
    every front end, backbone and mode that may not have it. If all corners can be built, then all names, types and
    limits in between are valid, too.

    Yields:
        The configurations; an empty one if the space searches nothing.
    """
    pools = {parameter.path: parameter.finite() or (parameter.low, parameter.high) for parameter in space.searched}
    ends = {path: (pool if len(pool) <= 64 else (pool[0], pool[-1])) for path, pool in pools.items()}
    draw = random.Random(0)
    for parameter in space.searched:
        for value in ends[parameter.path]:
            for partner in ({}, *_partners(space, parameter.path, value, ends)):
                wanted = {parameter.path: value, **partner}
                values = _completed(space, wanted, ends, draw)
                if wanted.items() <= values.items():
                    yield values
    if not space.searched:
        yield {}


def _partners(space: Space, path: str, value: Label, ends: Mapping[str, Sequence[Label]]) -> Iterator[Values]:
    """Values of other parameters with which a value might not be possible, one parameter at a time."""
    if path != "input.layer" or value == "mean":
        return
    for other in space.searched:
        key, _, option = other.path.partition(".")
        if key == "front_end" or (isinstance(value, str) and key in ("system", "mode", "backbone") and option in NAMES):
            yield from ({other.path: label} for label in ends[other.path])


def _completed(space: Space, wanted: Values, ends: Mapping[str, Sequence[Label]], draw: random.Random) -> Values:
    """A configuration in which the wanted parameters are active and have the wanted values, if there is one."""
    wanted = dict(wanted)
    for parameter in reversed(space.searched):  # a parameter comes after those that its condition names
        if parameter.path in wanted:
            for path, allowed in parameter.when.items():
                wanted.setdefault(path, allowed[0])
    values: Values = {}
    for parameter in space.searched:
        if parameter.active(values):
            pool = ends[parameter.path]
            values[parameter.path] = wanted.get(parameter.path, pool[draw.randrange(len(pool))])
    return values


def all_configurations(space: Space, keys: tuple[str, ...] | None = None) -> Iterator[Values]:
    """Every configuration of the finite parameters of a space.

    Args:
        space: The space.
        keys: Fields of the experiment, such as `front_end`. Only the parameters of these fields are enumerated, and
            those that their conditions name. None = all parameters.

    Yields:
        The configurations, in the order of the parameters and their values. Parameters with a continuous range have no
        values and must not be among those enumerated.
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


def n_configurations(space: Space, limit: int = MOST_CONFIGURATIONS) -> int | None:
    """Number of configurations, at most `limit`; None if a range is continuous."""
    pools = [(parameter.finite(), parameter.when) for parameter in space.searched]
    if any(pool is None for pool, _ in pools):
        return None
    if any(len(pool) >= limit for pool, when in pools if pool is not None and not when):
        return limit
    return sum(1 for _ in itertools.islice(all_configurations(space), limit))


def store_experiments(space: Space) -> list[Experiment]:
    """One experiment for every feature store that the space needs; its other fields have their default values."""
    kept = ("system", *STORE_FIELDS)
    distinct: dict[str, Experiment] = {}
    for values in all_configurations(space, kept):
        plain = space.experiment_plain(values)
        experiment = experiment_from_plain({key: plain[key] for key in kept if key in plain})
        distinct.setdefault(store_name(experiment), experiment)
    return list(distinct.values())


def baseline(space: Space) -> Values:
    """The baseline: every hyperparameter has its prior. A search tries it first, and samplers with a prior start there.

    Without any stated prior, it is the configuration of the space that is nearest to the paper's: a range that excludes
    the default contributes its nearest end, and a choice without it its first value.
    """
    values: Values = {}
    for parameter in space.searched:
        if parameter.active(values):
            prior = prior_of(space, parameter, values)
            default = _paper_value(space, parameter.path, values)
            values[parameter.path] = prior.value if prior else parameter.nearest(default)
    return values


def prior_of(space: Space, parameter: Parameter, values: Values) -> Prior | None:
    """What is believed about a hyperparameter: the prior that the space states, else the default if the range has it.

    Args:
        space: The space.
        parameter: A parameter of the space.
        values: Values of the parameters before it. The default of an option depends on the row, such as the backbone.

    Returns:
        The prior, whose value lies in the range; None if the space states none and the range excludes the default.
    """
    if parameter.prior is not None:
        return parameter.prior
    default = _paper_value(space, parameter.path, values)
    if not parameter.holds(default):
        return None
    return Prior(parameter.nearest(default), stated=False)


def _paper_value(space: Space, path: str, values: Values) -> Any:
    """The paper's value at a path: the default of an experiment, a list as its label; None if there is no default."""
    default = _default(space, path, values)
    return label(default) if isinstance(default, list | tuple) else default


def _default(space: Space, path: str, values: Values) -> Any:
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
