"""Reads the sections `corpus`, `eval` and `search` of a space: options and rows of tables, but no ranges."""

import typing
from collections.abc import Callable, Mapping
from typing import Any

from core import table
from core.corpora.corpus import PARTITIONS
from core.corpora.layouts import CORPORA
from core.errors import InputError
from core.evaluation.folds import VALIDATIONS
from core.evaluation.objectives import OBJECTIVES
from core.table import Block, did_you_mean
from search.methods.confirmations import CONFIRMATIONS
from search.methods.proxies import PROXIES
from search.methods.samplers import SAMPLERS
from search.methods.schedulers import SCHEDULERS
from search.space.configurations import corners
from search.space.options import CorpusOptions, EvalCorpus, SearchOptions
from search.space.space import Space
from search.space.yaml_file import KeyPath

AddProblem = Callable[[KeyPath, str], None]
"""Receives the key path and the text of a problem."""

SEARCH_TABLES: dict[str, table.Table] = {
    "sampler": SAMPLERS,
    "scheduler": SCHEDULERS,
    "validation": VALIDATIONS,
    "proxy": PROXIES,
    "confirm": CONFIRMATIONS,
}


HOURS = ("hours", "gpu_hours")
"""Limits in hours, which may be any number above 0."""


def read_corpus(
    section: Mapping[str, Any], add_problem: AddProblem, where: KeyPath = ("corpus",), *, also: tuple[str, ...] = ()
) -> CorpusOptions:
    """Reads the section `corpus`, or another mapping that describes a corpus.

    Args:
        section: The section as plain data.
        add_problem: Called for every problem.
        where: Key path of the section.
        also: Further valid keys, which the caller reads.

    Returns:
        The options; not to be used if there are problems.
    """
    kind = ".".join(map(str, where))
    known = (*also, "layout", "path", "on_bad_audio", "asv_scores")
    layout = section.get("layout")
    options = {key: value for key, value in section.items() if key not in known}
    layout_problem = table.name_problem(f"{kind}.layout", CORPORA, layout)
    if layout_problem:
        add_problem((*where, "layout"), layout_problem)
    else:
        for key, value in options.items():
            problem = table.option_problem(kind, CORPORA, str(layout), key, value)
            if problem:
                add_problem((*where, key), problem + f"; and {', '.join(known)}")
    if not isinstance(section.get("path"), str):
        add_problem((*where, "path"), f"{kind}.path is {section.get('path')!r}; it must be a folder or file")
    on_bad_audio = section.get("on_bad_audio", "stop")
    if on_bad_audio not in ("stop", "skip"):
        add_problem((*where, "on_bad_audio"), f"{kind}.on_bad_audio is {on_bad_audio!r}; it must be stop or skip")
    asv_scores = section.get("asv_scores", {})
    if not isinstance(asv_scores, dict) or not all(isinstance(file, str) for file in asv_scores.values()):
        text = f"{kind}.asv_scores is {asv_scores!r}; it must name a file per partition, such as {{dev: asv_dev.txt}}"
        add_problem((*where, "asv_scores"), text)
        asv_scores = {}
    for partition in asv_scores:
        if partition not in PARTITIONS:
            text = f"{kind}.asv_scores: no partition {partition!r}; there are {', '.join(PARTITIONS)}"
            add_problem((*where, "asv_scores", partition), text)
    return CorpusOptions(Block(str(layout), options), str(section.get("path")), on_bad_audio, asv_scores)


def read_eval(section: object, add_problem: AddProblem) -> tuple[EvalCorpus, ...]:
    """Reads the section `eval`: a list of corpora with names. Arguments and result as in `read_corpus`."""
    if section is None:
        return ()
    if not isinstance(section, list):
        add_problem(("eval",), f"section eval is {section!r}; it must be a list of corpora with name, layout and path")
        return ()
    corpora: list[EvalCorpus] = []
    for number, entry in enumerate(section):
        where = ("eval", number)
        if not isinstance(entry, Mapping):
            add_problem(where, f"eval.{number} is {entry!r}; it must be a mapping with name, layout and path")
            continue
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            add_problem((*where, "name"), f"eval.{number}.name is {name!r}; it must be a word")
        elif name in {corpus.name for corpus in corpora}:
            add_problem((*where, "name"), f"eval.{number}.name: {name!r} is the name of an earlier corpus")
        corpora.append(EvalCorpus(str(name), read_corpus(entry, add_problem, where, also=("name",))))
    return tuple(corpora)


