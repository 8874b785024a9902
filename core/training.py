"""Training of one experiment: representation learning, then the classifier, judged on dev after every epoch."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from queue import Full, Queue
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core import metrics, table
from core.config import Experiment, experiment_from_plain, experiment_to_plain
from core.detector import Detector, LinearHead, build_detector, embed_store
from core.errors import InputError
from core.features.store import FeatureStore
from core.losses import LOSSES
from core.lr_schedule import LR_SCHEDULES
from core.optimizer import OPTIMIZERS
from core.pairs import PAIR_SAMPLERS, minibatches, n_minibatches
from core.siamese import Siamese

OBJECTIVES = {"dev_eer": 1.0, "dev_loss": 1.0, "dev_auc": -1.0}
"""Metrics that may choose the best epoch, and the sign that makes lower better."""

Report = Callable[[dict[str, float], dict[str, Any]], None]


class TrainingDiverged(ArithmeticError):
    """The loss or an embedding is no longer finite: these hyperparameters cannot be trained."""


def fit(
    experiment: Experiment,
    train: FeatureStore,
    dev: FeatureStore,
    report: Report,
    *,
    device: torch.device | str = "cpu",
    objective: str = "dev_eer",
    resume: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The state after the last epoch: a checkpoint that holds the detector of the best epoch.

    On the CPU the same experiment, stores and number of threads give the same bits, also when the run was
    interrupted after any epoch and resumed: all randomness derives from the seed and the epoch's number.

    Args:
        experiment: What to train.
        train: Features of the training partition; both classes.
        dev: Features that judge each epoch; both classes. Nothing is fitted on them.
        report: Called after every epoch with its metrics and the state to save. It may raise to stop the training.
            Metrics: `epoch` (from 1), `loss`, `learning_rate`, `objective` (best so far, lower is better; absent until
            the first evaluation), after an evaluation `dev_eer` in [0, 1], `dev_auc`, `dev_loss`, `dev_threshold`; in
            siamese mode `positive_distance` and `negative_distance`.
        device: Where to compute.
        objective: Key of OBJECTIVES that chooses the best epoch; equal epochs are told apart by `dev_loss`.
        resume: A state that `report` was given, of the same experiment.

    Raises:
        InputError: the stores do not fit each other or the experiment, or `resume` belongs to another experiment.
        TrainingDiverged: a loss or an embedding is not finite.
    """
    device = torch.device(device)
    _check(experiment, train, dev, objective)
    n_batches = n_minibatches(len(train), experiment.batch_size)
    schedule = table.build("lr_schedule", LR_SCHEDULES, experiment.lr_schedule, n_batches, experiment.epochs)
    torch.manual_seed(derived_seed(experiment.seed, "weights"))
    detector = build_detector(experiment, train.n_features).to(device)
    if device.type == "cuda":
        detector = detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    step = original_step(detector) if experiment.mode == "original" else siamese_step(experiment, detector)
    trained = detector if experiment.mode == "original" else detector.backbone
    optimizer = table.build("optimizer", OPTIMIZERS, experiment.optimizer, trained.parameters())
    use_amp = experiment.mixed_precision and device.type == "cuda"
    scaler = torch.amp.grad_scaler.GradScaler(device.type, enabled=use_amp)

    first_epoch, best = 1, None
    if resume is not None:
        if resume["experiment"] != experiment_to_plain(experiment):
            raise InputError("the checkpoint to resume from belongs to another experiment")
        detector.load_state_dict(resume["detector"])
        optimizer.load_state_dict(resume["optimizer"])
        scaler.load_state_dict(resume["scaler"])
        first_epoch, best = resume["epoch"] + 1, resume["best"]
        if resume["epoch"] == experiment.epochs:
            return resume

    state: dict[str, Any] = {}
    for epoch in range(first_epoch, experiment.epochs + 1):
        torch.manual_seed(derived_seed(experiment.seed, "dropout", epoch))
        generator = torch.Generator().manual_seed(derived_seed(experiment.seed, "epoch", epoch))
        detector.train()
        sums: dict[str, Tensor] = {}
        lr = 0.0
        for number, (features, labels) in enumerate(_prefetched(train, experiment, generator, device)):
            lr = schedule((epoch - 1) * n_batches + number)
            for group in optimizer.param_groups:
                group["lr"] = lr
            with torch.autocast(device.type, dtype=torch.float16, enabled=use_amp):
                output = step(features, labels, generator)
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(output["loss"]).backward()
            scaler.step(optimizer)
            scaler.update()
            for name, value in output.items():
                sums[name] = sums.get(name, torch.zeros((), device=device)) + value.detach()
        measured: dict[str, float] = {name: (value / n_batches).item() for name, value in sums.items()}
        if not np.isfinite(measured["loss"]):
            raise TrainingDiverged(f"the training loss of epoch {epoch} is {measured['loss']}")
        measured |= {"epoch": epoch, "learning_rate": lr}

        if epoch % experiment.evaluate_every == 0 or epoch == experiment.epochs:
            measured |= evaluate(experiment, detector, train, dev, epoch=epoch, device=device)
            rank = (OBJECTIVES[objective] * measured[objective], measured["dev_loss"])
            if best is None or rank < tuple(best["rank"]):
                tensors = {name: value.detach().cpu().clone() for name, value in detector.state_dict().items()}
                best = {"epoch": epoch, "rank": list(rank), "metrics": dict(measured), "detector": tensors}
        if best is not None:
            measured["objective"] = best["rank"][0]
        state = {
            "experiment": experiment_to_plain(experiment),
            "n_features": train.n_features,
            "epoch": epoch,
            "detector": detector.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict(),
            "best": best,
        }
        report(measured, state)
    return state


