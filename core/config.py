"""The experiment: the one schema of a training, as frozen data. Its defaults follow the paper where it gives a value.

Values that the paper leaves open are ours, such as the width of a backbone or the number of frames.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from core import table
from core.audio import AudioOptions
from core.backbones import BACKBONES, LAYERED_BACKBONES
from core.classifiers import CLASSIFIERS
from core.errors import InputError, Problem, problems_of
from core.features import FRONT_ENDS
from core.features.augmentation import AugmentOptions
from core.gmm import GmmOptions
from core.heads import HEADS
from core.lr_schedule import LR_SCHEDULES
from core.optimizer import OPTIMIZERS
from core.siamese.losses import LOSSES
from core.siamese.pairs import PAIR_SAMPLERS, n_minibatches
from core.stores.inputs import InputOptions
from core.systems import SYSTEMS, laid_over, system_problem
from core.table import Block


@dataclass(frozen=True)
class Experiment:
    """Everything that determines one trained detector, except the corpus.

    Attributes:
        front_end: Row of FRONT_ENDS: waveform -> features.
        audio: How a recording is decoded.
        input: How features become a backbone input.
        augment: How features are changed in training.
        widen: Rows of WIDENERS. Training uses their copies of train's utterances besides the originals. The corpus must
            have these copies (see `core.corpora.copies.widen`).
        mode: `siamese`: pairs and a contrastive loss, then the classifier (paper, section 3). `original`: the same
            backbone and a head, trained in one phase (paper, table 2). `multiclass`: backbone and head learn to
            distinguish bona fide speech and every attack of train, then the classifier (LC-GRNN of table 1).
            `classifier`: only the classifier, on the embeddings of the untrained backbone (one epoch). `gmm`: two
            Gaussian mixtures of single frames, no network; an epoch is one iteration of EM.
        backbone: Row of BACKBONES: features -> embedding.
        pairs: Row of PAIR_SAMPLERS (siamese mode).
        loss: Row of LOSSES (siamese mode).
        classifier: Row of CLASSIFIERS: embedding -> CM score (siamese, multiclass and classifier modes).
        head: Row of HEADS: last layer and loss (original and multiclass modes).
        gmm: Options of the mixtures (gmm mode).
        optimizer: Row of OPTIMIZERS.
        lr_schedule: Row of LR_SCHEDULES.
        epochs: Passes over the training partition.
        batch_size: Utterances of a minibatch, half bona fide and half spoofed; even.
        steps_per_epoch: Minibatches of an epoch. None = as many as the utterances of train fill, which are few on a
            small corpus: 12 epochs of 1,024 utterances are 192 steps, the paper's 50 epochs of LA19 are 19,800.
        steps: Minibatches of the whole training, instead of `epochs`; it needs `steps_per_epoch`, and is rounded up to
            whole epochs. Learning rates, evaluations and the scheduler of a search then count steps, in units of
            `steps_per_epoch`.
        evaluate_every: Epochs between two evaluations on dev; the last epoch is always evaluated.
        average_epochs: Number of last epochs whose weights are averaged. The average is evaluated and exported, while
            training continues with its own weights. 1 = no averaging.
        snapshot_epochs: Epochs whose detector is kept besides the best one, for plots of embeddings (figures 2, 3).
        mixed_precision: Whether float16 is used where it is safe; CUDA only, ignored on the CPU.
        seed: Seed of the initial weights, minibatches, crops and pairs.
    """

    front_end: Block
    audio: AudioOptions = field(default_factory=AudioOptions)
    input: InputOptions = field(default_factory=InputOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    widen: tuple[str, ...] = ()
    mode: Literal["siamese", "original", "multiclass", "classifier", "gmm"] = "siamese"
    backbone: Block = Block("senet34")
    pairs: Block = Block("random")
    loss: Block = Block("contrastive")
    classifier: Block = Block("mlp")
    head: Block = Block("linear")
    gmm: GmmOptions = field(default_factory=GmmOptions)
    optimizer: Block = Block("adam")
    lr_schedule: Block = Block("warmup_inverse_sqrt")
    epochs: int = 50
    batch_size: int = 64
    steps_per_epoch: int | None = None
    steps: int | None = None
    evaluate_every: int = 1
    average_epochs: int = 1
    snapshot_epochs: tuple[int, ...] = ()
    mixed_precision: bool = True
    seed: int = 0

    def n_steps(self, n_utterances: int) -> int:
        """Minibatches of an epoch on this many training utterances; 0 in the modes without minibatches."""
        if self.mode in ("classifier", "gmm"):
            return 0
        return self.steps_per_epoch or n_minibatches(n_utterances, self.batch_size)

    def __post_init__(self) -> None:
        if self.steps is not None:
            object.__setattr__(self, "epochs", self._epochs_of_steps(self.steps))
        for name in ("epochs", "evaluate_every", "average_epochs"):
            if getattr(self, name) < 1:
                raise InputError(Problem((name,), f"{name} is {getattr(self, name)}; it must be at least 1"))
        if self.steps_per_epoch is not None and self.steps_per_epoch < 1:
            text = f"steps_per_epoch is {self.steps_per_epoch}; it must be at least 1"
            raise InputError(Problem(("steps_per_epoch",), text))
        if self.steps_per_epoch is not None and self.mode in ("classifier", "gmm"):
            text = f"steps_per_epoch is {self.steps_per_epoch}; mode {self.mode} has no minibatches: leave it out"
            raise InputError(Problem(("steps_per_epoch",), text))
        if any(epoch < 1 for epoch in self.snapshot_epochs):
            text = f"snapshot_epochs is {list(self.snapshot_epochs)}; the first epoch is 1"
            raise InputError(Problem(("snapshot_epochs",), text))
        if self.mode == "classifier" and self.epochs != 1:
            text = f"epochs is {self.epochs}; mode classifier trains no network: it must be 1"
            raise InputError(Problem(("epochs",), text))
        if self.average_epochs > 1 and self.mode in ("classifier", "gmm"):
            text = f"average_epochs is {self.average_epochs}; mode {self.mode} has no weights to average: it must be 1"
            raise InputError(Problem(("average_epochs",), text))
        if self.input.layer in ("mix", "all"):
            problem = self._layers_problem()
            if problem:
                raise InputError(Problem(("input", "layer"), f"input.layer is {self.input.layer}; {problem}"))
        if self.batch_size < 2 or self.batch_size % 2:
            text = f"batch_size is {self.batch_size}; it must be even and at least 2"
            raise InputError(Problem(("batch_size",), text))

    def _epochs_of_steps(self, steps: int) -> int:
        """Epochs that hold `steps` minibatches.

        Raises:
            InputError: There are no such epochs.
        """
        size = self.steps_per_epoch
        if steps < 1:
            raise InputError(Problem(("steps",), f"steps is {steps}; it must be at least 1"))
        if size is None or size < 1:
            text = f"steps is {steps}, but steps_per_epoch is {size}; give it the steps between two evaluations"
            raise InputError(Problem(("steps",), text))
        epochs = -(-steps // size)
        if self.epochs not in (epochs, Experiment.epochs):
            text = f"epochs is {self.epochs}, but {steps} steps are {epochs} epochs of {size}; leave epochs out"
            raise InputError(Problem(("epochs",), text))
        return epochs

    def _layers_problem(self) -> str | None:
        """Why this experiment cannot read all layers of a front end as `input.layer` demands, or None."""
        if self.mode == "gmm":
            return "mode gmm models the frames of one layer: it must be the index of a layer, or mean"
        if self.input.layer == "mix":
            untrained = "mode classifier trains no weights of layers: it must be the index of a layer, or mean"
            return untrained if self.mode == "classifier" else None
        if self.backbone.name in LAYERED_BACKBONES:
            return None
        valid = ", ".join(sorted(LAYERED_BACKBONES)) or "none"
        return f"backbone {self.backbone.name} takes one layer; those that take all: {valid}"


TABLES: dict[str, table.Table] = {
    "front_end": FRONT_ENDS,
    "backbone": BACKBONES,
    "pairs": PAIR_SAMPLERS,
    "loss": LOSSES,
    "classifier": CLASSIFIERS,
    "head": HEADS,
    "optimizer": OPTIMIZERS,
    "lr_schedule": LR_SCHEDULES,
}
"""Fields of an experiment that name a row of a table, with the table."""

GROUPS: dict[str, type] = {"audio": AudioOptions, "input": InputOptions, "augment": AugmentOptions, "gmm": GmmOptions}
"""Fields of an experiment that are a group of plain values, with the type of the group."""


def field_types() -> dict[str, Any]:
    """Resolved types of an experiment's fields, by field name, in the order of the fields."""
    hints = typing.get_type_hints(Experiment)
    return {field.name: hints[field.name] for field in dataclasses.fields(Experiment)}


