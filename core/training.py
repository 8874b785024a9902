"""Training of one experiment: representation learning, then the classifier, judged on dev after every epoch."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core import gmm, table
from core.augmentation import augmented
from core.averaging import RecentWeights
from core.config import Experiment, experiment_from_plain, experiment_to_plain
from core.detector import Detector, build_detector, build_network, embed_store, normalized
from core.errors import InputError, TrainingDiverged
from core.features.store import FeatureStore
from core.gmm import GmmDetector
from core.judging import dev_metrics, judgement
from core.lr_schedule import LR_SCHEDULES
from core.objectives import OBJECTIVES
from core.optimizer import OPTIMIZERS
from core.pairs import n_minibatches
from core.prefetch import prefetched
from core.seeds import derived_seed
from core.steps import attack_numbers, build_objective
from core.widening import chosen_part

Report = Callable[[dict[str, float], dict[str, Any]], None]
Epochs = Iterator[tuple[dict[str, float], dict[str, Any]]]


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
            Metrics: `epoch` (from 1), `loss`, `learning_rate`, `objective` (see `judgement`; best so far, absent until
            the first evaluation), after an evaluation those of OBJECTIVES, rates in [0, 1], and `dev_threshold`; in
            siamese mode `positive_distance` and `negative_distance`.
        device: Where to compute.
        objective: Key of OBJECTIVES that chooses the best epoch, with the tie-breaker.
        resume: A state that `report` was given, of the same experiment.

    Raises:
        InputError: the stores do not fit each other or the experiment, or `resume` belongs to another experiment.
        TrainingDiverged: a loss or an embedding is not finite.
    """
    state = resume or {}
    for measured, state in epochs(experiment, train, dev, device=device, objective=objective, resume=resume):
        report(measured, state)
    return state


def epochs(
    experiment: Experiment,
    train: FeatureStore,
    dev: FeatureStore,
    *,
    device: torch.device | str = "cpu",
    objective: str = "dev_eer",
    resume: dict[str, Any] | None = None,
) -> Epochs:
    """Metrics and state after each epoch that is left to train; arguments, metrics and errors as of `fit`.

    The state's tensors are those that go on training: whoever keeps a state copies or saves it before the next epoch.
    """
    device = torch.device(device)
    train = chosen_part(train, experiment.widen)
    _check(experiment, train, dev, objective)
    if resume is not None:
        if resume["experiment"] != experiment_to_plain(experiment):
            raise InputError("the checkpoint to resume from belongs to another experiment")
        if resume["epoch"] == experiment.epochs:
            return
    track = _Track(experiment, train.n_features, objective, resume)
    fitted = {"gmm": _fit_mixtures, "classifier": _fit_classifier}.get(experiment.mode, _fit_network)
    yield from fitted(experiment, train, dev, device, track, resume)


class _Track:
    """The best epoch so far and the snapshots: what a state holds besides the detector that is trained on."""

    def __init__(self, experiment: Experiment, n_features: int, objective: str, resume: dict[str, Any] | None) -> None:
        self.experiment, self.n_features, self.objective = experiment, n_features, objective
        self.best: dict[str, Any] | None = resume["best"] if resume else None
        self.snapshots: dict[str, Any] = resume["snapshots"] if resume else {}

    def judged(self, epoch: int) -> bool:
        """Whether an epoch is to be evaluated."""
        return epoch % self.experiment.evaluate_every == 0 or epoch == self.experiment.epochs

    def state(self, measured: dict[str, float], detector: nn.Module) -> dict[str, Any]:
        """The state after an epoch, but for the optimiser; adds `objective` to the epoch's metrics."""
        epoch = int(measured["epoch"])
        if self.objective in measured:
            rank = (judgement(self.objective, measured), measured["dev_loss"])
            if self.best is None or rank < tuple(self.best["rank"]):
                tensors = _copied(detector)
                self.best = {"epoch": epoch, "rank": list(rank), "metrics": dict(measured), "detector": tensors}
        if self.best is not None:
            measured["objective"] = self.best["rank"][0]
        if epoch in self.experiment.snapshot_epochs:
            self.snapshots = {**self.snapshots, str(epoch): _copied(detector)}
        return {
            "experiment": experiment_to_plain(self.experiment),
            "n_features": self.n_features,
            "epoch": epoch,
            "detector": detector.state_dict(),
            "best": self.best,
            "snapshots": self.snapshots,
        }


