"""A search space: fixed values, ranges with conditions, the corpus and the options of the search."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from core.config import GROUPS, TABLES, Experiment, experiment_from_plain, experiment_to_plain
from core.evaluation.objectives import OBJECTIVES
from core.table import Block, block, resolved
from search.space.options import CorpusOptions, EvalCorpus, SearchOptions
from search.space.parameter import Label, Parameter, Values

FRONT_END = "lfcc"
"""Placeholder for reading the defaults of the other fields of an experiment: the front end has no default."""

STORE_FIELDS = ("front_end", "audio")
"""Fields of an experiment that determine a feature store."""


@dataclass(frozen=True)
class Space:
    """A search space as its YAML describes it.

    Attributes:
        name: Prefix of the names of its runs.
        corpus: The corpus.
        fixed: The fixed values of the experiment, as plain data.
        parameters: The parameters; a parameter comes after those that its condition names.
        search: How to search.
        plain: The whole YAML file as plain data, including changes from the command line.
        eval_corpora: Further corpora on which bundles are measured. A search never opens them.
    """

    name: str
    corpus: CorpusOptions
    fixed: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    search: SearchOptions
    plain: Mapping[str, Any]
    eval_corpora: tuple[EvalCorpus, ...] = ()

    @property
    def metric(self) -> str:
        """Name of the metric that ranks trials: the objective on dev, or its mean over the folds of the validation."""
        metric = OBJECTIVES[self.search.objective]
        return metric.name if self.search.validation.name == "dev" else metric.folded

    @property
    def searched(self) -> tuple[Parameter, ...]:
        """The parameters for which the sampler suggests values."""
        return tuple(parameter for parameter in self.parameters if parameter.kind != "value")

    def contains(self, values: Mapping[str, Label]) -> bool:
        """Whether a configuration lies in this space: it has all active parameters, no others, and their values fit."""
        checked: Values = {}
        for parameter in self.searched:
            if parameter.active(checked) != (parameter.path in values):
                return False
            if parameter.path in values:
                if not parameter.holds(values[parameter.path]):
                    return False
                checked[parameter.path] = values[parameter.path]
        return len(checked) == len(values)

    def experiment_plain(self, values: Mapping[str, Label]) -> dict[str, Any]:
        """The experiment of a configuration as plain data; without the parameters that `values` lacks."""
        plain = copy.deepcopy(dict(self.fixed))
        for parameter in self.parameters:
            if parameter.path in values or (parameter.kind == "value" and parameter.active(values)):
                value = parameter.choices[0] if parameter.kind == "value" else parameter.decoded(values[parameter.path])
                *parents, last = parameter.path.split(".")
                mapping = plain
                for parent in parents:
                    mapping = mapping.setdefault(parent, {})
                mapping[last] = copy.deepcopy(value)
        return plain

    def experiment(self, values: Mapping[str, Label]) -> Experiment:
        """The experiment of a configuration; parameters that `values` lacks have their defaults.

        Raises:
            InputError: The experiment is not valid.
        """
        return experiment_from_plain(self.experiment_plain(values))

    def resolved(self) -> dict[str, Any]:
        """The space as plain data, with all defaults that are the same for every configuration."""
        experiment: dict[str, Any] = {}
        written, all_defaults = self.plain["experiment"], experiment_to_plain(Experiment(Block(FRONT_END)))
        if "system" in written:
            # The defaults depend on the system: they are known if it is fixed, not if it is searched.
            if "system" not in self.fixed:
                all_defaults = {}
            else:
                known = {key: self.fixed[key] for key in STORE_FIELDS if key in self.fixed}
                all_defaults = experiment_to_plain(experiment_from_plain({"system": self.fixed["system"], **known}))
        # The written fields come first, in their order: the suggestions depend on the order of the ranges.
        for name in dict.fromkeys([*written, *all_defaults]):
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
    """Key of an experiment's feature store: its front end and decoding with all defaults, as JSON."""
    plain = experiment_to_plain(experiment)
    return json.dumps({key: plain[key] for key in STORE_FIELDS}, sort_keys=True)
