"""A search space: what is fixed, what is searched and under which conditions, and how to search."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from core.config import GROUPS, TABLES, Experiment, experiment_from_plain, experiment_to_plain
from core.evaluation.objectives import OBJECTIVES
from core.table import Block, block, resolved
from search.space.options import CorpusOptions, SearchOptions
from search.space.parameter import Label, Parameter, Values

FRONT_END = "lfcc"
"""Stands in where an experiment is needed for its other defaults: the front end itself has none."""

STORE_FIELDS = ("front_end", "audio")
"""Fields of an experiment that determine a feature store."""


@dataclass(frozen=True)
class Space:
    """A search space as its YAML describes it.

    Attributes:
        name: Prefix of the names of its runs.
        corpus: The corpus.
        fixed: The experiment's fixed part, as plain data.
        parameters: The ranges, each after those that its condition names.
        search: How to search.
        plain: The whole YAML as plain data, changes of the command line included.
    """

    name: str
    corpus: CorpusOptions
    fixed: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    search: SearchOptions
    plain: Mapping[str, Any]

    @property
    def metric(self) -> str:
        """The metric that ranks trials: the objective, or its mean over folds of attacks."""
        metric = OBJECTIVES[self.search.objective]
        return metric.name if self.search.validation.name == "dev" else metric.folded

    @property
    def searched(self) -> tuple[Parameter, ...]:
        """The parameters that the sampler decides."""
        return tuple(each for each in self.parameters if each.kind != "value")

    def holds(self, values: Mapping[str, Label]) -> bool:
        """Whether this space could suggest a configuration."""
        met: Values = {}
        for parameter in self.searched:
            if parameter.active(met) != (parameter.path in values):
                return False
            if parameter.path in values:
                value, pool = values[parameter.path], parameter.finite()
                number = not isinstance(value, bool) and isinstance(value, int | float)
                inside = value in pool if pool is not None else number and parameter.low <= value <= parameter.high  # type: ignore[operator]
                if not inside:
                    return False
                met[parameter.path] = value
        return len(met) == len(values)

    def experiment_plain(self, values: Mapping[str, Label]) -> dict[str, Any]:
        """The experiment of a configuration as plain data; parameters that `values` lacks stay at their defaults."""
        plain = copy.deepcopy(dict(self.fixed))
        for parameter in self.parameters:
            if parameter.path in values or (parameter.kind == "value" and parameter.active(values)):
                value = parameter.choices[0] if parameter.kind == "value" else parameter.decoded(values[parameter.path])
                *parents, last = parameter.path.split(".")
                place = plain
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[last] = copy.deepcopy(value)
        return plain

    def experiment(self, values: Mapping[str, Label]) -> Experiment:
        """The experiment of a configuration."""
        return experiment_from_plain(self.experiment_plain(values))

    def resolved(self) -> dict[str, Any]:
        """The space as plain data with every default written out that does not hang on a choice."""
        experiment: dict[str, Any] = {}
        written, all_defaults = self.plain["experiment"], experiment_to_plain(Experiment(Block(FRONT_END)))
        if "system" in written:
            # A system that is searched decides of every default; one that is fixed is written as it stands.
            if "system" not in self.fixed:
                all_defaults = {}
            else:
                known = {key: self.fixed[key] for key in STORE_FIELDS if key in self.fixed}
                all_defaults = experiment_to_plain(experiment_from_plain({"system": self.fixed["system"], **known}))
        for name in dict.fromkeys([*written, *all_defaults]):  # the order of the ranges determines what is suggested
            default = all_defaults.get(name, {})
            given = written.get(name, default)
            fixed = self.fixed.get(name)
            if name in TABLES and (isinstance(fixed, str) or (isinstance(fixed, dict) and "name" in fixed)):
                defaults = resolved(TABLES[name], Block(block(fixed).name)).plain()
                experiment[name] = {**defaults, **(given if isinstance(given, dict) else {})}
            elif name in GROUPS:
                experiment[name] = {**default, **given}
            else:
                experiment[name] = given
        plain = {field.name: getattr(self.search, field.name) for field in fields(self.search)}
        search = {name: value.plain() if isinstance(value, Block) else value for name, value in plain.items()}
        corpus = {"on_bad_audio": self.corpus.on_bad_audio, **self.plain["corpus"]}
        return copy.deepcopy({"name": self.name, "corpus": corpus, "experiment": experiment, "search": search})


def store_name(experiment: Experiment) -> str:
    """What tells the feature stores of a space apart: front end and decoding with every default written out."""
    plain = experiment_to_plain(experiment)
    return json.dumps({key: plain[key] for key in STORE_FIELDS}, sort_keys=True)