def _fit_mixtures(
    experiment: Experiment,
    train: FeatureStore,
    dev: FeatureStore,
    device: torch.device,
    track: _Track,
    resume: dict[str, Any] | None,
) -> Epochs:
    detector = GmmDetector(experiment.gmm, train.n_features, experiment.input).to(device)
    if resume is not None:
        detector.load_state_dict(resume["detector"])
    else:
        seeds = (derived_seed(experiment.seed, "bona_fide"), derived_seed(experiment.seed, "spoof"))
        try:
            gmm.initialise(detector, experiment, train, seeds)
        except ValueError as error:
            raise InputError(str(error)) from error
    for epoch in range(resume["epoch"] + 1 if resume else 1, experiment.epochs + 1):
        measured = {"epoch": epoch, **gmm.em_epoch(detector, experiment, train)}
        if track.judged(epoch):
            measured |= dev_metrics(detector.score_store(dev, device=device), dev, epoch)
        yield measured, track.state(measured, detector)


def _fit_classifier(
    experiment: Experiment,
    train: FeatureStore,
    dev: FeatureStore,
    device: torch.device,
    track: _Track,
    resume: dict[str, Any] | None,
) -> Epochs:
    torch.manual_seed(derived_seed(experiment.seed, "weights"))
    detector = build_network(experiment, train.n_features).to(device)
    measured = {"epoch": 1, **evaluate(experiment, detector, train, dev, epoch=1, device=device)}
    yield measured, track.state(measured, detector)


def _fit_network(
    experiment: Experiment,
    train: FeatureStore,
    dev: FeatureStore,
    device: torch.device,
    track: _Track,
    resume: dict[str, Any] | None,
) -> Epochs:
    n_batches = n_minibatches(len(train), experiment.batch_size)
    schedule = table.build("lr_schedule", LR_SCHEDULES, experiment.lr_schedule, n_batches, experiment.epochs)
    torch.manual_seed(derived_seed(experiment.seed, "weights"))
    detector = build_network(experiment, train.n_features).to(device)
    goal = build_objective(experiment, detector, train, device)
    learned = [each for each in goal.trained.parameters() if each.requires_grad]
    if not learned:
        name = experiment.backbone.name
        raise InputError(
            f"backbone: {name} has nothing to learn in {experiment.mode} mode; mode: classifier goes with it"
        )
    optimizer = table.build("optimizer", OPTIMIZERS, experiment.optimizer, learned)
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
        sums: dict[str, Tensor] = {}
        lr = 0.0
        for number, (features, targets) in enumerate(prefetched(train, goal.targets, experiment, generator, device)):
            lr = schedule((epoch - 1) * n_batches + number)
            for group in optimizer.param_groups:
                group["lr"] = lr
            features = augmented(features, targets, experiment.augment, changes)
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
        measured |= {"epoch": epoch, "learning_rate": lr}

        recent.add(detector)
        judged = detector
        if track.judged(epoch):
            judged = recent.averaged(detector)
            measured |= evaluate(experiment, judged, train, dev, epoch=epoch, device=device)
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
    """Lets a backbone that has a part of its own to train do so on the bona fide speech of train."""
    prepare: Any = getattr(detector.backbone, "prepare", None)
    if prepare is None:
        return
    indices = np.flatnonzero(train.labels == 1)
    random = np.random.default_rng(derived_seed(experiment.seed, "prepare"))

    def bona_fide() -> Iterator[Tensor]:
        order = random.permutation(indices)
        for batch in np.array_split(order, max(1, len(order) // experiment.batch_size)):
            windows = train.windows(batch, experiment.input.n_frames, random).to(device)
            yield normalized(windows, experiment.input)

    prepare(bona_fide)


def best_detector(state: dict[str, Any]) -> Detector | GmmDetector:
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
    """Metrics on dev of the detector as it is; first a fresh classifier is fitted on train (phase two),
    but in original mode, where the network is its own classifier.

    Raises:
        TrainingDiverged: an embedding or a score is not finite.
    """
    if experiment.mode != "original":
        generator = torch.Generator(device).manual_seed(derived_seed(experiment.seed, "classifier", epoch))
        embeddings = embed_store(detector, train, device=device).clone()  # out of inference mode: fit takes gradients
        labels = torch.from_numpy(train.labels).to(device)
        if not torch.isfinite(embeddings).all():
            raise TrainingDiverged(f"an embedding of epoch {epoch} is not finite")
        fit_classifier: Any = detector.classifier.fit
        attacks = torch.from_numpy(attack_numbers(train)).to(device)
        fit_classifier(embeddings, labels, attacks=attacks, generator=generator)
    detector.eval()
    with torch.inference_mode():
        cm_scores = detector.classifier(embed_store(detector, dev, device=device)).double().cpu().numpy()
    return dev_metrics(cm_scores, dev, epoch)


def _copied(detector: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in detector.state_dict().items()}


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
