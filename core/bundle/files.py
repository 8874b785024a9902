"""Bundles on disk: safetensors and JSON, which execute no code when they are loaded."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from core.backbones import ENCODER_BACKBONES
from core.bundle.card import model_card
from core.bundle.pretrained import WeightsMissing, checked_front_end
from core.bundle.trained_on import Durations, durations_from_plain
from core.config import Experiment, experiment_from_plain, experiment_to_plain
from core.detector import Detector, build_detector
from core.errors import InputError
from core.evaluation.calibration import Calibration
from core.features.weights import placed
from core.gmm import GmmDetector
from core.integrity.seal import sealed_document
from core.stores.contents import file_digest
from core.stores.verification import digest_problem
from core.versions import versions

FORMAT = 1
WEIGHTS, CONFIG, CARD = "weights.safetensors", "config.json", "README.md"
FRONT_END = "front_end"
"""Folder of a self-contained bundle: the pretrained weights of the front end, as they were published."""


@dataclasses.dataclass(frozen=True)
class Bundle:
    """An exported detector.

    Attributes:
        detector: The detector, in evaluation mode, on the CPU.
        experiment: The experiment that trained the detector.
        n_features: Features per frame of one layer of the front end.
        threshold: CM score at the equal error rate on dev. An utterance with this score or a higher one counts as bona
            fide.
        metrics: Metrics by partition, such as `{"dev": {"eer": 0.01}}`; rates are fractions.
        provenance: Corpus, run, trial and date as plain data; after loading also `front_end_weights`.
        calibration: Map of CM scores to log-likelihood ratios, fitted on dev; None = unknown, as in bundles of earlier
            versions and of detectors that rank spoofed speech above bona fide speech.
        layers: Indices of the layers that the front end returns; empty: it has no layers to choose from.
        weights_at: Folder with the pretrained weights of the front end inside a self-contained bundle; None: the
            weights are elsewhere, or the front end needs none.
        durations: Durations of the utterances of train and dev, by partition; empty in bundles of earlier versions.
    """

    detector: Detector | GmmDetector
    experiment: Experiment
    n_features: int
    threshold: float
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]
    calibration: Calibration | None = None
    layers: tuple[int, ...] = ()
    weights_at: Path | None = None
    durations: Mapping[str, Durations] = dataclasses.field(default_factory=dict)


def save(
    bundle: Bundle,
    folder: Path,
    *,
    front_end_weights: Mapping[str, str],
    front_end_version: int,
    front_end_files: Sequence[Path] = (),
) -> None:
    """Writes a bundle into a new folder. If writing fails, there is no folder.

    Args:
        bundle: The bundle.
        folder: Folder of the bundle; it must be missing or empty.
        front_end_weights: File name -> SHA-256 of the pretrained weights that the front end needs.
        front_end_version: Version of the front end's definition that computed the features of the training.
        front_end_files: Files of the pretrained weights, which are copied into the bundle.

    Raises:
        InputError: The folder is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty and was not changed; choose another --output")
    config = {
        "format": FORMAT,
        "experiment": experiment_to_plain(bundle.experiment),
        "n_features": bundle.n_features,
        "layers": list(bundle.layers),
        **_layer_weights(bundle.detector),
        "threshold": bundle.threshold,
        "calibration": None if bundle.calibration is None else dataclasses.asdict(bundle.calibration),
        "durations_s": {name: dataclasses.asdict(values) for name, values in bundle.durations.items()},
        "metrics": dict(bundle.metrics),
        "provenance": dict(bundle.provenance),
        "front_end_weights": dict(front_end_weights),
        "front_end_version": front_end_version,
        "versions": versions(),
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            staged = Path(temporary) / "bundle"
            staged.mkdir()
            tensors = {name: value.contiguous() for name, value in bundle.detector.state_dict().items()}
            safetensors.torch.save_file(tensors, staged / WEIGHTS)
            (staged / CARD).write_text(
                model_card(config, n_parameters=_n_parameters(bundle.detector)), encoding="utf-8"
            )
            for path in front_end_files:
                (staged / FRONT_END).mkdir(exist_ok=True)
                shutil.copyfile(path, staged / FRONT_END / path.name)
            config["sha256"] = {name: file_digest(staged / name) for name in (WEIGHTS, CARD)}
            (staged / CONFIG).write_text(sealed_document(config), encoding="utf-8")
            # safetensors writes for the owner alone: colleagues may read what the umask lets them read.
            (staged / WEIGHTS).chmod((staged / CONFIG).stat().st_mode)
            if folder.exists():
                folder.rmdir()
            staged.replace(folder)
    except OSError as error:
        raise InputError(f"{folder}: the bundle could not be written: {error}") from error


def load(folder: Path, weights_at: Path | None = None) -> Bundle:
    """The bundle in a folder. Loading executes no code from it: the weights are safetensors, the rest is JSON.

    Args:
        folder: Folder of the bundle.
        weights_at: Folder of the encoder that the detector has trained in part; None: the one inside the bundle, or
            else where it was when the bundle was exported. Other detectors need no pretrained weights to be loaded.

    Raises:
        InputError: The folder is not a bundle, has another format, or its weights do not fit its configuration.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: not a bundle: {Path(str(error.filename or WEIGHTS)).name} is missing") from error
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise InputError(f"{folder}: the bundle cannot be read: {error}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(f"{folder / CONFIG}: not a bundle of format {FORMAT}, which this version reads")
    _check_weights(folder, config.get("sha256"))
    try:
        experiment = experiment_from_plain(config["experiment"])
        n_features = int(config["n_features"])
        layers = tuple(int(layer) for layer in config.get("layers", ()))  # earlier bundles have none
        provenance = {
            **config["provenance"],
            "front_end_weights": config["front_end_weights"],
            "front_end_version": config.get("front_end_version", 1),  # earlier bundles do not say
        }
        threshold, metrics = float(config["threshold"]), config["metrics"]
        calibration = Calibration(**config["calibration"]) if config.get("calibration") else None
        durations = durations_from_plain(config.get("durations_s"))
        inside = folder / FRONT_END if (folder / FRONT_END).is_dir() else None
        found = _with_encoder(experiment, weights_at or inside, config["front_end_weights"])
        detector = build_detector(found, n_features, layers)
        detector.load_state_dict(tensors)
        detector.eval()
        return Bundle(
            detector, experiment, n_features, threshold, metrics, provenance, calibration, layers, inside, durations
        )
    except WeightsMissing:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: the weights and the configuration do not fit together: {error}") from error


def _check_weights(folder: Path, digests: object) -> None:
    """Compares the weights with their SHA-256, which bundles of earlier versions lack."""
    wanted = digests.get(WEIGHTS) if isinstance(digests, dict) else None
    problem = None if wanted is None else digest_problem(folder / WEIGHTS, wanted)
    if problem is not None:
        raise InputError(f"{problem}; export the bundle again")


def _with_encoder(experiment: Experiment, place: Path | None, weights: Mapping[str, str]) -> Experiment:
    """An experiment whose backbone finds the encoder that it has trained in part.

    Args:
        experiment: Experiment of a bundle; without such a backbone, it is returned as it is.
        place: Folder of the encoder; None: where it was when the bundle was exported.
        weights: File name -> SHA-256 of the weights of the encoder.

    Raises:
        WeightsMissing: The encoder cannot be found there, or has other weights.
    """
    if experiment.backbone.name not in ENCODER_BACKBONES:
        return experiment
    block = experiment.front_end if place is None else placed(experiment.front_end, place.absolute())
    checked_front_end(block, weights)
    return dataclasses.replace(experiment, front_end=block)


def _layer_weights(detector: Detector | GmmDetector) -> dict[str, Any]:
    """The weights of a learned mix of layers, which the model card shows."""
    weights = detector.layer_weights() if isinstance(detector, Detector) else {}
    return {"layer_weights": {str(layer): weight for layer, weight in weights.items()}} if weights else {}


def _n_parameters(detector: torch.nn.Module) -> int:
    """Number of trained parameters. Gaussian mixtures are trained without gradients and keep theirs as buffers."""
    trained = sum(parameter.numel() for parameter in detector.parameters())
    return trained or sum(value.numel() for value in detector.buffers())
