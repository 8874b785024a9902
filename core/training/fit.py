"""Training of one experiment: representation learning, then the classifier, judged on dev after every epoch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from core import gmm
from core.config import Experiment, experiment_from_plain, experiment_to_plain
from core.detector import Detector, build_detector
from core.errors import InputError
from core.evaluation.judgement import dev_metrics
from core.evaluation.objectives import OBJECTIVES
from core.evaluation.tandem import AsvErrorRates
from core.features.weights import PLACES
from core.gmm import GmmDetector
from core.seeds import derived_seed
from core.stores.store import FeatureStore, chosen_part
from core.table import Block
from core.training.fit_network import fit_classifier, fit_network
from core.training.fit_state import Epochs, FitState

Report = Callable[[dict[str, float], dict[str, Any]], None]


def fit(
    experiment: Experiment,
    train: FeatureStore,
    dev: FeatureStore,
    report: Report,
    *,
    device: torch.device | str = "cpu",
    objective: str = "dev_eer",
    asv: AsvErrorRates | None = None,
    resume: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Trains an experiment; returns the state after the last epoch, which includes the detector of the best epoch.

    On the CPU, the result is deterministic to the bit for the same experiment, stores and number of threads, also if
    the training is interrupted after an epoch and resumed. All random numbers derive from the seed and the number of
    the epoch.

    Args:
        experiment: Experiment to train.
        train: Features of the training partition; both classes.
        dev: Features of the validation data, by which every epoch is judged; both classes. Nothing is fitted on them.
        report: Function that is called after every epoch with its metrics and the state to save. It may raise to stop
            the training. Metrics: `epoch` (from 1), `step` (minibatches so far), `loss`, `learning_rate`, `objective`
            (see `judgement`; the best so far, absent before the first evaluation); after an evaluation those of
            OBJECTIVES, rates in [0, 1], and `dev_threshold`; in siamese mode `positive_distance`, `negative_distance`,
            and `loss_to_chance`, the ratio of the loss to that of an embedding that carries no information; with a
            learned mix of layers `layer_4_weight` and so on, the weights after the epoch.
        device: Device that computes.
        objective: Key of OBJECTIVES that selects the best epoch, with the tie-breaker.
        asv: Error rates of the ASV on dev, without which there is no `dev_min_tdcf`.
        resume: Earlier state of the same experiment, as `report` received it; None = start at epoch 1.

    Raises:
        InputError: The stores do not fit each other or the experiment, or `resume` belongs to another experiment.
        TrainingDiverged: A loss, an embedding or a score is not finite.
    """
    state = resume or {}
    for measured, state in epochs(experiment, train, dev, device=device, objective=objective, asv=asv, resume=resume):
        report(measured, state)
    return state


def epochs(
    experiment: Experiment,
    train: FeatureStore,
    dev: FeatureStore,
    *,
    device: torch.device | str = "cpu",
    objective: str = "dev_eer",
    asv: AsvErrorRates | None = None,
    resume: dict[str, Any] | None = None,
) -> Epochs:
    """Yields metrics and state after each epoch that is left to train; arguments, metrics and errors as in `fit`.

    The tensors of the state are in training: copy or save a state before the next epoch.
    """
    device = torch.device(device)
    train = chosen_part(train, experiment.widen).reading(experiment.input.layer)
    _check(experiment, train, dev, objective, asv)
    if resume is not None:
        if not _same_experiment(experiment_from_plain(resume["experiment"]), experiment):
            raise InputError("the checkpoint to resume from belongs to another experiment")
        if resume["epoch"] == experiment.epochs:
            return
    track = FitState(experiment, train.n_features, train.layers, objective, resume, asv)
    fit_mode = {"gmm": _fit_mixtures, "classifier": fit_classifier}.get(experiment.mode, fit_network)
    yield from fit_mode(experiment, train=train, dev=dev, device=device, track=track, resume=resume)


def _fit_mixtures(
    experiment: Experiment,
    *,
    train: FeatureStore,
    dev: FeatureStore,
    device: torch.device,
    track: FitState,
    resume: dict[str, Any] | None,
) -> Epochs:
    """Yields metrics and state after each epoch of gmm mode; arguments as in `fit_network`."""
    detector = GmmDetector(experiment.gmm, train.n_features, experiment.input, train.layers).to(device)
    if resume is not None:
        detector.load_state_dict(resume["detector"])
    else:
        seeds = (derived_seed(experiment.seed, "bona_fide"), derived_seed(experiment.seed, "spoof"))
        try:
            gmm.initialise(detector, train, options=experiment.gmm, seeds=seeds)
        except ValueError as error:
            raise InputError(str(error)) from error
    for epoch in range(resume["epoch"] + 1 if resume else 1, experiment.epochs + 1):
        measured = {"epoch": epoch, **gmm.em_epoch(detector, train, options=experiment.gmm)}
        if track.judged(epoch):
            measured |= dev_metrics(detector.score_store(dev, device=device), dev, epoch, track.asv)
        yield measured, track.state(measured, detector)


def best_detector(state: dict[str, Any], front_end: Block | None = None) -> Detector | GmmDetector:
    """The detector of the best epoch of a state, on the CPU, in evaluation mode.

    Args:
        state: State after an epoch.
        front_end: The front end, with the place where the weights of an encoder are now; None: as in the training.

    Raises:
        InputError: The state is from before the first evaluation.
    """
    if state["best"] is None:
        raise InputError(f"no epoch was evaluated yet (the checkpoint is of epoch {state['epoch']})")
    layers = state.get("layers", ())  # states of earlier versions have none
    experiment = experiment_from_plain(state["experiment"])
    if front_end is not None:
        experiment = replace(experiment, front_end=front_end)
    detector = build_detector(experiment, state["n_features"], layers)
    detector.load_state_dict(state["best"]["detector"])
    return detector.eval()


def _same_experiment(first: Experiment, second: Experiment) -> bool:
    """Whether two experiments are equal apart from the places of pretrained weights, whose content identifies them."""
    plain = [experiment_to_plain(experiment) for experiment in (first, second)]
    for fields in plain:
        fields["front_end"] = {name: value for name, value in fields["front_end"].items() if name not in PLACES}
    return plain[0] == plain[1]


def _check(
    experiment: Experiment, train: FeatureStore, dev: FeatureStore, objective: str, asv: AsvErrorRates | None
) -> None:
    problems = []
    if objective not in OBJECTIVES:
        problems.append(f"objective is {objective!r}; there are {', '.join(OBJECTIVES)}")
    if objective == "dev_min_tdcf" and asv is None:
        problems.append("the objective dev_min_tdcf needs the error rates of an ASV system on dev")
    if train.n_features != dev.n_features:
        problems.append(f"train has {train.n_features} features per frame, dev has {dev.n_features}")
    if train.layers != dev.layers:
        problems.append(f"train has the layers {list(train.layers)}, dev has {list(dev.layers)}")
    for name, store in (("train", train), ("dev", dev)):
        if len(np.unique(store.labels)) < 2:
            problems.append(f"{name} ({store.path}) lacks bona fide or spoofed utterances; both are needed")
    if problems:
        raise InputError(problems)
