"""Gaussian classifiers with one covariance: linear and probabilistic linear discriminant analysis."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.classifiers.check import check

Array = NDArray[np.float64]


class Lda(nn.Module):
    """Linear discriminant analysis of two classes; see `lda`."""

    def __init__(self, embedding_dim: int, *, shrinkage: float | None) -> None:
        super().__init__()
        _check_shrinkage(shrinkage)
        self.shrinkage = shrinkage
        self.weight: Tensor
        self.offset: Tensor
        self.register_buffer("weight", torch.zeros(embedding_dim))
        self.register_buffer("offset", torch.zeros(()))

    def fit(
        self, embeddings: Tensor, labels: Tensor, *, attacks: Tensor | None = None, generator: torch.Generator
    ) -> None:
        """Fits both means and the common covariance; nothing is drawn."""
        check(embeddings, labels)
        points, wanted = embeddings.detach().cpu().double().numpy(), labels.cpu().numpy()
        means = np.stack([points[wanted == label].mean(axis=0) for label in (0, 1)])
        covariance = _within(points - means[wanted], self.shrinkage)
        weight = np.linalg.solve(covariance, means[1] - means[0])
        self.weight.copy_(torch.from_numpy(weight))
        self.offset.copy_(torch.as_tensor(-weight @ means.mean(axis=0)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(n,)`: the log-likelihood ratio of bona fide against spoofed speech."""
        return embeddings @ self.weight + self.offset


class Plda(nn.Module):
    """Two-covariance probabilistic linear discriminant analysis; see `plda`."""

    def __init__(self, embedding_dim: int, *, dim: int, shrinkage: float | None) -> None:
        super().__init__()
        _check_shrinkage(shrinkage)
        if dim < 1:
            raise ValueError(f"dim is {dim}; it must be at least 1")
        self.shrinkage = shrinkage
        self.dim = min(dim, embedding_dim)
        self.mean: Tensor
        self.projection: Tensor
        self.centres: Tensor
        self.spreads: Tensor
        self.between: Tensor
        self.register_buffer("mean", torch.zeros(embedding_dim))
        self.register_buffer("projection", torch.zeros(embedding_dim, self.dim))
        self.register_buffer("centres", torch.zeros(self.dim))
        self.register_buffer("spreads", torch.ones(self.dim))
        self.register_buffer("between", torch.ones(self.dim))

    def fit(
        self, embeddings: Tensor, labels: Tensor, *, attacks: Tensor | None = None, generator: torch.Generator
    ) -> None:
        """Fits the covariance within and between classes and enrols bona fide speech; nothing is drawn."""
        check(embeddings, labels)
        points = embeddings.detach().cpu().double().numpy()
        classes = (attacks if attacks is not None else 1 - labels.long()).cpu().numpy()
        names, places = np.unique(classes, return_inverse=True)
        means = np.stack([points[classes == name].mean(axis=0) for name in names])
        within = _within(points - means[places], self.shrinkage)
        mean = means.mean(axis=0)  # classes count the same, whatever their sizes
        # Coordinates in which the covariance within classes is the identity and that between them is diagonal.
        whitening = np.linalg.inv(np.linalg.cholesky(within)).T
        between = np.cov(((means - mean) @ whitening).T, bias=True).reshape(len(mean), len(mean))
        values, directions = np.linalg.eigh(between)
        order = np.argsort(values)[::-1][: self.dim]
        projection = whitening @ directions[:, order]
        spread = np.maximum(values[order], 0.0)
        # The posterior of the bona fide class's centre, given all its n embeddings.
        bona_fide = (points[labels.cpu().numpy() == 1] - mean) @ projection
        n = len(bona_fide)
        posterior = spread / (1 + n * spread)
        centre = posterior * n * bona_fide.mean(axis=0)
        found = {"mean": mean, "projection": projection, "centres": centre}
        found |= {"spreads": 1 + posterior, "between": 1 + spread}
        for name, value in found.items():
            cast(Tensor, getattr(self, name)).copy_(torch.from_numpy(np.ascontiguousarray(value)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(n,)`: the log-likelihood ratio of "of the bona fide class" against "of any class"."""
        points = (embeddings - self.mean) @ self.projection
        enrolled = ((points - self.centres) ** 2 / self.spreads + self.spreads.log()).sum(dim=1)
        anyone = (points**2 / self.between + self.between.log()).sum(dim=1)
        return (anyone - enrolled) / 2


def lda(embedding_dim: int, *, shrinkage: float | None = None) -> Lda:
    """Linear discriminant analysis: two Gaussians of one covariance, both classes equally likely.

    Args:
        embedding_dim: Size of the embeddings.
        shrinkage: Share in [0, 1] of a multiple of the identity in the covariance; None = as Ledoit and Wolf (2004)
            estimate it.

    Raises:
        ValueError: `shrinkage` out of range.
    """
    return Lda(embedding_dim, shrinkage=shrinkage)


def plda(embedding_dim: int, *, dim: int = 32, shrinkage: float | None = None) -> Plda:
    """Probabilistic linear discriminant analysis, two-covariance form; classes are bona fide speech and each attack.

    Class centres come from a Gaussian, too, so that an attack that train has not is expected: the score is the
    likelihood ratio of an embedding under the bona fide class, enrolled with all its embeddings, against a class that
    was never seen.

    Args:
        embedding_dim: Size of the embeddings.
        dim: Directions kept, those in which the classes differ most; no more than `embedding_dim`. Beyond the number
            of classes less one they add nothing.
        shrinkage: As of `lda`.

    Raises:
        ValueError: `shrinkage` or `dim` out of range.
    """
    return Plda(embedding_dim, dim=dim, shrinkage=shrinkage)


def _within(deviations: Array, shrinkage: float | None) -> Array:
    """Covariance of deviations from class means, shrunk, and with a floor that keeps it invertible."""
    from sklearn.covariance import ledoit_wolf

    if shrinkage is None:
        covariance: Array = ledoit_wolf(deviations, assume_centered=True)[0]
    else:
        plain = deviations.T @ deviations / len(deviations)
        average = np.trace(plain) / len(plain)
        covariance = (1 - shrinkage) * plain + shrinkage * average * np.eye(len(plain))
    floor = max(1e-6 * np.trace(covariance) / len(covariance), 1e-12)
    floored: Array = covariance + floor * np.eye(len(covariance))
    return floored


def _check_shrinkage(shrinkage: float | None) -> None:
    if shrinkage is not None and not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage is {shrinkage}; it must be from 0 to 1")
