"""Segments of audio for an encoder that accepts a limited number of frames: every frame is computed in one of them."""

from collections.abc import Callable

import torch
from torch import Tensor

TOGETHER = 8
"""Segments that pass through an encoder together, which bounds its memory."""


def by_segments(
    waveform: Tensor,
    encode: Callable[[Tensor], Tensor],
    *,
    n_frames: int,
    hop_length: int,
    longest: int,
    min_samples: int | None = None,
) -> Tensor:
    """Features `(batch, n_features, n_frames)` of waveforms whose frames are computed segment by segment.

    A segment has `longest` frames, and its features depend on no other audio. Segments follow one another. The last
    one ends with the waveform, so that it has as much context as the others; frames that it shares with the segment
    before it are those of that segment. A waveform of at most `longest` frames is one segment.

    Args:
        waveform: `(batch, time)`; samples after the last whole frame belong to the last segment.
        encode: Function of waveforms `(at most TOGETHER, time)` that returns at least as many frames as they have.
        n_frames: Frames of a waveform.
        hop_length: Samples from one frame to the next.
        longest: Maximum number of frames of a segment.
        min_samples: Samples that determine a frame; None: `hop_length`.
    """
    if n_frames <= longest:
        return torch.cat([encode(part)[:, :, :n_frames] for part in waveform.split(TOGETHER)])
    n_samples = (longest - 1) * hop_length + (min_samples or hop_length)
    pieces = []
    for begin in range(0, n_frames, longest):
        start = min(begin, n_frames - longest)
        segment = waveform[:, start * hop_length : start * hop_length + n_samples]
        features = torch.cat([encode(part) for part in segment.split(TOGETHER)])
        pieces.append(features[:, :, begin - start : longest])
    return torch.cat(pieces, dim=2)
