"""The sections `corpus` and `search` of a space's YAML: plain options and rows of tables, without ranges."""

import typing
from collections.abc import Callable, Mapping
from typing import Any

from core import table
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
from search.space.options import CorpusOptions, SearchOptions
from search.space.space import Space
from search.space.yaml_file import KeyPath

Wrong = Callable[[KeyPath, str], None]
"""Takes a problem and where in the YAML it is."""

SEARCH_TABLES: dict[str, table.Table] = {
    "sampler": SAMPLERS,
    "scheduler": SCHEDULERS,
    "validation": VALIDATIONS,
    "proxy": PROXIES,
    "confirm": CONFIRMATIONS,
}


HOURS = ("hours", "gpu_hours")
"""Limits in hours: any number above 0."""


def read_corpus(section: Mapping[str, Any], wrong: Wrong) -> CorpusOptions:
    """The section `corpus`; what is wrong with it is told to `wrong`."""
    known = ("layout", "path", "on_bad_audio")
    layout = section.get("layout")
    options = {key: value for key, value in section.items() if key not in known}
    problem_of_name = table.name_problem("corpus.layout", CORPORA, layout)
    if problem_of_name:
        wrong(("corpus", "layout"), problem_of_name)
    else:
        for key, value in options.items():
            problem = table.option_problem("corpus", CORPORA, str(layout), key, value)
            if problem:
                wrong(("corpus", key), problem + f"; and {', '.join(known)}")
    if not isinstance(section.get("path"), str):
        wrong(("corpus", "path"), f"corpus.path is {section.get('path')!r}; it must be a folder or file")
    on_bad_audio = section.get("on_bad_audio", "stop")
    if on_bad_audio not in ("stop", "skip"):
        wrong(("corpus", "on_bad_audio"), f"corpus.on_bad_audio is {on_bad_audio!r}; it is stop or skip")
    return CorpusOptions(Block(str(layout), options), str(section.get("path")), on_bad_audio)


def read_search(section: Mapping[str, Any], wrong: Wrong) -> SearchOptions:
    """The section `search`; what is wrong with it is told to `wrong`."""
    hints = {key: Any if key in SEARCH_TABLES else hint for key, hint in typing.get_type_hints(SearchOptions).items()}
    problems = table.mapping_problems("search", section, hints)
    for problem in problems:
        wrong(("search", *problem.path), problem.text)
    refused = {problem.path[0] for problem in problems}
    values: dict[str, Any] = {}
    for key, value in section.items():
        if key in SEARCH_TABLES:
            path = ("search", key)
            block = _block(path, value, wrong)
            if block:
                for problem in table.problems(f"search.{key}", SEARCH_TABLES[key], block):
                    wrong((*path, *problem.path), problem.text)
                values[key] = block
        elif key not in refused:
            values[key] = tuple(value) if isinstance(value, list) else value
    options = SearchOptions(**values)
    if options.objective not in OBJECTIVES:
        known = f"there are {', '.join(OBJECTIVES)}{did_you_mean(options.objective, OBJECTIVES)}"
        wrong(("search", "objective"), f"search.objective is {options.objective!r}; {known}")
    for key in ("trials", "concurrency", "cpus", "patience", *HOURS):
        text = limit_problem(f"search.{key}", key, getattr(options, key))
        if text:
            wrong(("search", key), text)
    if options.gpu_hours and not options.gpus:
        wrong(("search", "gpu_hours"), "search.gpu_hours: a trial takes no GPU (search.gpus is 0)")
    if options.proxy.name != "none" and options.confirm.name == "none":
        what = "trials trained in part give no detector to export; add confirm: retrain"
        wrong(("search", "proxy"), f"search.proxy: {what}")
    if options.deaths < 0:
        wrong(("search", "deaths"), f"search.deaths is {options.deaths}; it must be at least 0")
    if options.gpus < 0 or (options.gpus > 1 and options.gpus != int(options.gpus)):
        wrong(("search", "gpus"), f"search.gpus is {options.gpus}; it is a fraction of one GPU or a number")
    return options


def limit_problem(name: str, key: str, value: float | None) -> str | None:
    """What is wrong with a limit of a search, from a YAML or from the command line; None where it is fine.

    Args:
        name: What the user wrote, such as `search.hours` or `--hours`.
        key: The field of SearchOptions.
        value: Its value; None = no limit.
    """
    if value is None:
        return None
    if key in HOURS:
        return None if value > 0 else f"{name} is {value:g}; it must be above 0"
    return None if value >= 1 else f"{name} is {value}; it must be at least 1"


def _block(path: KeyPath, value: object, wrong: Wrong) -> Block | None:
    try:
        return table.block(value)
    except InputError as error:
        wrong(path, f"{'.'.join(map(str, path))}: {error}")
        return None


def check_first_judgement(space: Space, wrong: Wrong) -> None:
    """A trial must have been evaluated when the scheduler first judges it: without a value it would lose."""
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
            what = f"trials are judged from epoch {grace} on, and evaluate_every is {experiment.evaluate_every}"
            hint = f"give it grace_epochs: {first} or more"
            wrong(("search", "scheduler"), f"search.scheduler: {what}; {hint}")
            return
