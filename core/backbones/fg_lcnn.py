"""FG-LCNN: features as a network that knows bona fide speech alone gives them back, then LCNN (Wu 2020)."""

import itertools
from collections.abc import Callable, Iterator
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.backbones.lcnn import Lcnn
from core.optimizer import Adam

STAGES = 3
"""Convolutions of stride 2 on the way in, and as many on the way out."""


class Genuinizer(nn.Module):
    """An autoencoder of feature maps: what it learned of bona fide speech passes, the rest does not.

    Its narrowest map has a quarter of the values of the input at the default width: `width` channels of 1 / 64 each.
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
        """Features with the mean 0 and the variance 1 that bona fide speech has, value by value of a frame."""
        return (features - self.mean) / self.scale

    def forward(self, features: Tensor) -> Tensor:
        """What the network makes of standardised features, of the same shape `(batch, n_features, n_frames)`."""
        height, width = features.shape[1:]
        step = 2**STAGES
        # Sizes that the strides do not divide are filled up by repetition and cut again.
        padded = F.pad(features.unsqueeze(1), (0, -width % step, 0, -height % step), mode="replicate")
        return cast(Tensor, self.layers(padded)[:, 0, :height, :width])


class GenuinizedLcnn(nn.Module):
    """LCNN of genuinized features; see `fg_lcnn`."""

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
        """Trains the genuinizer to give bona fide speech back (mean squared error), and freezes it.

        Args:
            bona_fide: Gives one epoch of minibatches `(batch, n_features, n_frames)` of bona fide speech; called once
                for the statistics and once an epoch.
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
                wanted = network.standardised(features)
                loss = F.mse_loss(network(wanted), wanted)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "GenuinizedLcnn":
        """Training mode for the LCNN alone: the genuinizer's batch norms stay as bona fide speech left them."""
        super().train(mode)
        self.genuinizer.eval()
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        with torch.no_grad():
            genuinized = self.genuinizer(self.genuinizer.standardised(features))
        return cast(Tensor, self.lcnn(genuinized))


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

    The source has a network of convolutions that is trained to give bona fide speech back; its sizes are ours.

    Args:
        n_features: Features a frame.
        n_frames: Frames of every input.
        embedding_dim: Size of the embedding.
        width: Channels of the LCNN; this and the next two as of `lcnn`.
        dropout: Chance that a value before the last layer is dropped in training.
        pooling: What the last layer sees.
        genuinizer_width: Channels of the genuinization network.
        genuinizer_epochs: Passes over the bona fide speech of train.
        genuinizer_lr: Learning rate of Adam.

    Raises:
        ValueError: an input or an option out of range.
    """
    lcnn = Lcnn(n_features, n_frames, embedding_dim=embedding_dim, width=width, dropout=dropout, pooling=pooling)
    genuinizer = Genuinizer(n_features, width=genuinizer_width)
    return GenuinizedLcnn(lcnn, genuinizer, epochs=genuinizer_epochs, lr=genuinizer_lr)
