"""CM scores of recordings with a bundle."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import torch

from core.bundle.files import Bundle
from core.bundle.hearing import Heard, hear
from core.bundle.listening import BY_DEFAULT, Listening
from core.bundle.pretrained import checked_front_end
from core.errors import InputError
from core.features.weights import place_of, placed


def front_end_of(bundle: Bundle, weights_at: Path | None = None) -> torch.nn.Module:
    """The front end of a bundle. Its pretrained weights have the SHA-256 of those of the training.

    Args:
        bundle: The bundle.
        weights_at: File or folder of the pretrained weights; None: those inside the bundle, or else where they were
            when the bundle was exported.

    Raises:
        InputError: The weights are missing or differ from those of the training, or the front end is defined otherwise
            now.
    """
    block = bundle.experiment.front_end
    if weights_at is None and bundle.weights_at is not None:
        weights_at = place_of(block, bundle.weights_at)
    if weights_at is not None:
        block = placed(block, weights_at.absolute())
    front_end: Any = checked_front_end(block, bundle.provenance.get("front_end_weights", {}))
    trained = bundle.provenance.get("front_end_version", front_end.version)
    if trained != front_end.version:
        raise InputError(
            f"front_end: {block.name}: the bundle was trained on features of version {trained}, and this spooftune "
            f"computes version {front_end.version}; export the detector again from a run of this version"
        )
    return cast(torch.nn.Module, front_end)


def score(
    bundle: Bundle,
    paths: Iterable[Path],
    *,
    listening: Listening = BY_DEFAULT,
    device: torch.device | str = "cpu",
    weights_at: Path | None = None,
    warn: Callable[[str], None] | None = None,
) -> Iterator[tuple[Path, float | InputError]]:
    """Yields every recording with its CM score (higher = more bona fide) or its error, in the given order.

    `score_recordings` also says how a recording was heard, and has the scores of its segments.

    Args:
        bundle: The bundle.
        paths: Audio files of any format, sample rate and number of channels that `core.audio.load` accepts.
        listening: Which recordings are heard in segments, and how the segments' scores become one.
        device: Device that computes.
        weights_at: File or folder of the pretrained weights; None: where they were when the bundle was exported.
        warn: Called with messages about suspect recordings; see `core.audio.load`.

    Raises:
        InputError: As for `score_recordings`.
    """
    for heard in score_recordings(bundle, paths, listening=listening, device=device, weights_at=weights_at, warn=warn):
        yield heard.path, heard.result


def score_recordings(
    bundle: Bundle,
    paths: Iterable[Path],
    *,
    listening: Listening = BY_DEFAULT,
    device: torch.device | str = "cpu",
    weights_at: Path | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Heard]:
    """Yields every recording with its score or its error, in the given order; see `core.bundle.hearing.hear`.

    Args:
        bundle: The bundle.
        paths: Audio files of any format, sample rate and number of channels that `core.audio.load` accepts.
        listening: Which recordings are heard in segments, and how the segments' scores become one.
        device: Device that computes.
        weights_at: File or folder of the pretrained weights; None: where they were when the bundle was exported.
        warn: Called with messages about suspect recordings; see `core.audio.load`.
        progress: Called with the seconds of audio that were scored since the last call.

    Raises:
        InputError: The weights of the front end are missing or differ from those of the training, or the device is
            unknown or missing here.
    """
    device = checked_device(device)
    front_end = front_end_of(bundle, weights_at).to(device)
    bundle.detector.to(device)
    yield from hear(bundle, front_end, paths, listening=listening, device=device, warn=warn, progress=progress)


def checked_device(device: torch.device | str) -> torch.device:
    """The device that a user names.

    Raises:
        InputError: There is no such kind of device, or this machine lacks it.
    """
    try:
        checked = torch.device(device)
    except RuntimeError:
        raise InputError(f"device is {str(device)!r}; valid: cpu, cuda, cuda:0, ...") from None
    n_devices = torch.cuda.device_count()
    if checked.type not in ("cpu", "cuda"):
        raise InputError(f"device is {str(device)!r}; valid: cpu, cuda, cuda:0, ...")
    if checked.type == "cuda" and (checked.index or 0) >= n_devices:
        raise InputError(f"device is {str(device)!r}; this machine has {n_devices} CUDA devices")
    return checked