def best_detector(state: dict[str, Any]) -> Detector:
    """The detector of the best epoch of a state, on the CPU, in evaluation mode.

    Raises:
        InputError: the state is from before the first evaluation.
    """
    if state["best"] is None:
        raise InputError(f"no epoch was evaluated yet (the checkpoint is of epoch {state['epoch']})")
    detector = build_detector(experiment_from_plain(state["experiment"]), state["n_features"])
    detector.load_state_dict(state["best"]["detector"])
    return detector.eval()


def evaluate(
    experiment: Experiment,
    detector: Detector,
    train: FeatureStore,
    dev: FeatureStore,
    *,
    epoch: int,
    device: torch.device,
) -> dict[str, float]:
    """Metrics on dev of the detector as it is; in siamese mode a fresh classifier is first fitted on train (phase two).

    Raises:
        TrainingDiverged: an embedding or a score is not finite.
    """
    if experiment.mode == "siamese":
        generator = torch.Generator(device).manual_seed(derived_seed(experiment.seed, "classifier", epoch))
        embeddings = embed_store(detector, train, device=device).clone()  # out of inference mode: fit takes gradients
        labels = torch.from_numpy(train.labels).to(device)
        if not torch.isfinite(embeddings).all():
            raise TrainingDiverged(f"an embedding of epoch {epoch} is not finite")
        fit_classifier: Any = detector.classifier.fit
        fit_classifier(embeddings, labels, generator=generator)
    detector.eval()
    with torch.inference_mode():
        cm_scores = detector.classifier(embed_store(detector, dev, device=device)).double().cpu().numpy()
    if not np.isfinite(cm_scores).all():
        raise TrainingDiverged(f"a CM score of epoch {epoch} is not finite")
    bona_fide, spoof = cm_scores[dev.labels == 1], cm_scores[dev.labels == 0]
    rate, threshold = metrics.eer(bona_fide, spoof)
    loss = (np.logaddexp(0, -bona_fide).mean() + np.logaddexp(0, spoof).mean()) / 2
    return {
        "dev_eer": float(rate),
        "dev_threshold": float(threshold),
        "dev_auc": float(metrics.auc(bona_fide, spoof)),
        "dev_loss": float(loss),
    }