def read_search(section: Mapping[str, Any], add_problem: AddProblem) -> SearchOptions:
    """Reads the section `search`; arguments and result as in `read_corpus`."""
    hints = {key: Any if key in SEARCH_TABLES else hint for key, hint in typing.get_type_hints(SearchOptions).items()}
    problems = table.mapping_problems("search", section, hints)
    for problem in problems:
        add_problem(("search", *problem.path), problem.text)
    refused = {problem.path[0] for problem in problems}
    values: dict[str, Any] = {}
    for key, value in section.items():
        if key in SEARCH_TABLES:
            path = ("search", key)
            block = _block(path, value, add_problem)
            if block:
                for problem in table.problems(f"search.{key}", SEARCH_TABLES[key], block):
                    add_problem((*path, *problem.path), problem.text)
                values[key] = block
        elif key not in refused:
            values[key] = tuple(value) if isinstance(value, list) else value
    options = SearchOptions(**values)
    if options.objective not in OBJECTIVES:
        known = f"there are {', '.join(OBJECTIVES)}{did_you_mean(options.objective, OBJECTIVES)}"
        add_problem(("search", "objective"), f"search.objective is {options.objective!r}; {known}")
    for key in ("trials", "concurrency", "lag", "cpus", "patience", *HOURS):
        text = limit_problem(f"search.{key}", key, getattr(options, key))
        if text:
            add_problem(("search", key), text)
    if options.gpu_hours and not options.gpus:
        add_problem(("search", "gpu_hours"), "search.gpu_hours: trials use no GPU (search.gpus is 0)")
    if options.proxy.name != "none" and options.confirm.name == "none":
        reason = "shortened trainings give no detector to export; add confirm: retrain"
        add_problem(("search", "proxy"), f"search.proxy: {reason}")
    if options.lag is not None and options.scheduler.name == "hyperband":
        reason = "hyperband lets trials wait for each other; with a lag, use asha, median or none"
        add_problem(("search", "lag"), f"search.lag: {reason}")
    if options.deaths < 0:
        add_problem(("search", "deaths"), f"search.deaths is {options.deaths}; it must be at least 0")
    if options.gpus < 0 or (options.gpus > 1 and options.gpus != int(options.gpus)):
        add_problem(("search", "gpus"), f"search.gpus is {options.gpus}; it must be from 0 to 1 or an integer above 1")
    return options


def limit_problem(name: str, key: str, value: float | None) -> str | None:
    """The problem of a limit of a search, from a YAML file or from the command line.

    Args:
        name: Name of the limit for the user, such as `search.hours` or `--hours`.
        key: Field of SearchOptions.
        value: Value of the limit; None = no limit.

    Returns:
        A message; None if the limit is valid.
    """
    if value is None:
        return None
    if key in HOURS:
        return None if value > 0 else f"{name} is {value:g}; it must be above 0"
    return None if value >= 1 else f"{name} is {value}; it must be at least 1"


def _block(path: KeyPath, value: object, add_problem: AddProblem) -> Block | None:
    try:
        return table.block(value)
    except InputError as error:
        add_problem(path, f"{'.'.join(map(str, path))}: {error}")
        return None


def check_grace_epochs(space: Space, add_problem: AddProblem) -> None:
    """Reports a problem if the scheduler could judge a trial before its first evaluation.

    A trial without an objective value would be stopped as one of the worst.
    """
    row = SCHEDULERS[space.search.scheduler.name]
    options: dict[str, Any] = {**table.option_defaults(row), **space.search.scheduler.options}
    grace = options.get("grace_epochs")
    if grace is None:
        return
    proxy = table.build("search.proxy", PROXIES, space.search.proxy)
    for values in corners(space):
        experiment = space.experiment(values)
        experiment = proxy.experiment(experiment) if proxy else experiment
        first = min(experiment.evaluate_every, experiment.epochs)
        if grace < first:
            reason = f"trials are judged from epoch {grace} on, and evaluate_every is {experiment.evaluate_every}"
            hint = f"set grace_epochs to {first} or more"
            add_problem(("search", "scheduler"), f"search.scheduler: {reason}; {hint}")
            return
