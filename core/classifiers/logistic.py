"""Logistic regression: a linear classifier whose score is the log odds of bona fide."""

import numpy as np
import torch
from torch import Tensor, nn

from core.classifiers.check import check
from core.classifiers.standardization import standardization


class LogisticRegression(nn.Module):
    """Logistic regression, fitted by scikit-learn and scored by torch; see `logistic_regression`."""

    def __init__(self, embedding_dim: int, *, c: float, standardize: bool, balanced: bool) -> None:
        super().__init__()
        if not c > 0:
            raise ValueError(f"c is {c}; it must be above 0")
        self.c, self.standardize, self.balanced = c, standardize, balanced
        self.mean: Tensor
        self.scale: Tensor
        self.weight: Tensor
        self.offset: Tensor
        self.register_buffer("mean", torch.zeros(embedding_dim))
        self.register_buffer("scale", torch.ones(embedding_dim))
        self.register_buffer("weight", torch.zeros(embedding_dim))
        self.register_buffer("offset", torch.zeros(()))

    def fit(
        self, embeddings: Tensor, labels: Tensor, *, attacks: Tensor | None = None, generator: torch.Generator
    ) -> None:
        """Fits the weights with scikit-learn's `LogisticRegression`; deterministic.

        Args:
            embeddings: `(n, embedding_dim)`.
            labels: `(n,)`, 1 = bona fide, 0 = spoof.
            attacks: Not used.
            generator: Not used.

        Raises:
            FloatingPointError: An embedding is not finite.
            ValueError: A class has no embedding.
        """
        from sklearn.linear_model import LogisticRegression as Fit

        check(embeddings, labels)
        points = embeddings.detach().cpu().double().numpy()
        mean, scale = standardization(points) if self.standardize else (np.zeros(1), np.ones(1))
        # The solver stops after 1,000 steps. Standardised embeddings need tens.
        fitted = Fit(C=self.c, class_weight="balanced" if self.balanced else None, max_iter=1000)
        fitted.fit((points - mean) / scale, labels.cpu().numpy())
        values = {"mean": mean, "scale": scale, "weight": fitted.coef_[0], "offset": fitted.intercept_[0]}
        for name, value in values.items():
            buffer: Tensor = getattr(self, name)
            buffer.copy_(torch.as_tensor(value))

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(n,)` of embeddings `(n, embedding_dim)`: the log odds of bona fide."""
        return (embeddings - self.mean) / self.scale @ self.weight + self.offset


def logistic_regression(
    embedding_dim: int, *, c: float = 1.0, standardize: bool = True, balanced: bool = True
) -> LogisticRegression:
    """Logistic regression with a penalty on the squared weights, which minimises

        |weights|^2 / 2 + c * sum of the logistic losses.

    Args:
        embedding_dim: Size of the embeddings.
        c: Weight of the losses against the penalty, positive.
        standardize: Whether every coordinate is first scaled to mean 0 and variance 1.
        balanced: Whether the classes are weighted so that both have the same total weight.

    Raises:
        ValueError: `c` is not positive.
    """
    return LogisticRegression(embedding_dim, c=c, standardize=standardize, balanced=balanced)
