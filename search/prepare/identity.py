"""Identity of what a run was made from: its corpus and pretrained weights, by content, as at its launch.

`record_identity` writes the file IDENTITY into the folder of a new run. Every later stage compares corpus and weights
with it, so that no ranking, bundle or report mixes results of two corpora. Paths do not count: a corpus or weights may
lie elsewhere.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.atomic import replacing
from core.config import Experiment
from core.corpora.corpus import Utterance
from core.errors import InputError
from core.features.weights import without_places
from core.stores.contents import content_digests
from core.stores.key import identity_row
from core.table import block
from search.prepare.plan import SEARCHED_PARTITIONS, Plan
from search.runs.run import Run
from search.space.reader import read_space
from search.space.space import store_name

IDENTITY = "identity.json"
"""File in the folder of a run: facts and SHA-256 of all utterances, and SHA-256 of all weights."""

UtteranceFacts = dict[str, list[Any]]
"""Utterance id -> label, speaker, attack, maker of the copy, and SHA-256 of the recording."""


def record_identity(run: Run, plan: Plan) -> None:
    """Records the corpus and the weights of a plan in the folder of a run; earlier records are kept.

    Raises:
        AudioError: A recording cannot be read.
        OSError: The folder cannot be written.
    """
    known = _recorded(run) or {"partitions": {}, "weights": {}}
    current = {name: _facts(plan.corpus.partition(name), plan) for name in SEARCHED_PARTITIONS}
    weights = {store_name(store.experiment): dict(store.weights) for store in plan.stores}
    identity = {"partitions": {**current, **known["partitions"]}, "weights": {**known["weights"], **weights}}
    with replacing(run.path / IDENTITY) as temporary:
        temporary.write_text(json.dumps(identity), encoding="utf-8")


def check_identity(run: Run, plan: Plan, *, corpus_may_differ: bool = False, new_weights: bool = False) -> None:
    """Compares the corpus and the weights of a plan with those of the launch of a run.

    A run of an earlier version has no record: nothing is compared, and its corpus may not be named again.

    Args:
        run: The run.
        plan: Plan of the run, with the corpus and the weights of now.
        corpus_may_differ: Whether another corpus is accepted.
        new_weights: Whether the user consents to weights of other content at other paths.

    Raises:
        InputError: The corpus or the weights are not those of the launch; the message says what differs.
    """
    recorded = _recorded(run)
    if recorded is None:
        own = read_space(run.path / "space.yaml").corpus.path
        if plan.space.corpus.path != own:
            why = "an earlier version launched it, which did not record the content of its corpus"
            raise InputError(f"run {run.name}: its corpus is {own} and cannot be named again: {why}")
        return
    problems = list(_weights_problems(recorded["weights"], plan, new_weights=new_weights))
    if problems:
        option = "--set experiment.front_end.checkpoint=FILE (or weights, model: as the space has it)"
        raise InputError([*problems, f"run {run.name}: put the weights of its launch back, or name them with {option}"])
    if corpus_may_differ:
        return
    for name, facts in recorded["partitions"].items():
        difference = _difference(facts, _facts(plan.corpus.partition(name), plan))
        if difference:
            problems.append(f"{plan.corpus.root}: {name} has changed since run {run.name} was launched: {difference}")
    if problems:
        space = shlex.quote(str(run.path / "space.yaml"))
        options = f"--set 'search.warm_start=[{run.name}]'{plan.storage.option}"
        raise InputError(
            [
                *problems,
                "results on two corpora cannot be compared; put the corpus back, or name a copy of it as it was with "
                "--set corpus.path=PATH",
                "for the corpus of now, launch a new run that learns from this one: "
                f"spooftune launch {space} {options}",
                f"spooftune export {run.name} --changed-corpus{plan.storage.option} exports a detector of this run and "
                "measures it on the corpus of now",
            ]
        )


def placed_experiment(experiment: Experiment, run: Run, plan: Plan) -> Experiment:
    """An experiment whose front end reads its weights from where the plan has them now.

    Args:
        experiment: Experiment of a trial, with the paths of its training.
        run: The run.
        plan: Plan of the run, with the paths of now.
    """
    planned = {store_name(store.experiment): store for store in plan.stores}
    if store_name(experiment) in planned:
        return experiment
    recorded = (_recorded(run) or {"weights": {}})["weights"].get(store_name(experiment))
    for store in planned.values():
        if _same_but_place(store.experiment, experiment) and (
            recorded is None or _contents(recorded) == _contents(store.weights)
        ):
            return replace(experiment, front_end=store.experiment.front_end)
    return experiment


def _recorded(run: Run) -> dict[str, Any] | None:
    path = run.path / IDENTITY
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _facts(utterances: Sequence[Utterance], plan: Plan) -> UtteranceFacts:
    contents = content_digests([utterance.path for utterance in utterances], plan.storage.folder / "stores")
    return {
        utterance.utterance_id: [*identity_row(utterance)[1:], content]
        for utterance, content in zip(utterances, contents, strict=True)
    }


def _difference(before: UtteranceFacts, now: UtteranceFacts) -> str:
    """What differs between two versions of a partition; empty if they are equal."""
    missing = [name for name in before if name not in now]
    added = [name for name in now if name not in before]
    common = [name for name in before if name in now]
    counts = {
        "missing": missing,
        "new": added,
        "with another recording": [name for name in common if before[name][-1] != now[name][-1]],
        "with another label, speaker, attack or maker": [n for n in common if before[n][:-1] != now[n][:-1]],
    }
    parts = [f"{len(names)} {what}, such as {names[0]}" for what, names in counts.items() if names]
    if not parts:
        return "the utterances are in another order" if list(before) != list(now) else ""
    return f"it had {len(before)} utterances and has {len(now)}; {'; '.join(parts)}"


def _weights_problems(recorded: Mapping[str, Mapping[str, str]], plan: Plan, *, new_weights: bool) -> list[str]:
    """Front ends of a plan whose weights are not those that the run recorded."""
    problems = {}
    for store in plan.stores:
        name, weights = store_name(store.experiment), dict(store.weights)
        expected = [recorded[name]] if name in recorded else []
        if not expected and not new_weights:
            expected = [known for other, known in recorded.items() if _identical_but_place(name, other)]
        if expected and _contents(weights) not in map(_contents, expected):
            was = " or ".join(", ".join(f"{file} {digest}" for file, digest in known.items()) for known in expected)
            has = ", ".join(f"{file} {digest}" for file, digest in weights.items())
            front_end = store.experiment.front_end.name
            problems[name] = f"front_end: {front_end}: the weights have SHA-256 {has}; the run was launched with {was}"
    return list(problems.values())


def _identical_but_place(name: str, other: str) -> bool:
    """Whether two stores, by `store_name`, have equal front ends and decoding apart from the places of weights."""
    first, second = json.loads(name), json.loads(other)
    parts = [(without_places(block(plain["front_end"])), plain["audio"]) for plain in (first, second)]
    return parts[0] == parts[1]


def _same_but_place(first: Experiment, second: Experiment) -> bool:
    return _identical_but_place(store_name(first), store_name(second))


def _contents(weights: Mapping[str, str]) -> list[str]:
    """Digests of weights without the names of their files, which may have changed with the place."""
    return sorted(weights.values())