def derived_seed(seed: int, *purpose: object) -> int:
    """A seed in [0, 2^63) for one purpose, the same on every machine; different purposes are independent."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


Step = Callable[[Tensor, Tensor, torch.Generator], dict[str, Tensor]]


def siamese_step(experiment: Experiment, detector: Detector) -> Step:
    """Phase one: the loss on random pairs of the minibatch's embeddings (paper, section 3.1)."""
    sampler = table.build("pairs", PAIR_SAMPLERS, experiment.pairs)
    siamese = Siamese(_Normalized(detector), table.build("loss", LOSSES, experiment.loss))

    def step(features: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        pairs = sampler(labels, generator).to(features.device, non_blocking=True)
        output: dict[str, Tensor] = siamese(features, labels.to(features.device, non_blocking=True), pairs)._asdict()
        return output

    return step


def original_step(detector: Detector) -> Step:
    """One phase: cross-entropy of the linear layer on the embedding (paper, table 2, "original")."""

    def step(features: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        embeddings = detector.embed(features)
        assert isinstance(detector.classifier, LinearHead)
        targets = labels.to(features.device, non_blocking=True)
        return {"loss": F.cross_entropy(detector.classifier.logits(embeddings).float(), targets)}

    return step


class _Normalized(nn.Module):
    """The detector's way from stored features to an embedding, as the Siamese network's shared backbone."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, features: Tensor) -> Tensor:
        return self.detector.embed(features)


def _prefetched(
    store: FeatureStore, experiment: Experiment, generator: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Minibatches of one epoch, gathered from the store by a thread ahead of the arithmetic.

    Features come on `device`; labels stay on the host, where pairs are drawn.
    """
    # Its own generators: the thread runs ahead of the loop, which draws pairs from `generator` meanwhile.
    seeds = torch.randint(2**62, (2,), generator=generator)
    order = torch.Generator().manual_seed(int(seeds[0]))
    crops = np.random.default_rng(int(seeds[1]))
    labels = torch.from_numpy(store.labels)
    queue: Queue[tuple[Tensor, Tensor] | Exception | None] = Queue(maxsize=3)
    stopped = threading.Event()

    def put(item: tuple[Tensor, Tensor] | Exception | None) -> None:
        while not stopped.is_set():
            try:
                queue.put(item, timeout=0.1)
                break
            except Full:
                continue

    def produce() -> None:
        try:
            for indices in minibatches(labels, experiment.batch_size, order):
                features = store.windows(indices.numpy(), experiment.input.n_frames, crops)
                batch_labels = labels[indices]
                if device.type == "cuda":
                    features, batch_labels = features.pin_memory(), batch_labels.pin_memory()
                put((features, batch_labels))
                if stopped.is_set():
                    return
            put(None)
        except Exception as error:  # noqa: BLE001 - raised again in the training loop
            put(error)

    thread = threading.Thread(target=produce, name="minibatches", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            features, batch_labels = item
            yield features.to(device, non_blocking=True), batch_labels
    finally:
        stopped.set()
        thread.join()


def _check(experiment: Experiment, train: FeatureStore, dev: FeatureStore, objective: str) -> None:
    problems = []
    if objective not in OBJECTIVES:
        problems.append(f"objective is {objective!r}; there are {', '.join(OBJECTIVES)}")
    if train.n_features != dev.n_features:
        problems.append(f"train has {train.n_features} features a frame and dev {dev.n_features}")
    for name, store in (("train", train), ("dev", dev)):
        if len(np.unique(store.labels)) < 2:
            problems.append(f"{name} ({store.path}) lacks bona fide or spoofed utterances; both are needed")
    if problems:
        raise InputError(problems)
