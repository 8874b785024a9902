"""LC-GRNN: a light CNN inside a gated recurrent unit, which reads context windows in turn (Gomez-Alanis 2019, [32])."""

from typing import cast

import torch
from torch import Tensor, nn

from core.backbones.lcnn import MaxFeatureMap

POOL = 4
"""Factor by which the pooling reduces features and frames: from a window to the state."""


class Gates(nn.Module):
    """Contribution of the input to update gate, reset gate and candidate.

    One stack computes all three: convolution, max feature map, max pooling, batch norm.
    """

    def __init__(self, in_channels: int, channels: int, *, pool: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _initialised(nn.Conv2d(in_channels, 6 * channels, 3, padding=1)),
            MaxFeatureMap(),
            nn.MaxPool2d(pool),
            # Log spectra lie far from 0, where the gradients of sigmoid and tanh vanish.
            nn.BatchNorm2d(3 * channels),
        )

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of update gate, reset gate and candidate, `(n, channels, height // pool, width // pool)` each.

        Args:
            maps: `(n, in_channels, height, width)`.
        """
        update, reset, candidate = self.layers(maps).chunk(3, dim=1)
        return update, reset, candidate


class LcGrnn(nn.Module):
    """A GRU with convolutions and max feature maps in place of its matrix products; see `lc_grnn`."""

    def __init__(
        self, n_features: int, n_frames: int, *, embedding_dim: int, width: int, window: int, hop: int, dropout: float
    ) -> None:
        super().__init__()
        for name, value in (("embedding_dim", embedding_dim), ("width", width), ("hop", hop)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must lie in [0, 1)")
        if min(n_features, n_frames) < POOL:
            raise ValueError(
                f"an input of {n_features} features x {n_frames} frames is too small for the pooling; "
                f"at least {POOL} x {POOL} are needed"
            )
        if not POOL <= window <= n_frames:
            raise ValueError(f"window is {window}; it must be from {POOL} to the {n_frames} frames of an input")
        self.embedding_dim = embedding_dim
        self.width, self.window, self.hop = width, window, hop
        self.from_input = Gates(1, width, pool=POOL)
        # Both gates, the update gate first. Biases and batch norm belong to the input's side, `from_input`.
        self.from_state = _initialised(nn.Conv2d(width, 4 * width, 3, padding=1, bias=False))
        self.candidate = _initialised(nn.Conv2d(width, 2 * width, 3, padding=1, bias=False))
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width * (n_features // POOL), embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        windows = features.unfold(2, self.window, self.hop).transpose(1, 2)  # (batch, n_windows, n_features, window)
        n_windows = windows.shape[1]
        # The input's contributions of all windows are computed as one batch; only the recurrence needs a loop.
        update, reset, candidate = (
            maps.unflatten(0, (-1, n_windows)).unbind(dim=1)
            for maps in self.from_input(windows.flatten(0, 1).unsqueeze(1))
        )
        state = torch.zeros_like(candidate[0])  # (batch, width, n_features // 4, window // 4)
        for step in range(n_windows):
            of_update, of_reset = self.from_state(state).chunk(2, dim=1)
            z = torch.sigmoid(update[step] + _mfm(of_update))
            r = torch.sigmoid(reset[step] + _mfm(of_reset))
            new = torch.tanh(candidate[step] + _mfm(self.candidate(r * state)))
            state = state + z * (new - state)
        x = self.norm(state).amax(dim=3)  # maximum over the frames of the state: (batch, width, n_features // 4)
        return cast(Tensor, self.linear(self.dropout(x.flatten(1))))


def lc_grnn(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int = 512,
    width: int = 16,
    window: int = 32,
    hop: int = 12,
    dropout: float = 0.0,
) -> LcGrnn:
    """LC-GRNN for inputs `(batch, n_features, n_frames)` of at least one window.

    From the source: windows of 32 frames with a hop of 12, gates of convolutions with max feature maps and pooling, and
    an embedding from the state after the last window. Ours: kernel sizes, channels, batch norms, the maximum over the
    frames of the last state, and the size of the embedding, which is that of the other backbones.

    Args:
        n_features: Features per frame, 4 or more. The last layer fits only this number.
        n_frames: Frames per input. Frames after the last whole window, fewer than `hop`, are ignored.
        embedding_dim: Size of the embedding, 1 or more.
        width: Channels of the state, 1 or more.
        window: Frames of a context window, from 4 to `n_frames`.
        hop: Frames from the start of one window to the start of the next, 1 or more.
        dropout: Probability in [0, 1) that an input of the last layer is dropped in training.

    Raises:
        ValueError: The input is too small, or an option is outside the range above.
    """
    return LcGrnn(
        n_features, n_frames, embedding_dim=embedding_dim, width=width, window=window, hop=hop, dropout=dropout
    )


def _mfm(maps: Tensor) -> Tensor:
    return torch.maximum(*maps.chunk(2, dim=1))


def _initialised(conv: nn.Conv2d) -> nn.Conv2d:
    # As in lcnn.py: a max feature map needs the gain of a linear layer.
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
