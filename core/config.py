"""One experiment as frozen data: the only schema of what is trained. Its defaults are the paper's settings."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core import table
from core.audio import AudioOptions
from core.backbones import BACKBONES
from core.classifier import CLASSIFIERS
from core.errors import InputError
from core.features import FRONT_ENDS
from core.losses import LOSSES
from core.lr_schedule import LR_SCHEDULES
from core.optimizer import OPTIMIZERS
from core.pairs import PAIR_SAMPLERS
from core.table import Block


@dataclass(frozen=True)
class InputOptions:
    """How the features of an utterance become one backbone input.

    Attributes:
        n_frames: Frames of every input: a random crop in training; a shorter utterance is repeated.
        score_windows: Windows of an utterance whose embeddings are averaged outside training, spread evenly from its
            first to its last; 1 = the first alone.
        normalize: What is taken out of each window, per feature: nothing, its mean, or its mean and deviation.
    """

    n_frames: int = 400
    score_windows: int = 1
    normalize: Literal["none", "mean", "mean_variance"] = "none"

    def __post_init__(self) -> None:
        for name in ("n_frames", "score_windows"):
            if getattr(self, name) < 1:
                raise ValueError(f"input: {name} is {getattr(self, name)}; it must be at least 1")

    def positions(self) -> tuple[float, ...]:
        """Where the scored windows begin, from 0 (the first) to 1 (the last)."""
        return tuple(k / max(self.score_windows - 1, 1) for k in range(self.score_windows))


@dataclass(frozen=True)
class Experiment:
    """Everything that determines one trained detector, the corpus apart.

    Attributes:
        front_end: Row of FRONT_ENDS: waveform -> features.
        audio: How a recording is decoded.
        input: How features become a backbone input.
        mode: `siamese`: pairs and a contrastive loss, then the classifier (paper, section 3). `original`: the same
            backbone with a linear layer, trained by cross-entropy in one phase (paper, table 2).
        backbone: Row of BACKBONES: features -> embedding.
        pairs: Row of PAIR_SAMPLERS (siamese mode).
        loss: Row of LOSSES (siamese mode).
        classifier: Row of CLASSIFIERS: embedding -> CM score (siamese mode).
        optimizer: Row of OPTIMIZERS.
        lr_schedule: Row of LR_SCHEDULES.
        epochs: Passes over the training partition.
        batch_size: Utterances of a minibatch, half bona fide and half spoof.
        evaluate_every: Epochs between two evaluations on dev; the last epoch is always evaluated.
        mixed_precision: float16 arithmetic where it is safe; CUDA only, ignored on the CPU.
        seed: Determines initial weights, minibatches, crops and pairs.
    """

    front_end: Block
    audio: AudioOptions = field(default_factory=AudioOptions)
    input: InputOptions = field(default_factory=InputOptions)
    mode: Literal["siamese", "original"] = "siamese"
    backbone: Block = Block("senet34")
    pairs: Block = Block("random")
    loss: Block = Block("contrastive")
    classifier: Block = Block("mlp")
    optimizer: Block = Block("adam")
    lr_schedule: Block = Block("warmup_inverse_sqrt")
    epochs: int = 50
    batch_size: int = 64
    evaluate_every: int = 1
    mixed_precision: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.batch_size < 2 or self.batch_size % 2:
            raise ValueError(f"batch_size is {self.batch_size}; it must be even and at least 2")


TABLES: dict[str, table.Table] = {
    "front_end": FRONT_ENDS,
    "backbone": BACKBONES,
    "pairs": PAIR_SAMPLERS,
    "loss": LOSSES,
    "classifier": CLASSIFIERS,
    "optimizer": OPTIMIZERS,
    "lr_schedule": LR_SCHEDULES,
}
"""Fields of an experiment that name the row of a table."""

GROUPS: dict[str, type] = {"audio": AudioOptions, "input": InputOptions}
"""Fields of an experiment that are a group of plain values."""


def field_types() -> dict[str, Any]:
    """Resolved types of an experiment's fields, in order."""
    hints = typing.get_type_hints(Experiment)
    return {each.name: hints[each.name] for each in dataclasses.fields(Experiment)}


def experiment_from_plain(plain: Mapping[str, Any]) -> Experiment:
    """The experiment that a plain mapping describes, as it stands in a YAML or in a checkpoint.

    Raises:
        InputError: every unknown key, unknown row, unknown option and wrong type, together.
    """
    wrong: list[str] = []
    values: dict[str, Any] = {}
    types = field_types()
    for key, value in plain.items():
        if key not in types:
            wrong.append(f"no field {key!r}; there are {', '.join(types)}{table.did_you_mean(key, types)}")
        elif key in TABLES:
            try:
                values[key] = table.block(value)
            except InputError as error:
                wrong.extend(f"{key}: {problem}" for problem in error.problems)
            else:
                wrong.extend(table.problems(key, TABLES[key], values[key]))
        elif key in GROUPS:
            group, problems = _group(key, value)
            wrong.extend(problems)
            values[key] = group
        elif not table.matches(value, types[key]):
            wrong.append(f"{key} is {value!r}; it must be {table.type_name(types[key])}")
        else:
            values[key] = value
    if "front_end" not in plain:
        wrong.append(f"front_end is missing; it is one of {', '.join(FRONT_ENDS)}")
    if wrong:
        raise InputError(wrong)
    try:
        return Experiment(**values)
    except ValueError as error:
        raise InputError(str(error)) from error


def experiment_to_plain(experiment: Experiment) -> dict[str, Any]:
    """The experiment as plain data with every default written out; `experiment_from_plain` takes it back."""
    plain: dict[str, Any] = {}
    for name in field_types():
        value = getattr(experiment, name)
        if name in TABLES:
            plain[name] = table.resolved(TABLES[name], value).plain()
        elif name in GROUPS:
            plain[name] = dataclasses.asdict(value)
        else:
            plain[name] = value
    return plain


def _group(key: str, value: object) -> tuple[Any, list[str]]:
    kind = GROUPS[key]
    hints = typing.get_type_hints(kind)
    if not isinstance(value, Mapping):
        return None, [f"{key}: expected a mapping of {', '.join(hints)}, found {value!r}"]
    wrong = [
        f"{key}: no {name!r}; it takes {', '.join(hints)}{table.did_you_mean(str(name), hints)}"
        for name in value
        if name not in hints
    ]
    wrong += [
        f"{key}: {name} is {each!r}; it must be {table.type_name(hints[name])}"
        for name, each in value.items()
        if name in hints and not table.matches(each, hints[name])
    ]
    if wrong:
        return None, wrong
    try:
        return kind(**value), []
    except ValueError as error:
        return None, [str(error)]
