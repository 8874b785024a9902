"""Training of wav2vec (version 1) on speech without labels: features for a new domain (paper, section 2)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from core import table
from core.audio import SAMPLE_RATE
from core.errors import InputError, Problem, TrainingDiverged
from core.features.wav2vec import SIZES, random_wav2vec
from core.features.wav2vec_network import Wav2Vec
from core.lr_schedule import LR_SCHEDULES
from core.optimizer import Adam
from core.pretraining.loss import PredictionLoss, draw_negatives, offset_of, prediction_loss
from core.pretraining.speech import Speech
from core.seeds import derived_seed
from core.table import Block
from core.training.best_epoch import BestEpoch

HEAD_SCALE = 0.01
"""Standard deviation of the initial weights of the prediction head."""

Report = Callable[[dict[str, float], dict[str, Any]], None]


@dataclass(frozen=True)
class Pretraining:
    """Everything that determines a pretrained network, except the speech.

    Attributes:
        size: Shape of the network: `large` as published, `small` for a machine without a GPU, `tiny` for tests.
        n_steps: Number of future frames to predict; K in equation (2).
        n_negatives: Distractors per prediction, drawn uniformly from the other frames of the same stretch of speech.
        negative_weight: Lambda in equation (2), the weight of the mean over the distractors.
        seconds: Length in s of the stretches that recordings are cut into; shorter recordings are left out.
        batch_size: Stretches of a minibatch.
        lr: Maximum learning rate of Adam. The rate rises over the first tenth of the epochs and falls as half a cosine.
        epochs: Passes over the speech.
        held_out: Fraction of the recordings that is held out of training to measure its progress; in (0, 1).
        cache_mb: Decoded speech kept in memory as float16, in MB. The rest is decoded again in every epoch.
        on_bad_audio: `stop`: a recording that cannot be read is an error. `skip`: it is left out.
        seed: Seed of the initial weights, the held-out recordings, the stretches and the distractors.
    """

    size: Literal["large", "small", "tiny"] = "small"
    n_steps: int = 12
    n_negatives: int = 10
    negative_weight: float = 10.0
    seconds: float = 1.5
    batch_size: int = 8
    lr: float = 3e-3
    epochs: int = 50
    held_out: float = 0.05
    cache_mb: int = 2000
    on_bad_audio: Literal["stop", "skip"] = "stop"
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = [
            Problem((name,), f"{name} is {getattr(self, name)}; it must be at least {minimum}")
            for name, minimum in (("n_steps", 1), ("n_negatives", 1), ("batch_size", 1), ("epochs", 1), ("cache_mb", 0))
            if getattr(self, name) < minimum
        ]
        for name in ("negative_weight", "seconds", "lr"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                wrong.append(Problem((name,), f"{name} is {getattr(self, name)}; it must be a positive number"))
        if not 0 < self.held_out < 1:
            wrong.append(Problem(("held_out",), f"held_out is {self.held_out}; it must lie between 0 and 1"))
        shortest = self.shortest() / SAMPLE_RATE
        if not wrong and self.seconds < shortest:
            text = f"seconds is {self.seconds}; {self.n_steps} steps ahead need at least {shortest:.2f}"
            wrong.append(Problem(("seconds",), text))
        if wrong:
            raise InputError(wrong)

    def shortest(self) -> int:
        """Minimum samples of a stretch, so that the farthest prediction has a target frame and a distractor."""
        with torch.device("meta"):
            network = Wav2Vec(SIZES[self.size]())
        return int(network.min_samples + network.hop_length * (offset_of(network) + self.n_steps))


def pretrain(
    options: Pretraining,
    files: Sequence[Path],
    report: Report,
    *,
    device: torch.device | str = "cpu",
    resume: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Pretrains a network; returns the state after the last epoch, which includes the network of the best epoch.

    On the CPU, the result is deterministic to the bit for the same options, files and number of threads, also if the
    training is interrupted after an epoch and resumed.

    Args:
        options: Network and training.
        files: Recordings of speech; their order must be the same when the training resumes.
        report: Function that is called after every epoch with its metrics and the state to save. Metrics: `epoch`,
            `learning_rate`, `seconds` of speech, and the fields of `PredictionLoss` with the prefixes `train_` and
            `held_out_`.
        device: Device that computes.
        resume: Earlier state of the same options and files, as `report` received it; None = start at epoch 1.

    Raises:
        InputError: Too few recordings are long enough, or `resume` belongs to other options.
        AudioError: A recording cannot be read.
        TrainingDiverged: The loss is not finite.
    """
    device = torch.device(device)
    if resume is not None and resume["options"] != asdict(options):
        raise InputError("the checkpoint to resume from belongs to other options")
    if resume is not None and resume["epoch"] == options.epochs:
        return resume
    speech = Speech(
        files,
        seconds=options.seconds,
        held_out=options.held_out,
        cache_mb=options.cache_mb,
        seed=options.seed,
        on_bad_audio=options.on_bad_audio,
    )
    shape = SIZES[options.size](prediction_steps=options.n_steps)
    network = random_wav2vec(shape, seed=derived_seed(options.seed, "weights")).to(device)
    network.requires_grad_(True)
    assert network.prediction_head is not None
    # Predictions start near 0, at chance. Training would have to undo large ones first, at the cost of the features.
    head_generator = torch.Generator().manual_seed(derived_seed(options.seed, "head"))
    head_weights = torch.empty(network.prediction_head.weight.shape).normal_(0, HEAD_SCALE, generator=head_generator)
    network.prediction_head.weight.data.copy_(head_weights)
    optimizer = Adam(network.parameters(), lr=0.0)
    n_batches = max(1, speech.n_stretches(speech.trained) // options.batch_size)
    cosine = Block("cosine", {"lr": options.lr, "warmup_epochs": options.epochs / 10})
    schedule = table.build("lr_schedule", LR_SCHEDULES, cosine, n_batches, options.epochs)
    first, best = 1, BestEpoch(weights_name="network")
    if resume is not None:
        network.load_state_dict(resume["network"])
        optimizer.load_state_dict(resume["optimizer"])
        first = resume["epoch"] + 1
        # Checkpoints of earlier versions contain the loss of the best epoch, but no rank.
        kept = {"rank": [resume["best"]["metrics"]["held_out_loss"]], **resume["best"]}
        best = BestEpoch(kept, weights_name="network")

    state: dict[str, Any] = {}
    for epoch in range(first, options.epochs + 1):
        network.train()
        sums = torch.zeros(3, device=device)
        done, seconds, lr = 0, 0.0, 0.0
        generator = torch.Generator().manual_seed(derived_seed(options.seed, "negatives", epoch))
        epoch_seed = derived_seed(options.seed, "epoch", epoch)
        for waveforms in speech.minibatches(
            speech.trained, batch_size=options.batch_size, n_batches=n_batches, seed=epoch_seed
        ):
            lr = schedule((epoch - 1) * n_batches + done)
            for group in optimizer.param_groups:
                group["lr"] = lr
            losses = _step(network, waveforms.to(device), options, generator)
            optimizer.zero_grad(set_to_none=True)
            losses.loss.backward()
            optimizer.step()
            sums += torch.stack([value.detach() for value in losses])
            done += 1
            seconds += waveforms.numel() / SAMPLE_RATE
        measured = {f"train_{name}": value for name, value in _named(sums / done).items()}
        if not math.isfinite(measured["train_loss"]):
            raise TrainingDiverged(f"the pretraining loss of epoch {epoch} is {measured['train_loss']}")
        held_out = _measure(network, speech, options, device)
        measured |= {f"held_out_{name}": value for name, value in held_out.items()}
        measured |= {"epoch": epoch, "learning_rate": lr, "seconds": seconds}
        best.offer([held_out["loss"]], epoch=epoch, metrics=measured, weights=network.state_dict())
        state = {
            "options": asdict(options),
            "epoch": epoch,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "best": best.kept,
        }
        report(measured, state)
    return state


def best_network(state: dict[str, Any]) -> Wav2Vec:
    """The network of the best epoch of a state, with its prediction head, on the CPU."""
    options = Pretraining(**state["options"])
    network = Wav2Vec(SIZES[options.size](prediction_steps=options.n_steps))
    network.load_state_dict(state["best"]["network"])
    return network.requires_grad_(False).eval()


def _step(network: Wav2Vec, waveforms: Tensor, options: Pretraining, generator: torch.Generator) -> PredictionLoss:
    encoded = network.encode(waveforms)
    predictions = network.predictions(network.contextualize(encoded))
    negatives = draw_negatives(len(encoded), encoded.shape[2], options.n_negatives, generator).to(encoded.device)
    return prediction_loss(
        encoded, predictions, negatives, offset=offset_of(network), negative_weight=options.negative_weight
    )


@torch.no_grad()
def _measure(network: Wav2Vec, speech: Speech, options: Pretraining, device: torch.device) -> dict[str, float]:
    """Mean losses on the held-out speech; every call uses the same stretches and distractors."""
    network.eval()
    generator = torch.Generator().manual_seed(derived_seed(options.seed, "held out"))
    n_batches = max(1, speech.n_stretches(speech.held_out) // options.batch_size)
    seed = derived_seed(options.seed, "held out stretches")
    losses = [
        torch.stack(_step(network, waveforms.to(device), options, generator))
        for waveforms in speech.minibatches(
            speech.held_out, batch_size=options.batch_size, n_batches=n_batches, seed=seed
        )
    ]
    return _named(torch.stack(losses).mean(dim=0))


def _named(values: Tensor) -> dict[str, float]:
    return dict(zip(PredictionLoss._fields, values.tolist(), strict=True))
