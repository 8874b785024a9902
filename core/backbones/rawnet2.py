"""RawNet2 for anti-spoofing (Tak 2021): a sinc layer, residual blocks and a recurrent network on waveforms."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.backbones.sinc import SincFilters, check_waveform

POOL = 3
"""Factor of every max pooling over time."""

N_BLOCKS = 6


class ScaledBlock(nn.Module):
    """Residual block of two convolutions, max pooling, and a gate per channel that multiplies and is added."""

    def __init__(self, in_channels: int, channels: int, *, first: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *([] if first else [nn.BatchNorm1d(in_channels), nn.LeakyReLU(0.3)]),
            nn.Conv1d(in_channels, channels, 3, padding=1),
            nn.BatchNorm1d(channels),
            nn.LeakyReLU(0.3),
            nn.Conv1d(channels, channels, 3, padding=1),
        )
        self.shortcut = nn.Identity() if in_channels == channels else nn.Conv1d(in_channels, channels, 1)
        self.gate = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, channels, time // 3)` of maps `(batch, in_channels, time)`."""
        x = F.max_pool1d(self.residual(x) + self.shortcut(x), POOL)
        gate = torch.sigmoid(self.gate(x.mean(dim=2)))[:, :, None]
        return x * gate + gate


class RawNet2(nn.Module):
    """The network; see `rawnet2`."""

    def __init__(
        self, *, embedding_dim: int, n_filters: int, kernel: int, channels: Sequence[int], units: int, n_layers: int
    ) -> None:
        super().__init__()
        for name, value in (("embedding_dim", embedding_dim), ("units", units), ("n_layers", n_layers)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if len(channels) != 2 or min(channels) < 1:
            raise ValueError(f"channels is {list(channels)}; it must be two numbers of at least 1")
        self.embedding_dim = embedding_dim
        self.sinc = SincFilters(n_filters, kernel=kernel)
        self.norm = nn.Sequential(nn.BatchNorm1d(n_filters), nn.SELU())
        sizes = [n_filters, *2 * [channels[0]], *(N_BLOCKS - 2) * [channels[1]]]
        self.blocks = nn.Sequential(
            *(ScaledBlock(sizes[k], sizes[k + 1], first=k == 0) for k in range(N_BLOCKS)),
            nn.BatchNorm1d(channels[1]),
            nn.SELU(),
        )
        self.recurrent = nn.GRU(channels[1], units, n_layers, batch_first=True)
        self.linear = nn.Linear(units, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of waveforms `(batch, 1, n_samples)`."""
        x = self.norm(F.max_pool1d(self.sinc(features).abs(), POOL))
        states, _ = self.recurrent(self.blocks(x).transpose(1, 2))
        return cast(Tensor, self.linear(states[:, -1]))


def rawnet2(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int = 1024,
    n_filters: int = 20,
    kernel: int = 1025,
    channels: Sequence[int] = (20, 128),
    units: int = 1024,
    n_layers: int = 3,
) -> RawNet2:
    """RawNet2 as the baseline of ASVspoof 2021 has it (Tak 2021, table 1), with fixed filters on the mel scale.

    The embedding is the input of the published last layer. The published inputs have 64,600 samples.

    Args:
        n_features: 1: the front end is `waveform`.
        n_frames: Samples per input, at least 2,187 more than `kernel - 1`.
        embedding_dim: Size of the embedding, 1 or more.
        n_filters: Filters of the sinc layer, 1 or more.
        kernel: Taps of a filter, odd.
        channels: Channels of the first two residual blocks and of the other four.
        units: Units of a recurrent layer, 1 or more.
        n_layers: Recurrent layers, 1 or more.

    Raises:
        ValueError: The input is not a waveform or too short, or an option is outside the range above.
    """
    check_waveform(n_features, n_frames, at_least=kernel - 1 + POOL ** (N_BLOCKS + 1))
    sizes = {"n_filters": n_filters, "kernel": kernel, "units": units, "n_layers": n_layers}
    return RawNet2(embedding_dim=embedding_dim, channels=channels, **sizes)
