"""Light convolutional gated recurrent network: a GRU of feature maps over context windows (Gomez-Alanis 2019, [32])."""

from typing import Literal, cast

import torch
from torch import Tensor, nn

from core.backbones.lcnn import MaxFeatureMap


def convolution(in_channels: int, out_channels: int, *, bias: bool) -> nn.Sequential:
    """A 3x3 convolution that keeps the size, and a max feature map of which `out_channels` leave."""
    conv = nn.Conv2d(in_channels, 2 * out_channels, 3, padding=1, bias=bias)
    # As in lcnn.py: a max feature map has the gain of a linear layer.
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, MaxFeatureMap())


class GatedConvolution(nn.Module):
    """A GRU whose input and state are feature maps and whose products with weights are convolutions.

    What the gates take from the input is pooled to half its size, rounded up, and normed; the state has that size.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        # Reset gate, update gate and candidate, side by side in the channels.
        self.entering = nn.Sequential(
            convolution(in_channels, 3 * channels, bias=True),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.BatchNorm2d(3 * channels),
        )
        self.recurrent_gates = convolution(channels, 2 * channels, bias=False)
        self.recurrent_candidate = convolution(channels, channels, bias=False)

    def forward(self, windows: Tensor) -> Tensor:
        """States `(batch, n_windows, channels, height / 2, width / 2)` after each window, sizes rounded up.

        Args:
            windows: `(batch, n_windows, in_channels, height, width)`.
        """
        # All windows pass as one batch: only what hangs on the state is computed step by step.
        entering = self.entering(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
        state = torch.zeros_like(entering[:, 0].chunk(3, dim=1)[0])
        states = []
        for step in entering.unbind(dim=1):
            gates, candidate = step.tensor_split([2 * state.shape[1]], dim=1)
            reset, update = torch.sigmoid(gates + self.recurrent_gates(state)).chunk(2, dim=1)
            candidate = torch.tanh(candidate + self.recurrent_candidate(reset * state))
            state = torch.lerp(state, candidate, update)
            states.append(state)
        return torch.stack(states, dim=1)


class LcGrnn(nn.Module):
    """Layers of gated convolutions over context windows and one fully connected layer; see `lc_grnn`."""

    def __init__(
        self,
        n_features: int,
        n_frames: int,
        *,
        window: int,
        hop: int,
        width: int,
        n_layers: int,
        embedding_dim: int,
        dropout: float,
        pooling: Literal["last", "mean"],
    ) -> None:
        super().__init__()
        sizes = {"window": window, "hop": hop, "width": width, "n_layers": n_layers, "embedding_dim": embedding_dim}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must lie in [0, 1)")
        if n_frames < window:
            raise ValueError(f"an input of {n_frames} frames is shorter than a window; at least {window} are needed")
        self.embedding_dim = embedding_dim
        self.window, self.hop, self.pooling = window, hop, pooling
        self.layers = nn.Sequential(*(GatedConvolution(width if k else 1, width) for k in range(n_layers)))
        height, columns = (-(-side // 2**n_layers) for side in (n_features, window))  # rounded up
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width * height * columns, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        windows = features.unfold(2, self.window, self.hop)  # (batch, n_features, n_windows, window)
        # As images of one channel: (batch, n_windows, 1, n_features, window)
        states = self.layers(windows.transpose(1, 2).unsqueeze(2))
        state = states[:, -1] if self.pooling == "last" else states.mean(dim=1)
        return cast(Tensor, self.linear(self.dropout(state.flatten(1))))


def lc_grnn(
    n_features: int,
    n_frames: int,
    *,
    window: int = 32,
    hop: int = 12,
    width: int = 8,
    n_layers: int = 3,
    embedding_dim: int = 512,
    dropout: float = 0.0,
    pooling: Literal["last", "mean"] = "last",
) -> LcGrnn:
    """LC-GRNN for inputs `(batch, n_features, n_frames)` of at least one window.

    Of the source: windows of 32 frames every 12, gates of convolutions with max feature maps and pooling, and an
    embedding from the state after the last window. The kernels, the number of channels and layers, the norm of what
    enters the gates, and the size of the embedding, which is that of the other backbones, are ours.

    Args:
        n_features: Features a frame. The last layer fits this number alone.
        n_frames: Frames of every input. Frames after the last whole window, fewer than `hop`, are not seen.
        window: Frames of a context window.
        hop: Frames from one window to the next.
        width: Channels of every state.
        n_layers: Layers; each halves features and frames of a window, the next one runs over its states.
        embedding_dim: Size of the embedding.
        dropout: Chance in [0, 1) that a value before the last layer is dropped in training.
        pooling: What the last layer sees of the last states: the one after the last window, or their mean.

    Raises:
        ValueError: fewer frames than a window, or an option out of range.
    """
    return LcGrnn(
        n_features,
        n_frames,
        window=window,
        hop=hop,
        width=width,
        n_layers=n_layers,
        embedding_dim=embedding_dim,
        dropout=dropout,
        pooling=pooling,
    )
