"""A bundle: an exported detector with all that scoring needs, except the weights of a pretrained front end."""

import dataclasses
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from core import audio, table
from core.config import Experiment, experiment_from_plain, experiment_to_plain
from core.detector import Detector, build_detector
from core.errors import InputError
from core.evaluation.calibration import Calibration
from core.evaluation.measure import swapped_sign
from core.features import FRONT_ENDS
from core.features.weights import placed
from core.gmm import GmmDetector
from core.versions import versions

FORMAT = 1
WEIGHTS, CONFIG, CARD = "weights.safetensors", "config.json", "README.md"


@dataclasses.dataclass(frozen=True)
class Bundle:
    """An exported detector.

    Attributes:
        detector: The detector, in evaluation mode, on the CPU.
        experiment: The experiment that trained the detector.
        n_features: Features per frame of the front end.
        threshold: CM score at the equal error rate on dev. An utterance with this score or a higher one counts as bona
            fide.
        metrics: Metrics by partition, such as `{"dev": {"eer": 0.01}}`; rates are fractions.
        provenance: Corpus, run, trial and date as plain data; after loading also `front_end_weights`.
        calibration: Map of CM scores to log-likelihood ratios, fitted on dev; None = unknown, as in bundles of earlier
            versions and of detectors that rank spoofed speech above bona fide speech.
    """

    detector: Detector | GmmDetector
    experiment: Experiment
    n_features: int
    threshold: float
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]
    calibration: Calibration | None = None


def save(bundle: Bundle, folder: Path, *, front_end_weights: Mapping[str, str], front_end_version: int) -> None:
    """Writes a bundle into a new folder. If writing fails, there is no folder.

    Args:
        bundle: The bundle.
        folder: Folder of the bundle; it must be missing or empty.
        front_end_weights: File name -> SHA-256 of the pretrained weights that the front end needs.
        front_end_version: Version of the front end's definition that computed the features of the training.

    Raises:
        InputError: The folder is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty and was not changed; choose another --output")
    config = {
        "format": FORMAT,
        "experiment": experiment_to_plain(bundle.experiment),
        "n_features": bundle.n_features,
        "threshold": bundle.threshold,
        "calibration": None if bundle.calibration is None else dataclasses.asdict(bundle.calibration),
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
    """The bundle in a folder. Loading executes no code from it: the weights are safetensors, the rest is JSON.

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
    try:
        experiment = experiment_from_plain(config["experiment"])
        n_features = int(config["n_features"])
        detector = build_detector(experiment, n_features)
        detector.load_state_dict(tensors)
        provenance = {
            **config["provenance"],
            "front_end_weights": config["front_end_weights"],
            "front_end_version": config.get("front_end_version", 1),  # earlier bundles do not say
        }
        threshold, metrics = float(config["threshold"]), config["metrics"]
        calibration = Calibration(**config["calibration"]) if config.get("calibration") else None
        return Bundle(detector.eval(), experiment, n_features, threshold, metrics, provenance, calibration)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: the weights and the configuration do not fit together: {error}") from error


def front_end_of(bundle: Bundle, weights_at: Path | None = None) -> torch.nn.Module:
    """The front end of a bundle. Its pretrained weights have the SHA-256 of those of the training.

    Args:
        bundle: The bundle.
        weights_at: File or folder of the pretrained weights; None: where they were when the bundle was exported.

    Raises:
        InputError: The weights are missing or differ from those of the training, or the front end is defined otherwise
            now.
    """
    block = bundle.experiment.front_end
    if weights_at is not None:
        block = placed(block, weights_at.absolute())
    front_end: torch.nn.Module = table.build("front_end", FRONT_ENDS, block)
    weights: Any = front_end.weights
    expected = bundle.provenance.get("front_end_weights", {})
    if sorted(weights.values()) != sorted(expected.values()):
        raise InputError(
            f"front_end: {bundle.experiment.front_end.name}: the weights have SHA-256 {sorted(weights.values())}; "
            f"the bundle was trained with {sorted(expected.values())} ({', '.join(expected)})"
        )
    trained = bundle.provenance.get("front_end_version", front_end.version)
    if trained != front_end.version:
        raise InputError(
            f"front_end: {block.name}: the bundle was trained on features of version {trained}, and this spooftune "
            f"computes version {front_end.version}; export the detector again from a run of this version"
        )
    return front_end


@torch.inference_mode()
def score(
    bundle: Bundle, paths: Iterable[Path], *, device: torch.device | str = "cpu", weights_at: Path | None = None
) -> Iterator[tuple[Path, float | InputError]]:
    """Yields every recording with its CM score (higher = more bona fide) or its error, in the given order.

    Features are rounded to float16 as in the feature store, so that a recording has the same score as in the search.

    Args:
        bundle: The bundle.
        paths: Audio files of any format, sample rate and number of channels that `core.audio.load` accepts.
        device: Device that computes.
        weights_at: File or folder of the pretrained weights; None: where they were when the bundle was exported.

    Raises:
        InputError: The weights of the front end are missing, or differ from those of the training.
    """
    front_end = front_end_of(bundle, weights_at).to(device)
    detector = bundle.detector.to(device)
    min_samples: Any = front_end.min_samples
    for path in paths:
        try:
            waveform = audio.load(path, bundle.experiment.audio)
            if len(waveform) < min_samples:
                raise InputError(
                    f"{path}: {len(waveform)} samples at 16 kHz; the front end needs at least {min_samples}"
                )
            features = front_end(torch.from_numpy(waveform)[None].to(device))[0].half()
            yield path, detector.score_utterance(features)
        except InputError as error:
            yield path, error


