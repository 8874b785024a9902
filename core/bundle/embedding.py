"""Embeddings of recordings, which the detector's classifier would score."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.audio import Source, path_of
from core.bundle.files import Bundle
from core.bundle.listening import Listening, limits
from core.bundle.pieces import pieces, unscored
from core.detector import Detector
from core.errors import InputError

TOGETHER = 16
"""Segments of a recording that pass through front end and backbone together."""


@torch.inference_mode()
def embed_recording(
    bundle: Bundle,
    front_end: Any,
    source: Source,
    *,
    listening: Listening,
    device: torch.device,
    warn: Callable[[str], None] | None = None,
) -> NDArray[np.float32]:
    """The embedding `(embedding_dim,)` of a recording: the mean over the windows that the search would score.

    Of a recording that is heard in segments, it is the mean over the segments' embeddings.

    Args:
        bundle: The bundle, whose detector is on `device`.
        front_end: Its front end, on `device`.
        source: The recording.
        listening: Which recordings are heard in segments.
        device: Device that computes.
        warn: Called with messages about a suspect recording; see `core.audio.load`.

    Raises:
        InputError: The recording cannot be used, or the detector has no embeddings, as Gaussian mixtures have not.
    """
    detector = bundle.detector
    if not isinstance(detector, Detector):
        raise InputError(f"a detector of mode {bundle.experiment.mode} has no embeddings: it scores features")
    path = path_of(source)
    total, count = np.zeros(0), 0
    waiting: list[NDArray[np.float32]] = []

    def embed() -> None:
        nonlocal total, count
        batch = torch.from_numpy(np.stack(waiting)).to(device)
        values = detector.embed_windows(detector.windows(front_end(batch))).double().cpu().numpy()
        total = values.sum(axis=0) + (total if count else 0)
        count += len(waiting)
        waiting.clear()

    for recording, piece in pieces(
        [source],
        bundle.experiment.audio,
        lengths=limits(bundle, front_end, listening),
        listening=listening,
        min_samples=int(front_end.min_samples),
        warn=warn,
    ):
        if recording.error is not None:
            raise recording.error
        try:
            if piece is not None and (piece.is_whole or recording.in_segments):
                waiting.append(piece.cut.waveform)
            if waiting and (piece is None or len(waiting) == TOGETHER):
                embed()
        except RuntimeError as error:  # such as too little memory
            raise unscored(path, error) from error
    embedding: NDArray[np.float32] = (total / count).astype(np.float32)
    if not np.isfinite(embedding).all():
        raise InputError(f"{path}: its embedding is not finite: the samples are too large, or damaged")
    return embedding
