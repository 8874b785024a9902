"""Epochs of a network: representation learning, then a new classifier on its embeddings, evaluated on dev."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core import table
from core.config import Experiment
from core.detector import Detector, build_network, embed_store
from core.errors import TrainingDiverged
from core.evaluation.judgement import dev_metrics
from core.evaluation.tandem import AsvErrorRates
from core.features.augmentation import augmented
from core.lr_schedule import LR_SCHEDULES
from core.optimizer import OPTIMIZERS, parameter_groups, set_learning_rate
from core.seeds import derived_seed
from core.stores.inputs import n_layers_read
from core.stores.store import FeatureStore
from core.training.averaging import RecentWeights
from core.training.fit_state import Epochs, FitState
from core.training.modes import attack_numbers, build_objective
from core.training.prefetch import prefetched


def fit_classifier(
    experiment: Experiment,
    *,
    train: FeatureStore,
    dev: FeatureStore,
    device: torch.device,
    track: FitState,
    resume: dict[str, Any] | None,
) -> Epochs:
    """Yields metrics and state after the only epoch of classifier mode: the backbone stays untrained.

    Args:
        experiment: Experiment to train.
        train: Features of the training partition; both classes.
        dev: Features of the validation data.
        device: Device that computes.
        track: The best epoch so far.
        resume: Not used: the first epoch is the last.

    Raises:
        TrainingDiverged: An embedding or a score is not finite.
    """
    torch.manual_seed(derived_seed(experiment.seed, "weights"))
    detector = build_network(experiment, train.n_features, train.layers).to(device)
    measured = {"epoch": 1, **evaluate(experiment, detector, train, dev, epoch=1, device=device, asv=track.asv)}
    yield measured, track.state(measured, detector)


def fit_network(
    experiment: Experiment,
    *,
    train: FeatureStore,
    dev: FeatureStore,
    device: torch.device,
    track: FitState,
    resume: dict[str, Any] | None,
) -> Epochs:
    """Yields metrics and state after each epoch of siamese, original or multiclass mode.

    Args:
        experiment: Experiment to train.
        train: Features of the training partition; both classes.
        dev: Features of the validation data.
        device: Device that computes.
        track: The epochs to evaluate, and the best one so far.
        resume: State after an earlier epoch of the same training; None = start at epoch 1.

    Raises:
        InputError: The network has no parameters to train in siamese mode.
        TrainingDiverged: A loss, an embedding or a score is not finite.
    """
    n_batches = experiment.n_steps(len(train))
    schedule = table.build("lr_schedule", LR_SCHEDULES, experiment.lr_schedule, n_batches, experiment.epochs)
    torch.manual_seed(derived_seed(experiment.seed, "weights"))
    detector = build_network(experiment, train.n_features, train.layers).to(device)
    n_layers = n_layers_read(experiment.input.layer, train.layers)
    goal = build_objective(experiment, detector, train, device)
    optimizer = table.build("optimizer", OPTIMIZERS, experiment.optimizer, parameter_groups(goal.trained))
    use_amp = experiment.mixed_precision and device.type == "cuda"
    scaler = torch.amp.grad_scaler.GradScaler(device.type, enabled=use_amp)

    recent = RecentWeights(experiment.average_epochs, resume.get("recent", ()) if resume else ())
    first_epoch = 1
    if resume is None:
        _prepare(experiment, detector, train, device)
    else:
        detector.load_state_dict(resume["detector"])
        goal.extra.load_state_dict(resume["extra"])
        optimizer.load_state_dict(resume["optimizer"])
        scaler.load_state_dict(resume["scaler"])
        first_epoch = resume["epoch"] + 1

    for epoch in range(first_epoch, experiment.epochs + 1):
        torch.manual_seed(derived_seed(experiment.seed, "dropout", epoch))
        generator = torch.Generator().manual_seed(derived_seed(experiment.seed, "epoch", epoch))
        changes = torch.Generator().manual_seed(derived_seed(experiment.seed, "augment", epoch))
        detector.train()
        goal.extra.train()
        sizes = {"batch_size": experiment.batch_size, "n_batches": n_batches, "n_frames": experiment.input.n_frames}
        sums: dict[str, Tensor] = {}
        lr = 0.0
        for number, (features, targets) in enumerate(
            prefetched(train, goal.targets, **sizes, generator=generator, device=device)
        ):
            lr = schedule((epoch - 1) * n_batches + number)
            set_learning_rate(optimizer, lr)
            features = augmented(features, targets, experiment.augment, changes, n_layers=n_layers)
            with torch.autocast(device.type, dtype=torch.float16, enabled=use_amp):
                output = goal.step(features, targets, generator)
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(output["loss"]).backward()
            scaler.step(optimizer)
            scaler.update()
            for name, value in output.items():
                sums[name] = sums.get(name, torch.zeros((), device=device)) + value.detach()
        measured: dict[str, float] = {name: (value / n_batches).item() for name, value in sums.items()}
        if not np.isfinite(measured["loss"]):
            raise TrainingDiverged(f"the training loss of epoch {epoch} is {measured['loss']}")
        measured |= {"epoch": epoch, "learning_rate": lr, "step": epoch * n_batches}
        measured |= {f"layer_{layer}_weight": weight for layer, weight in detector.layer_weights().items()}
        if goal.chance is not None:
            measured["loss_to_chance"] = measured["loss"] / goal.chance

        recent.add(detector)
        judged = detector
        if track.judged(epoch):
            judged = recent.averaged(detector)
            measured |= evaluate(experiment, judged, train, dev, epoch=epoch, device=device, asv=track.asv)
        state = {
            **track.state(measured, judged),
            "detector": detector.state_dict(),
            **recent.state(judged, detector),
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict(),
            "extra": goal.extra.state_dict(),
        }
        yield measured, state


def _prepare(experiment: Experiment, detector: Detector, train: FeatureStore, device: torch.device) -> None:
    """Calls the backbone's `prepare`, if it has one, with the bona fide speech of train."""
    prepare: Any = getattr(detector.backbone, "prepare", None)
    if prepare is None:
        return
    indices = np.flatnonzero(train.labels == 1)
    random = np.random.default_rng(derived_seed(experiment.seed, "prepare"))

    def bona_fide() -> Iterator[Tensor]:
        order = random.permutation(indices)
        for batch in np.array_split(order, max(1, len(order) // experiment.batch_size)):
            windows = train.windows(batch, experiment.input.n_frames, random).to(device)
            yield detector.inputs(windows).detach()  # nothing but the backbone is trained here

    prepare(bona_fide)


def evaluate(
    experiment: Experiment,
    detector: Detector,
    train: FeatureStore,
    dev: FeatureStore,
    *,
    epoch: int,
    device: torch.device,
    asv: AsvErrorRates | None = None,
) -> dict[str, float]:
    """Metrics of a detector on dev.

    A new classifier is fitted on train first (phase two). In original mode the network has its own classifier.

    Args:
        experiment: Experiment that trains the detector.
        detector: Detector to evaluate; its classifier is changed in place.
        train: Features of the training partition.
        dev: Features of the validation data.
        epoch: Number of the epoch; with the experiment's seed, it determines the classifier's random numbers.
        device: Device that computes.
        asv: Error rates of the ASV on dev; None = unknown.

    Raises:
        TrainingDiverged: An embedding or a score is not finite.
    """
    if experiment.mode != "original":
        generator = torch.Generator(device).manual_seed(derived_seed(experiment.seed, "classifier", epoch))
        embeddings = embed_store(detector, train, device=device).clone()  # fit needs gradients: no inference tensor
        labels = torch.from_numpy(train.labels).to(device)
        if not torch.isfinite(embeddings).all():
            raise TrainingDiverged(f"an embedding of epoch {epoch} is not finite")
        fit_classifier: Any = detector.classifier.fit
        attacks = torch.from_numpy(attack_numbers(train)).to(device)
        fit_classifier(embeddings, labels, attacks=attacks, generator=generator)
    detector.eval()
    with torch.inference_mode():
        cm_scores = detector.classifier(embed_store(detector, dev, device=device)).double().cpu().numpy()
    return dev_metrics(cm_scores, dev, epoch, asv)
