"""Segments: every frame is computed once, and as one segment alone would compute it."""

import torch

from core.features.pretrained.segments import TOGETHER, by_segments


def encode(waveform: torch.Tensor) -> torch.Tensor:
    """Features `(batch, 2, n_frames)`: the mean of 10 samples, and the mean of the whole segment."""
    assert len(waveform) <= TOGETHER
    means = waveform[:, : waveform.shape[1] // 10 * 10].reshape(len(waveform), 1, -1, 10).mean(dim=3)
    return torch.cat([means, waveform.mean(dim=1)[:, None, None].expand_as(means)], dim=1)


def test_a_short_waveform_is_one_segment():
    waveform = torch.randn(TOGETHER + 1, 47)
    features = by_segments(waveform, encode, n_frames=4, hop_length=10, longest=5)
    torch.testing.assert_close(features[:, 1], waveform.mean(dim=1)[:, None].expand(-1, 4))


def test_the_last_segment_ends_with_the_waveform():
    waveform = torch.randn(2, 137)
    features = by_segments(waveform, encode, n_frames=13, hop_length=10, longest=5)
    torch.testing.assert_close(features[:, 0], waveform[:, :130].reshape(2, 13, 10).mean(dim=2))
    whole = [waveform[:, begin:end].mean(dim=1) for begin, end in ((0, 50), (50, 100), (80, 130))]
    torch.testing.assert_close(features[:, 1], torch.stack([whole[0]] * 5 + [whole[1]] * 5 + [whole[2]] * 3, dim=1))