def experiment_from_plain(plain: Mapping[str, Any]) -> Experiment:
    """The experiment that a plain mapping describes, as a YAML file or a checkpoint contains it.

    Args:
        plain: Fields of an experiment. `system` names a row of SYSTEMS, whose fields the others override.

    Raises:
        InputError: The mapping has unknown keys, rows or options, or values of a wrong type. All of them are listed.
    """
    values: dict[str, Any] = {}
    if "system" in plain:
        problem = system_problem(plain["system"])
        if problem:
            raise InputError(Problem(("system",), problem))
        plain = laid_over(SYSTEMS[plain["system"]], {key: value for key, value in plain.items() if key != "system"})
    hints = {key: Any if key in TABLES or key in GROUPS else hint for key, hint in field_types().items()}
    wrong = table.mapping_problems("experiment", plain, {"system": Any, **hints})
    for key, value in plain.items():
        if key in TABLES:
            try:
                values[key] = table.block(_named(key, value))
            except InputError as error:
                wrong.extend(Problem((key,), f"{key}: {problem}") for problem in error.problems)
            else:
                wrong.extend(problem.within(key) for problem in table.problems(key, TABLES[key], values[key]))
        elif key in GROUPS:
            values[key], problems = _group(key, value)
            wrong.extend(problem.within(key) for problem in problems)
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    if "front_end" not in plain:
        wrong.append(Problem((), f"front_end is missing; it is one of {', '.join(FRONT_ENDS)}"))
    if wrong:
        raise InputError(wrong)
    return Experiment(**values)


def experiment_to_plain(experiment: Experiment) -> dict[str, Any]:
    """The experiment as plain data with every default written out; the inverse of `experiment_from_plain`."""
    plain: dict[str, Any] = {}
    for name in field_types():
        value = getattr(experiment, name)
        if name in TABLES:
            plain[name] = table.resolved(TABLES[name], value).plain()
        elif name in GROUPS:
            plain[name] = dataclasses.asdict(value)
        else:
            plain[name] = list(value) if isinstance(value, tuple) else value
    return plain


def _named(key: str, value: object) -> object:
    """The value of a block field. Options without a name get the name of the field's default."""
    default = {field.name: field.default for field in dataclasses.fields(Experiment)}[key]
    if isinstance(value, Mapping) and "name" not in value and isinstance(default, Block):
        return {"name": default.name, **value}
    return value


def _group(key: str, value: object) -> tuple[Any, Sequence[Problem]]:
    """The group that a mapping describes, and its problems; the group is None if there are problems."""
    kind = GROUPS[key]
    wrong = table.mapping_problems(key, value, typing.get_type_hints(kind))
    if wrong or not isinstance(value, Mapping):
        return None, wrong
    try:
        return kind(**value), []
    except ValueError as error:
        return None, problems_of(error)
