"""A search space: what is fixed, what is searched and under which conditions, and how to search."""

import copy
import itertools
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import optuna

from core.config import GROUPS, TABLES, Experiment, experiment_from_plain, experiment_to_plain
from core.objectives import OBJECTIVES
from core.table import Block, block, option_defaults, resolved
from search.parameter import Label, Parameter, Values

optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line for every study would drown what matters

FRONT_END = "lfcc"
"""Stands in where an experiment is needed for its other defaults: the front end itself has none."""

STORE_FIELDS = ("front_end", "audio")
"""Fields of an experiment that determine a feature store."""


@dataclass(frozen=True)
class CorpusOptions:
    """Which corpus, and what to do about recordings that cannot be used.

    Attributes:
        layout: Row of CORPORA and its options.
        path: Folder or file of the corpus, relative to the current folder.
        on_bad_audio: `stop` names the bad recordings and stops; `skip` leaves them out and lists them.
    """

    layout: Block
    path: str
    on_bad_audio: Literal["stop", "skip"] = "stop"


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        objective: Metric that is optimised, best epoch of a trial.
        validation: Row of VALIDATIONS: dev, or attacks that are left out of training.
        cost: What the sampler is to keep low besides, so that it looks for the whole front of good and cheap detectors:
            `gmacs` or `parameters`, of scoring an utterance; what is exported is the best all the same.
        sampler: Row of SAMPLERS: what suggests the next configuration.
        scheduler: Row of SCHEDULERS: what stops a trial early.
        trials: Configurations to try.
        baseline: Whether the first of them is the paper's, as nearly as the space holds it.
        warm_start: Runs in the same storage whose trials the sampler learns from, where this space could suggest them.
        proxy: Row of PROXIES: trials that are trained in part, for `confirm` to train the best in full.
        confirm: Row of CONFIRMATIONS: the best configurations trained again with fresh seeds.
        hours: Wall-clock limit; None = no limit.
        gpu_hours: Limit of the GPU-hours of all trials together; None = no limit.
        patience: The search ends after so many trials in a row that found nothing better; None = never.
        deaths: How often a trial whose process or node died is started again, from its last epoch.
        concurrency: Trials at a time; None = as many as the resources hold.
        cpus: CPUs a trial; its arithmetic uses as many threads.
        gpus: GPUs a trial; a fraction shares one.
        seed: Determines what the sampler suggests.
        storage: Folder or URL of runs and feature stores.
        node_cache: Folder of each node's own disk, into which its trials copy feature stores once; None = they read
            them where they lie, or for a URL in the node's working copy.
    """

    objective: str = "dev_eer"
    validation: Block = Block("dev")
    cost: Literal["none", "gmacs", "parameters"] = "none"
    sampler: Block = Block("tpe")
    scheduler: Block = Block("asha")
    trials: int = 20
    baseline: bool = True
    warm_start: tuple[str, ...] = ()
    proxy: Block = Block("none")
    confirm: Block = Block("none")
    hours: float | None = None
    gpu_hours: float | None = None
    patience: int | None = None
    deaths: int = 5
    concurrency: int | None = None
    cpus: int = 1
    gpus: float = 0.0
    seed: int = 0
    storage: str = "storage"
    node_cache: str | None = None


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

    def suggest(self, trial: optuna.trial.BaseTrial) -> Values:
        """One configuration from Optuna; parameters whose condition does not hold are not asked for."""
        values: Values = {}
        for parameter in self.searched:
            if parameter.active(values):
                values[parameter.path] = parameter.suggest(trial)
        return values

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Optuna's distribution of every searched parameter."""
        found: dict[str, optuna.distributions.BaseDistribution] = {}
        for parameter in self.searched:
            trial = optuna.create_study().ask()
            parameter.suggest(trial)
            found.update(trial.distributions)
        return found

    def baseline(self) -> Values:
        """The configuration that comes nearest to the paper's: its value where a range holds that, else the nearest.

        A choice that lacks the paper's value takes its first.
        """
        values: Values = {}
        for parameter in self.searched:
            if parameter.active(values):
                values[parameter.path] = parameter.nearest(self._paper_value(parameter.path, values))
        return values

    def _paper_value(self, path: str, values: Values) -> Any:
        """What an experiment has at a path unless it is told otherwise; None where that has no answer."""
        key, _, option = path.partition(".")
        default = {each.name: each.default for each in fields(Experiment)}.get(key)
        if key == "front_end":
            default = Block("wav2vec")
        if key in GROUPS:
            return getattr(GROUPS[key](), option)
        if key not in TABLES or option in ("", "name"):
            return default.name if isinstance(default, Block) else default
        row = values.get(f"{key}.name", self.fixed.get(key, default))
        name = row.name if isinstance(row, Block) else row.get("name") if isinstance(row, Mapping) else row
        if name is None and isinstance(default, Block):
            name = default.name
        return option_defaults(TABLES[key][str(name)]).get(option) if name in TABLES[key] else None

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

    def random_values(self, seed: int) -> Values:
        """A configuration drawn uniformly, for showing what a space holds."""
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        return self.suggest(study.ask())

    def corners(self) -> Iterator[Values]:
        """Configurations that meet every choice and both ends of every range at least once.

        For validation: what builds at the corners builds in between, as far as names, types and limits go.
        """
        pools = {each.path: each.finite() or (each.low, each.high) for each in self.searched}
        ends = {path: (pool if len(pool) <= 64 else (pool[0], pool[-1])) for path, pool in pools.items()}
        draw = random.Random(0)
        for parameter in self.searched:
            for value in ends[parameter.path]:
                values = self._completed({parameter.path: value}, ends, draw)
                if parameter.path in values:
                    yield values
        if not self.searched:
            yield {}

    def _completed(self, wanted: Values, ends: Mapping[str, tuple[Label, ...]], draw: random.Random) -> Values:
        """A configuration in which the wanted parameters are active with the wanted values, if it can be."""
        wanted = dict(wanted)
        for parameter in reversed(self.searched):  # conditions come before what depends on them
            if parameter.path in wanted:
                for path, allowed in parameter.when.items():
                    wanted.setdefault(path, allowed[0])
        values: Values = {}
        for parameter in self.searched:
            if parameter.active(values):
                pool = ends[parameter.path]
                values[parameter.path] = wanted.get(parameter.path, pool[draw.randrange(len(pool))])
        return values

    def enumerated(self, fields: tuple[str, ...] | None = None) -> Iterator[Values]:
        """Every configuration of the parameters that are finite and lie in `fields` (None: all of them).

        Parameters that conditions name are enumerated with those that depend on them.
        """
        needed = {each.path for each in self.parameters if fields is None or each.path.split(".")[0] in fields}
        for parameter in reversed(self.parameters):
            if parameter.path in needed:
                needed.update(parameter.when)
        yield from self._enumerate([each for each in self.searched if each.path in needed], {})

    def _enumerate(self, parameters: list[Parameter], values: Values) -> Iterator[Values]:
        if not parameters:
            yield values
            return
        first, *rest = parameters
        if not first.active(values):
            yield from self._enumerate(rest, values)
            return
        for value in first.finite() or ():
            yield from self._enumerate(rest, {**values, first.path: value})

    def n_configurations(self, limit: int = 1_000_000) -> int | None:
        """How many configurations there are (at most `limit`), or None for a continuum."""
        if any(each.finite() is None for each in self.searched):
            return None
        return sum(1 for _ in itertools.islice(self.enumerated(), limit))

    def store_experiments(self) -> list[Experiment]:
        """One experiment for every feature store that the space can ask for."""
        distinct: dict[str, Experiment] = {}
        for values in self.enumerated(("system", *STORE_FIELDS)):
            plain = self.experiment_plain(values)
            kept = ("system", *STORE_FIELDS)
            experiment = experiment_from_plain({key: plain[key] for key in kept if key in plain})
            distinct.setdefault(store_name(experiment), experiment)
        return list(distinct.values())


def store_name(experiment: Experiment) -> str:
    """What tells the feature stores of a space apart: front end and decoding with every default written out."""
    plain = experiment_to_plain(experiment)
    return json.dumps({key: plain[key] for key in STORE_FIELDS}, sort_keys=True)
