"""CM scores of recordings with a bundle."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from core.audio import Source
from core.bundle.embedding import embed_recording
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
    sources: Iterable[Source],
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
        sources: Audio files of any format, sample rate and number of channels that `core.audio.load` accepts, or
            samples in memory.
        listening: Which recordings are heard in segments, and how the segments' scores become one.
        device: Device that computes.
        weights_at: File or folder of the pretrained weights; None: where they were when the bundle was exported.
        warn: Called with messages about suspect recordings; see `core.audio.load`.
        progress: Called with the seconds of audio that were scored since the last call.

    Raises:
        InputError: As for `Scorer`.
    """
    scorer = Scorer(bundle, listening=listening, device=device, weights_at=weights_at)
    yield from scorer.hear(sources, warn=warn, progress=progress)


class Scorer:
    """A bundle on a device, ready to score: its front end is built, and its pretrained weights are checked.

    Attributes:
        bundle: The bundle, whose detector is on the device.
        device: Device that computes.
        listening: Which recordings are heard in segments, and how the segments' scores become one.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        listening: Listening = BY_DEFAULT,
        device: torch.device | str = "cpu",
        weights_at: Path | None = None,
    ) -> None:
        """Builds the front end and moves it and the detector to the device; arguments as for `score_recordings`.

        Raises:
            InputError: The weights of the front end are missing or differ from those of the training, or the device is
                unknown or missing here.
        """
        self.bundle = bundle
        self.device = checked_device(device)
        self.listening = listening
        self._front_end = front_end_of(bundle, weights_at).to(self.device)
        bundle.detector.to(self.device)

    def hear(
        self,
        sources: Iterable[Source],
        *,
        segments: bool = False,
        envelope: bool = False,
        warn: Callable[[str], None] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[Heard]:
        """Yields every recording with its score or its error, in the given order.

        Args:
            sources: As for `score_recordings`.
            segments: Whether segment scores are wanted of all recordings, whatever `listening` says.
            envelope: Whether the extremes of the waveform are wanted, whatever `listening` says.
            warn: As for `score_recordings`.
            progress: As for `score_recordings`.
        """
        wanted = replace(
            self.listening,
            segments=segments or self.listening.segments,
            envelope=envelope or self.listening.envelope,
        )
        yield from hear(
            self.bundle,
            self._front_end,
            sources,
            listening=wanted,
            device=self.device,
            warn=warn,
            progress=progress,
        )

    def embedding(self, source: Source, *, warn: Callable[[str], None] | None = None) -> NDArray[np.float32]:
        """The embedding `(embedding_dim,)` of a recording; of one that is heard in segments, the mean of theirs.

        Args:
            source: The recording.
            warn: Called with messages about a suspect recording.

        Raises:
            InputError: The recording cannot be used, or the detector has no embeddings.
        """
        return embed_recording(
            self.bundle, self._front_end, source, listening=self.listening, device=self.device, warn=warn
        )


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
