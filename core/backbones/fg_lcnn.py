"""FG-LCNN: an autoencoder trained on bona fide speech only transforms the features for an LCNN (Wu 2020)."""

import itertools
from collections.abc import Callable, Iterator
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.backbones.lcnn import Lcnn
from core.optimizer import Adam

STAGES = 3
"""Convolutions of stride 2 in the encoder; the decoder has the same number."""


class Genuinizer(nn.Module):
    """Autoencoder of features: it reconstructs the structure of bona fide speech and loses other structure.

    The bottleneck has `width` channels, each with 1/64 of the input's values: a quarter of them at the default width.
    """

    def __init__(self, n_features: int, *, width: int) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"genuinizer_width is {width}; it must be at least 1")
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(n_features, 1))
        self.register_buffer("scale", torch.ones(n_features, 1))
        layers: list[nn.Module] = []
        channels = [1] + [width] * STAGES
        for entering, leaving in itertools.pairwise(channels):
            layers += [nn.Conv2d(entering, leaving, 3, stride=2, padding=1), nn.BatchNorm2d(leaving), nn.ReLU()]
        for entering, leaving in zip(channels[:0:-1], channels[-2::-1], strict=True):
            layers += [nn.ConvTranspose2d(entering, leaving, 4, stride=2, padding=1)]
            layers += [nn.BatchNorm2d(leaving), nn.ReLU()] if leaving > 1 else []
        self.layers = nn.Sequential(*layers)

    def standardised(self, features: Tensor) -> Tensor:
        """Features, shape unchanged, scaled so that each feature of bona fide speech has mean 0 and variance 1."""
        return (features - self.mean) / self.scale

    def forward(self, features: Tensor) -> Tensor:
        """Reconstruction `(batch, n_features, n_frames)` of standardised features of the same shape."""
        height, width = features.shape[1:]
        step = 2**STAGES
        # Sizes that the strides do not divide are padded by repeating the edge; the output is cropped again.
        padded = F.pad(features.unsqueeze(1), (0, -width % step, 0, -height % step), mode="replicate")
        return cast(Tensor, self.layers(padded)[:, 0, :height, :width])


class GenuinizedLcnn(nn.Module):
    """LCNN on the features that a `Genuinizer` reconstructs; see `fg_lcnn`."""

    def __init__(self, lcnn: Lcnn, genuinizer: Genuinizer, *, epochs: int, lr: float) -> None:
        super().__init__()
        if epochs < 1:
            raise ValueError(f"genuinizer_epochs is {epochs}; it must be at least 1")
        if not lr > 0:
            raise ValueError(f"genuinizer_lr is {lr}; it must be above 0")
        self.embedding_dim = lcnn.embedding_dim
        self.lcnn = lcnn
        self.genuinizer = genuinizer.requires_grad_(False)
        self.epochs, self.lr = epochs, lr

    def prepare(self, bona_fide: Callable[[], Iterator[Tensor]]) -> None:
        """Trains the genuinizer to reconstruct bona fide features (mean squared error), then freezes it.

        Args:
            bona_fide: Function that returns one epoch of minibatches `(batch, n_features, n_frames)` of bona fide
                speech. It is called once for the mean and variance and once per epoch.
        """
        network = self.genuinizer
        n, total, squares = 0, torch.zeros_like(network.mean), torch.zeros_like(network.mean)
        for features in bona_fide():
            n += features.shape[0] * features.shape[2]
            total += features.sum(dim=(0, 2))[:, None]
            squares += (features**2).sum(dim=(0, 2))[:, None]
        network.mean.copy_(total / n)
        network.scale.copy_((squares / n - network.mean**2).clamp_min(1e-6).sqrt())
        network.requires_grad_(True).train()
        optimizer = Adam(network.parameters(), lr=self.lr)
        for _ in range(self.epochs):
            for features in bona_fide():
                target = network.standardised(features)
                loss = F.mse_loss(network(target), target)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "GenuinizedLcnn":
        """Sets the mode of the LCNN only: the genuinizer's batch norms keep the statistics of bona fide speech."""
        super().train(mode)
        self.genuinizer.eval()
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        # The genuinizer is frozen, but the gradient passes through it to a mix of layers.
        return cast(Tensor, self.lcnn(self.genuinizer(self.genuinizer.standardised(features))))


def fg_lcnn(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int = 512,
    width: int = 64,
    dropout: float = 0.0,
    pooling: Literal["flatten", "mean"] = "flatten",
    genuinizer_width: int = 16,
    genuinizer_epochs: int = 20,
    genuinizer_lr: float = 1e-3,
) -> GenuinizedLcnn:
    """LCNN behind a genuinization network that is trained on bona fide speech before the first epoch.

    In the source (Wu 2020), too, a convolutional network learns to reconstruct bona fide features. Its sizes here are
    ours.

    Args:
        n_features: Features per frame, 16 or more.
        n_frames: Frames per input, 16 or more.
        embedding_dim: Size of the embedding.
        width: Channels of the LCNN's first convolution, a multiple of 4, as in `lcnn`.
        dropout: Probability in [0, 1) that an input of the last layer is dropped in training.
        pooling: Input of the last layer, as in `lcnn`: the whole map (`flatten`), or the mean over it (`mean`).
        genuinizer_width: Channels of the genuinization network, 1 or more.
        genuinizer_epochs: Passes over the bona fide utterances of train, 1 or more.
        genuinizer_lr: Learning rate of Adam, positive.

    Raises:
        ValueError: The input is too small, or an option is outside its range.
    """
    lcnn = Lcnn(n_features, n_frames, embedding_dim=embedding_dim, width=width, dropout=dropout, pooling=pooling)
    genuinizer = Genuinizer(n_features, width=genuinizer_width)
    return GenuinizedLcnn(lcnn, genuinizer, epochs=genuinizer_epochs, lr=genuinizer_lr)