def _n_parameters(detector: torch.nn.Module) -> int:
    """Number of trained parameters. Gaussian mixtures are trained without gradients and keep theirs as buffers."""
    trained = sum(parameter.numel() for parameter in detector.parameters())
    return trained or sum(value.numel() for value in detector.buffers())


def _about_eval(config: Mapping[str, Any]) -> str:
    """Sentences of the model card about how often eval was looked at."""
    n_looks = int(config["provenance"].get("eval_looks", 0))
    if "eval" not in config["metrics"]:
        before = f" The run had looked at eval before, in {n_looks} acts." if n_looks else ""
        return f"Eval was not looked at with this detector.{before}"
    look = config["metrics"]["eval"].get("look", n_looks)
    return (
        f"The search did not open eval. The figures on eval are those of look {look} of its run at eval; a change that "
        "was made after an earlier look would be a choice by eval."
    )


def model_card(config: Mapping[str, Any], *, n_parameters: int) -> str:
    """The model card of a bundle in Markdown: detector, metrics, usage, limits and licence.

    Args:
        config: Content of `config.json`.
        n_parameters: Number of parameters of the detector, without the front end.
    """
    experiment, provenance = config["experiment"], config["provenance"]
    body = f"backbone `{experiment['backbone']['name']}`"
    if experiment["mode"] == "gmm":
        body = f"two mixtures of {experiment['gmm']['n_components']} Gaussians"
    lines = [
        f"# Spoofing countermeasure {provenance.get('run', '')} / trial {provenance.get('trial', '')}",
        "",
        f"A `{experiment['mode']}` detector: front end `{experiment['front_end']['name']}`, {body}, "
        f"{n_parameters:,} parameters. It gives a CM score to 16 kHz speech: higher = more bona fide.",
        "",
        f"Decision: bona fide if the score is at least {config['threshold']:.6g}. This is the threshold of the equal "
        "error rate on dev; another application needs another threshold.",
        "",
        "| partition | EER % | 95 % interval over utterances | over speakers (number) | AUC | bona fide | spoofed |",
        "|---|---|---|---|---|---|---|",
    ]
    for partition, values in config["metrics"].items():
        counts = f"{values['n_bona_fide']} | {values['n_spoof']}"
        ends = [
            " to ".join(f"{100 * end:.1f}" for end in values[key]) if key in values else "-"
            for key in ("eer_interval", "eer_interval_speakers")
        ]
        if "n_speakers" in values:
            ends[1] += f" ({values['n_speakers']})"
        rates = " | ".join([f"{100 * values['eer']:.2f}", *ends, f"{values['auc']:.4f}"])
        look = f" (look {values['look']})" if "look" in values else ""
        lines.append(f"| {partition}{look} | {rates} | {counts} |")
    lines += ["", *_costs(config)]
    for partition, values in config["metrics"].items():
        warning = swapped_sign(values)
        if warning:
            lines += ["", f"Warning: on {partition}, {warning}."]
        if values.get("eer_per_attack"):
            lines += ["", f"EER % per attack on {partition}:", "", "| attack | EER % |", "|---|---|"]
            lines += [f"| {attack} | {100 * rate:.2f} |" for attack, rate in values["eer_per_attack"].items()]
    lines += [
        "",
        f"Dev was used to select this detector, so its EER on dev is optimistic. {_about_eval(config)}",
        f"The detector was trained only on {provenance.get('corpus', 'an unnamed corpus')}. Expect a higher EER on "
        "other speech, channels and attacks.",
        "",
        "```",
        "spooftune score THIS_FOLDER RECORDING.flac",
        "```",
        "",
        "Pretrained weights that the front end needs (SHA-256): "
        + (", ".join(f"{name} {digest}" for name, digest in config["front_end_weights"].items()) or "none"),
        "",
        "`config.json` has the whole experiment, all metrics and the versions of the software.",
        "",
        "Licence: the software is under Apache-2.0. The weights are not part of it: their licence depends on the "
        f"training data and on the front end (`{experiment['front_end']['name']}`) with its pretrained weights.",
        "",
    ]
    return "\n".join(lines)


def _costs(config: Mapping[str, Any]) -> list[str]:
    """The lines of a model card about log-likelihood ratios and detection costs."""
    calibration = config.get("calibration")
    if not calibration:
        return ["Scores of this detector are not calibrated to log-likelihood ratios."]
    lines = [
        f"Log-likelihood ratio (natural logarithm) of a score: {calibration['slope']:.6g} * score "
        f"{calibration['offset']:+.6g}, fitted on dev with equal weight of both classes. `spooftune score --llr` "
        "prints it, and `--p-spoof` decides for another prior.",
    ]
    measured = {name: values for name, values in config["metrics"].items() if "act_dcf" in values}
    if measured:
        costs = next(iter(measured.values()))["dcf_costs"]
        of = f"Pspoof {costs['p_spoof']:g}, Cmiss {costs['miss']:g}, Cfa {costs['false_alarm']:g}"
        lines += ["", f"| partition | min DCF ({of}) | act DCF | Cllr, bits | Cllr at best |", "|---|---|---|---|---|"]
        for partition, values in measured.items():
            cells = (f"{values[key]:.4f}" for key in ("min_dcf", "act_dcf", "cllr", "min_cllr"))
            lines.append(f"| {partition} | {' | '.join(cells)} |")
    return lines
