"""Gaussian classifiers whose classes share one covariance: linear and probabilistic linear discriminant analysis."""

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
        """Fits the means of both classes and their common covariance; deterministic.

        Args:
            embeddings: `(n, embedding_dim)`.
            labels: `(n,)`, 1 = bona fide, 0 = spoof.
            attacks: Not used.
            generator: Not used.

        Raises:
            FloatingPointError: An embedding is not finite.
            ValueError: A class has no embedding.
        """
        check(embeddings, labels)
        points, classes = embeddings.detach().cpu().double().numpy(), labels.cpu().numpy()
        means = np.stack([points[classes == label].mean(axis=0) for label in (0, 1)])
        covariance = _within(points - means[classes], self.shrinkage)
        weight = np.linalg.solve(covariance, means[1] - means[0])
        self.weight.copy_(torch.from_numpy(weight))
        self.offset.copy_(torch.as_tensor(-weight @ means.mean(axis=0)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(n,)` of embeddings `(n, embedding_dim)`: the log-likelihood ratio of bona fide to spoof."""
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
        """Fits the covariances within and between classes, and enrols the bona fide class; deterministic.

        Args:
            embeddings: `(n, embedding_dim)`.
            labels: `(n,)`, 1 = bona fide, 0 = spoof.
            attacks: `(n,)`, 0 = bona fide, otherwise a number from 1 that identifies the attack. None: all spoofed
                embeddings form one class.
            generator: Not used.

        Raises:
            FloatingPointError: An embedding is not finite.
            ValueError: A class has no embedding.
        """
        check(embeddings, labels)
        points = embeddings.detach().cpu().double().numpy()
        classes = (attacks if attacks is not None else 1 - labels.long()).cpu().numpy()
        names, places = np.unique(classes, return_inverse=True)
        means = np.stack([points[classes == name].mean(axis=0) for name in names])
        within = _within(points - means[places], self.shrinkage)
        mean = means.mean(axis=0)  # all classes have equal weight, whatever their sizes
        # In these coordinates the covariance within classes is the identity, and the one between classes is diagonal.
        whitening = np.linalg.inv(np.linalg.cholesky(within)).T
        between = np.cov(((means - mean) @ whitening).T, bias=True).reshape(len(mean), len(mean))
        values, directions = np.linalg.eigh(between)
        order = np.argsort(values)[::-1][: self.dim]
        projection = whitening @ directions[:, order]
        spread = np.maximum(values[order], 0.0)
        # Posterior of the centre of the bona fide class, given all n embeddings of that class.
        bona_fide = (points[labels.cpu().numpy() == 1] - mean) @ projection
        n = len(bona_fide)
        posterior = spread / (1 + n * spread)
        centre = posterior * n * bona_fide.mean(axis=0)
        buffers = {"mean": mean, "projection": projection, "centres": centre}
        buffers |= {"spreads": 1 + posterior, "between": 1 + spread}
        for name, value in buffers.items():
            cast(Tensor, getattr(self, name)).copy_(torch.from_numpy(np.ascontiguousarray(value)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(n,)` of embeddings `(n, embedding_dim)`.

        A score is the log-likelihood ratio of the bona fide class to an unseen class from the prior of class centres.
        """
        points = (embeddings - self.mean) @ self.projection
        enrolled = ((points - self.centres) ** 2 / self.spreads + self.spreads.log()).sum(dim=1)
        unseen = (points**2 / self.between + self.between.log()).sum(dim=1)
        return (unseen - enrolled) / 2


def lda(embedding_dim: int, *, shrinkage: float | None = None) -> Lda:
    """Linear discriminant analysis: two Gaussians with one covariance and equal priors.

    Args:
        embedding_dim: Size of the embeddings.
        shrinkage: Weight in [0, 1] of a multiple of the identity in the covariance. None: the estimate of Ledoit and
            Wolf (2004).

    Raises:
        ValueError: `shrinkage` is outside [0, 1].
    """
    return Lda(embedding_dim, shrinkage=shrinkage)


def plda(embedding_dim: int, *, dim: int = 32, shrinkage: float | None = None) -> Plda:
    """Probabilistic linear discriminant analysis, two-covariance form. Bona fide speech and every attack are classes.

    The class centres have a Gaussian prior, which also covers attacks that are absent from train. The score is the
    log-likelihood ratio of two hypotheses: the embedding belongs to the bona fide class, enrolled with all its training
    embeddings; or it belongs to an unseen class.

    Args:
        embedding_dim: Size of the embeddings.
        dim: Number of directions kept, 1 or more: those in which the classes differ most. It is limited to
            `embedding_dim`. Directions beyond the number of classes minus one carry no information.
        shrinkage: As in `lda`.

    Raises:
        ValueError: `shrinkage` is outside [0, 1], or `dim` is below 1.
    """
    return Plda(embedding_dim, dim=dim, shrinkage=shrinkage)


def _within(deviations: Array, shrinkage: float | None) -> Array:
    """Shrunk covariance `(dim, dim)` of deviations `(n, dim)` from class means; a floor keeps it invertible."""
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
