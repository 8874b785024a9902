"""A bundle: an exported detector with everything that scoring needs but the weights of a pretrained front end."""

import dataclasses
import json
import platform
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from core import audio, table
from core.config import Experiment, experiment_from_plain, experiment_to_plain
from core.detector import Detector, build_detector
from core.errors import InputError
from core.features import FRONT_ENDS
from core.gmm import GmmDetector

FORMAT = 1
WEIGHTS, CONFIG, CARD = "weights.safetensors", "config.json", "README.md"


@dataclasses.dataclass(frozen=True)
class Bundle:
    """An exported detector.

    Attributes:
        detector: In evaluation mode, on the CPU.
        experiment: What it was trained with.
        n_features: Values a frame of its front end.
        threshold: CM score at the equal error rate of dev; a score at or above it is taken for bona fide.
        metrics: Metrics by partition, such as `{"dev": {"eer": 0.01}}`.
        provenance: Corpus, run, trial, versions, date: plain data.
    """

    detector: Detector | GmmDetector
    experiment: Experiment
    n_features: int
    threshold: float
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]


def save(bundle: Bundle, folder: Path, *, front_end_weights: Mapping[str, str]) -> None:
    """Writes a bundle into a new folder; the folder is there whole or not at all.

    Args:
        bundle: What to write.
        folder: Must not exist, or be empty.
        front_end_weights: File name -> SHA-256 of the pretrained weights that the front end needs.

    Raises:
        InputError: the folder holds something already, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty; nothing of it was touched. Choose another folder with --output")
    config = {
        "format": FORMAT,
        "experiment": experiment_to_plain(bundle.experiment),
        "n_features": bundle.n_features,
        "threshold": bundle.threshold,
        "metrics": dict(bundle.metrics),
        "provenance": dict(bundle.provenance),
        "front_end_weights": dict(front_end_weights),
        "versions": versions(),
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            staged = Path(temporary) / "bundle"
            staged.mkdir()
            tensors = {name: value.contiguous() for name, value in bundle.detector.state_dict().items()}
            safetensors.torch.save_file(tensors, staged / WEIGHTS)
            (staged / CONFIG).write_text(json.dumps(config, indent=2, allow_nan=False) + "\n", encoding="utf-8")
            (staged / CARD).write_text(
                model_card(config, n_parameters=_n_parameters(bundle.detector)), encoding="utf-8"
            )
            if folder.exists():
                folder.rmdir()
            staged.replace(folder)
    except OSError as error:
        raise InputError(f"{folder}: the bundle could not be written: {error}") from error


def load(folder: Path) -> Bundle:
    """The bundle in a folder. Nothing in it is run: the weights are safetensors, the rest is JSON.

    Raises:
        InputError: not a bundle, of another format, or its weights do not fit its configuration.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: not a bundle: it lacks {Path(str(error.filename or WEIGHTS)).name}") from error
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise InputError(f"{folder}: not a bundle that can be read: {error}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(f"{folder / CONFIG}: not a bundle of format {FORMAT}, which this version reads")
    try:
        experiment = experiment_from_plain(config["experiment"])
        n_features = int(config["n_features"])
        detector = build_detector(experiment, n_features)
        detector.load_state_dict(tensors)
        provenance = {**config["provenance"], "front_end_weights": config["front_end_weights"]}
        return Bundle(
            detector.eval(), experiment, n_features, float(config["threshold"]), config["metrics"], provenance
        )
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{folder}: its weights and configuration do not fit together: {error}") from error


def front_end_of(bundle: Bundle) -> torch.nn.Module:
    """The front end of a bundle, its pretrained weights checked against those of the training.

    Raises:
        InputError: the weights are missing or not the same.
    """
    front_end: torch.nn.Module = table.build("front_end", FRONT_ENDS, bundle.experiment.front_end)
    found: Any = front_end.weights
    expected = bundle.provenance.get("front_end_weights", {})
    if sorted(found.values()) != sorted(expected.values()):
        raise InputError(
            f"front_end: {bundle.experiment.front_end.name}: its weights have SHA-256 {sorted(found.values())}; "
            f"the bundle was trained with {sorted(expected.values())} ({', '.join(expected)})"
        )
    return front_end


@torch.inference_mode()
def score(
    bundle: Bundle, paths: Iterable[Path], *, device: torch.device | str = "cpu"
) -> Iterator[tuple[Path, float | InputError]]:
    """For each recording its CM score (higher = more bona fide), or what is wrong with it; in the order given.

    The features are rounded to float16 as in the feature store, so that a file scores as it did in the search.

    Args:
        bundle: The detector.
        paths: Audio files; any format, rate and channel count that `core.audio.load` takes.
        device: Where to compute.
    """
    front_end = front_end_of(bundle).to(device)
    detector = bundle.detector.to(device)
    shortest: Any = front_end.min_samples
    for path in paths:
        try:
            waveform = audio.load(path, bundle.experiment.audio)
            if len(waveform) < shortest:
                raise InputError(f"{path}: {len(waveform)} samples at 16 kHz; the front end needs {shortest}")
            features = front_end(torch.from_numpy(waveform)[None].to(device))[0].half()
            yield path, detector.score_utterance(features)
        except InputError as error:
            yield path, error


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in ("spooftune", "torch", "torchaudio", "transformers", "numpy", "ray", "optuna"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _n_parameters(detector: torch.nn.Module) -> int:
    """Numbers that training moved; mixtures and their like, which no gradient reaches, keep theirs as buffers."""
    trained = sum(parameter.numel() for parameter in detector.parameters())
    return trained or sum(value.numel() for value in detector.buffers())


def model_card(config: Mapping[str, Any], *, n_parameters: int) -> str:
    """The bundle's README: what it is, how good it is on which data, how to use it, what to beware of, its licence.

    Args:
        config: The content of `config.json`.
        n_parameters: Of the detector, the front end apart.
    """
    experiment, provenance = config["experiment"], config["provenance"]
    body = f"backbone `{experiment['backbone']['name']}`"
    if experiment["mode"] == "gmm":
        body = f"two mixtures of {experiment['gmm']['n_components']} Gaussians"
    lines = [
        f"# Spoofing countermeasure {provenance.get('run', '')} / trial {provenance.get('trial', '')}",
        "",
        f"A `{experiment['mode']}` detector: front end `{experiment['front_end']['name']}`, {body}, "
        f"{n_parameters:,} parameters. It scores 16 kHz speech: higher = more bona fide.",
        "",
        f"Decision: bona fide at or above {config['threshold']:.6g}, the threshold of the equal error rate on dev. "
        "Another application wants another threshold.",
        "",
        "| partition | EER % | 95 % over utterances | over speakers | AUC | bona fide | spoofed |",
        "|---|---|---|---|---|---|---|",
    ]
    for partition, values in config["metrics"].items():
        counts = f"{values['n_bona_fide']} | {values['n_spoof']}"
        ends = [
            " to ".join(f"{100 * end:.1f}" for end in values[key]) if key in values else "-"
            for key in ("eer_interval", "eer_interval_speakers")
        ]
        rates = " | ".join([f"{100 * values['eer']:.2f}", *ends, f"{values['auc']:.4f}"])
        lines.append(f"| {partition} | {rates} | {counts} |")
    for partition, values in config["metrics"].items():
        if values.get("eer_per_attack"):
            lines += ["", f"EER % per attack on {partition}:", "", "| attack | EER % |", "|---|---|"]
            lines += [f"| {attack} | {100 * rate:.2f} |" for attack, rate in values["eer_per_attack"].items()]
    lines += [
        "",
        "Dev chose this detector, so its EER on dev is optimistic. The search did not read eval.",
        f"Trained on {provenance.get('corpus', 'an unnamed corpus')} alone: on other speech, channels and attacks "
        "expect worse.",
        "",
        "```",
        "spooftune score THIS_FOLDER RECORDING.flac",
        "```",
        "",
        "Front-end weights needed (SHA-256): "
        + (", ".join(f"{name} {digest}" for name, digest in config["front_end_weights"].items()) or "none"),
        "",
        "Whole configuration, metrics and versions: `config.json`.",
        "",
        "Licence: the software is under Apache-2.0. The weights are not part of it: their licence depends on the "
        f"training data and on the front end (`{experiment['front_end']['name']}`) with any pretrained weights of it.",
        "",
    ]
    return "\n".join(lines)
