"""Training of wav2vec (version 1) on speech without labels: features for a domain of one's own (paper, section 2)."""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from core import audio, table
from core.audio import SAMPLE_RATE, AudioOptions
from core.errors import InputError, TrainingDiverged
from core.features.wav2vec import SIZES, random_wav2vec
from core.features.wav2vec_network import Wav2Vec
from core.lr_schedule import LR_SCHEDULES
from core.optimizer import Adam
from core.seeds import derived_seed
from core.table import Block

HEAD_SCALE = 0.01
"""Standard deviation of the prediction head's initial weights."""

Report = Callable[[dict[str, float], dict[str, Any]], None]


@dataclass(frozen=True)
class Pretraining:
    """Everything that determines a pretrained network, the speech apart.

    Attributes:
        size: Shape of the network: `large` as published, `small` for a machine without a GPU, `tiny` for tests.
        n_steps: Steps ahead that are predicted; K in equation (2).
        n_negatives: Distractors for each, drawn evenly from the other frames of the same stretch of speech.
        negative_weight: Lambda in equation (2), the weight of the distractors' mean.
        seconds: Length of the stretches that recordings are cut into; what is shorter is left out.
        batch_size: Stretches a step.
        lr: Highest learning rate of Adam; it rises over the first tenth of the epochs and falls as half a cosine.
        epochs: Passes over the speech.
        held_out: Share of the recordings that measures how far it has come; none of them is trained on.
        cache_mb: Decoded speech kept in memory, as float16; what exceeds it is decoded anew in each epoch.
        seed: Determines initial weights, the recordings held out, stretches and distractors.
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
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {getattr(self, name)}; it must be at least {least}"
            for name, least in (("n_steps", 1), ("n_negatives", 1), ("batch_size", 1), ("epochs", 1), ("cache_mb", 0))
            if getattr(self, name) < least
        ]
        for name in ("negative_weight", "seconds", "lr"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                wrong.append(f"{name} is {getattr(self, name)}; it must be a positive number")
        if not 0 < self.held_out < 1:
            wrong.append(f"held_out is {self.held_out}; it must lie between 0 and 1")
        shortest = self.shortest() / SAMPLE_RATE
        if not wrong and self.seconds < shortest:
            wrong.append(f"seconds is {self.seconds}; {self.n_steps} steps ahead need at least {shortest:.2f}")
        if wrong:
            raise ValueError("; ".join(wrong))

    def shortest(self) -> int:
        """Samples that a stretch must have, so that the farthest step has a frame and another as its distractor."""
        with torch.device("meta"):
            network = Wav2Vec(SIZES[self.size]())
        return int(network.min_samples + network.hop_length * (offset_of(network) + self.n_steps))


class PredictionLoss(NamedTuple):
    """What one minibatch gives.

    Attributes:
        loss: Mean over predictions of equation (2)'s summand; chance is `(1 + lambda) * log 2`.
        info_nce: Mean cross-entropy of finding the true frame among it and its distractors; chance is
            `log(1 + n_negatives)`.
        accuracy: Share of predictions for which the true frame ranks first.
    """

    loss: Tensor
    info_nce: Tensor
    accuracy: Tensor


def offset_of(network: Wav2Vec) -> int:
    """Frames to the first that shares no sample with the present one: receptive field over stride, rounded up."""
    return math.ceil(network.min_samples / network.hop_length)


def prediction_loss(
    encoded: Tensor, predictions: Tensor, negatives: Tensor, *, offset: int, negative_weight: float
) -> PredictionLoss:
    """The logistic loss of wav2vec, equations (1) and (2).

    Printed, equation (2) takes the logarithm of a sigmoid of what is one already; meant, and computed here, is
    `-log sigmoid(z' h_k(c)) - lambda * mean of log sigmoid(-z~' h_k(c))`. Step k = 0, 1, ... predicts the frame
    `offset + k` ahead; predictions beyond the end count nothing.

    Args:
        encoded: Encoder features z, `(batch, channels, n_frames)`.
        predictions: h_k(c) of each frame and step, `(batch, channels, n_frames, n_steps)`.
        negatives: For each frame as a target the frames that distract from it, `(batch, n_frames, n_negatives)`.
        offset: Steps to the first frame predicted.
        negative_weight: Lambda.
    """
    batch, _, n_frames, n_steps = predictions.shape
    # Every product of a prediction with a frame: for stretches of a second or two less work than gathering vectors.
    products = torch.einsum("bctk,bcs->bkts", predictions, encoded)
    present = torch.arange(n_frames, device=encoded.device)
    total, cross, right, count = (encoded.new_zeros(()) for _ in range(4))
    for step in range(n_steps):
        ahead = offset + step
        n = n_frames - ahead
        if n < 1:
            break
        rows = products[:, step, :n]  # (batch, n, n_frames)
        targets = (present[:n] + ahead).expand(batch, n)
        chosen = torch.cat([targets[..., None], negatives[:, ahead:]], dim=2)
        scores = rows.gather(2, chosen)  # the true frame first
        distraction = F.softplus(scores[..., 1:]).mean(dim=2)
        total = total + (F.softplus(-scores[..., 0]) + negative_weight * distraction).sum()
        cross = cross + (scores.logsumexp(dim=2) - scores[..., 0]).sum()
        right = right + (scores[..., 0] > scores[..., 1:].amax(dim=2)).sum()
        count = count + batch * n
    return PredictionLoss(total / count, cross / count, right / count)


def draw_negatives(batch: int, n_frames: int, n_negatives: int, generator: torch.Generator) -> Tensor:
    """For each frame `n_negatives` others of the same stretch, each equally likely: `(batch, n_frames, n_negatives)`.

    Raises:
        ValueError: there is no other frame.
    """
    if n_frames < 2:
        raise ValueError("a stretch of one frame has no distractors")
    drawn = torch.randint(n_frames - 1, (batch, n_frames, n_negatives), generator=generator)
    return drawn + (drawn >= torch.arange(n_frames)[None, :, None])  # the frame itself is passed over


def pretrain(
    options: Pretraining,
    files: Sequence[Path],
    report: Report,
    *,
    device: torch.device | str = "cpu",
    resume: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The state after the last epoch, which holds the network of the best epoch.

    On the CPU the same options, files and number of threads give the same bits, interrupted and resumed or not.

    Args:
        options: What to train, and how.
        files: Recordings of speech, in an order that does not change between a run and its resumption.
        report: Called after every epoch with its metrics and the state to save. Metrics: `epoch`, `learning_rate`,
            `seconds` of speech, and `loss`, `info_nce`, `accuracy` each as `train_...` and `held_out_...`.
        device: Where to compute.
        resume: A state that `report` was given, of the same options and files.

    Raises:
        InputError: too few recordings that are long enough, or `resume` belongs to other options.
        TrainingDiverged: the loss is not finite.
    """
    device = torch.device(device)
    if resume is not None and resume["options"] != asdict(options):
        raise InputError("the checkpoint to resume from belongs to other options")
    if resume is not None and resume["epoch"] == options.epochs:
        return resume
    speech = _Speech(files, options)
    shape = SIZES[options.size](prediction_steps=options.n_steps)
    network = random_wav2vec(shape, seed=derived_seed(options.seed, "weights")).to(device)
    network.requires_grad_(True)
    assert network.prediction_head is not None
    # Predictions begin near 0, at chance: large ones would have to be unlearned first, and features with them.
    head_generator = torch.Generator().manual_seed(derived_seed(options.seed, "head"))
    drawn = torch.empty(network.prediction_head.weight.shape).normal_(0, HEAD_SCALE, generator=head_generator)
    network.prediction_head.weight.data.copy_(drawn)
    optimizer = Adam(network.parameters(), lr=0.0)
    n_batches = max(1, speech.n_stretches(speech.trained) // options.batch_size)
    cosine = Block("cosine", {"lr": options.lr, "warmup_epochs": options.epochs / 10})
    schedule = table.build("lr_schedule", LR_SCHEDULES, cosine, n_batches, options.epochs)
    first, best = 1, None
    if resume is not None:
        network.load_state_dict(resume["network"])
        optimizer.load_state_dict(resume["optimizer"])
        first, best = resume["epoch"] + 1, resume["best"]

    state: dict[str, Any] = {}
    for epoch in range(first, options.epochs + 1):
        network.train()
        sums = torch.zeros(3, device=device)
        done, seconds, lr = 0, 0.0, 0.0
        generator = torch.Generator().manual_seed(derived_seed(options.seed, "negatives", epoch))
        for waveforms in speech.minibatches(speech.trained, derived_seed(options.seed, "epoch", epoch), n_batches):
            lr = schedule((epoch - 1) * n_batches + done)
            for group in optimizer.param_groups:
                group["lr"] = lr
            found = _step(network, waveforms.to(device), options, generator)
            optimizer.zero_grad(set_to_none=True)
            found.loss.backward()
            optimizer.step()
            sums += torch.stack([value.detach() for value in found])
            done += 1
            seconds += waveforms.numel() / SAMPLE_RATE
        measured = {f"train_{name}": value for name, value in _named(sums / done).items()}
        if not math.isfinite(measured["train_loss"]):
            raise TrainingDiverged(f"the pretraining loss of epoch {epoch} is {measured['train_loss']}")
        held_out = _measure(network, speech, options, device)
        measured |= {f"held_out_{name}": value for name, value in held_out.items()}
        measured |= {"epoch": epoch, "learning_rate": lr, "seconds": seconds}
        if best is None or held_out["loss"] < best["loss"]:
            tensors = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
            best = {"epoch": epoch, "loss": held_out["loss"], "metrics": dict(measured), "network": tensors}
        state = {
            "options": asdict(options),
            "epoch": epoch,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "best": best,
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
def _measure(network: Wav2Vec, speech: "_Speech", options: Pretraining, device: torch.device) -> dict[str, float]:
    """The losses on the speech held out: the same stretches and distractors at every call."""
    network.eval()
    generator = torch.Generator().manual_seed(derived_seed(options.seed, "held out"))
    n_batches = max(1, speech.n_stretches(speech.held_out) // options.batch_size)
    seed = derived_seed(options.seed, "held out stretches")
    found = [
        torch.stack(_step(network, waveforms.to(device), options, generator))
        for waveforms in speech.minibatches(speech.held_out, seed, n_batches)
    ]
    return _named(torch.stack(found).mean(dim=0))


def _named(values: Tensor) -> dict[str, float]:
    return dict(zip(PredictionLoss._fields, values.tolist(), strict=True))


class _Speech:
    """Recordings cut into stretches of one length, read ahead by a thread."""

    def __init__(self, files: Sequence[Path], options: Pretraining) -> None:
        self.length = round(options.seconds * SAMPLE_RATE)
        self.options = options
        self._kept: dict[Path, NDArray[np.float16]] = {}
        self._room = options.cache_mb * 1_000_000
        self._lock = threading.Lock()
        with ThreadPoolExecutor(4) as pool:
            lengths = list(pool.map(self._n_samples, files))
        self.n_samples = {path: n for path, n in zip(files, lengths, strict=True) if n >= self.length}
        usable = list(self.n_samples)
        n_held_out = max(1, round(options.held_out * len(usable)))
        if len(usable) <= n_held_out:
            raise InputError(
                f"{len(usable)} of {len(files)} recordings have {options.seconds} s of speech; "
                "at least 2 are needed, one of them held out"
            )
        order = np.random.default_rng(derived_seed(options.seed, "held out files")).permutation(len(usable))
        self.held_out = [usable[k] for k in sorted(order[:n_held_out])]
        self.trained = [usable[k] for k in sorted(order[n_held_out:])]

    def n_stretches(self, files: Sequence[Path]) -> int:
        return sum(self.n_samples[path] // self.length for path in files)

    def minibatches(self, files: Sequence[Path], seed: int, n_batches: int) -> Iterator[Tensor]:
        """`n_batches` minibatches `(batch, length)`; every recording is cut from another place at each seed."""
        random = np.random.default_rng(seed)
        stretches = []
        for path in files:
            n, spare = divmod(self.n_samples[path], self.length)
            first = int(random.integers(spare + 1))
            stretches += [(path, first + k * self.length) for k in range(n)]
        order = random.permutation(len(stretches))
        size = min(self.options.batch_size, len(stretches))
        batches = [[stretches[k] for k in order[begin : begin + size]] for begin in range(0, n_batches * size, size)]
        with ThreadPoolExecutor(1) as ahead:
            waiting = ahead.submit(self._gathered, batches[0])
            for following in [*batches[1:], []]:
                ready = waiting.result()
                waiting = ahead.submit(self._gathered, following)
                yield ready

    def _gathered(self, stretches: Sequence[tuple[Path, int]]) -> Tensor:
        rows = [self._waveform(path)[first : first + self.length] for path, first in stretches]
        return torch.from_numpy(np.stack(rows).astype(np.float32)) if rows else torch.empty(0)

    def _n_samples(self, path: Path) -> int:
        return len(self._waveform(path))

    def _waveform(self, path: Path) -> NDArray[np.float16]:
        """A recording, rounded to float16 whether it is kept or not, so that the budget changes no bit."""
        with self._lock:
            if path in self._kept:
                return self._kept[path]
        waveform = audio.load(path, AudioOptions(min_duration_s=0.0)).astype(np.float16)
        with self._lock:
            if waveform.nbytes <= self._room and path not in self._kept:
                self._room -= waveform.nbytes
                self._kept[path] = waveform
        return waveform
