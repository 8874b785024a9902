"""Support vector machine, the second classifier that the paper names (section 3.3)."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from core.classifiers.check import check
from core.classifiers.standardization import standardization


class Svm(nn.Module):
    """A support vector machine, fitted by scikit-learn and scored by torch; see `svm`."""

    def __init__(
        self,
        embedding_dim: int,
        *,
        kernel: Literal["linear", "rbf"],
        c: float,
        gamma: float | None,
        standardize: bool,
        balanced: bool,
    ) -> None:
        super().__init__()
        for name, value in (("c", c), ("gamma", gamma)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; it must be above 0")
        self.kernel, self.c, self.chosen_gamma = kernel, c, gamma
        self.standardize, self.balanced = standardize, balanced
        self.mean: Tensor
        self.scale: Tensor
        self.vectors: Tensor
        self.weights: Tensor
        self.offset: Tensor
        self.gamma: Tensor
        self.register_buffer("mean", torch.zeros(embedding_dim))
        self.register_buffer("scale", torch.ones(embedding_dim))
        # The fit determines the number of vectors: 1 for a linear kernel, otherwise that of the support vectors.
        self.register_buffer("vectors", torch.zeros(1, embedding_dim))
        self.register_buffer("weights", torch.zeros(1))
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("gamma", torch.ones(()))

    def fit(
        self, embeddings: Tensor, labels: Tensor, *, attacks: Tensor | None = None, generator: torch.Generator
    ) -> None:
        """Fits the machine with scikit-learn's `SVC`; deterministic.

        Args:
            embeddings: `(n, embedding_dim)`.
            labels: `(n,)`, 1 = bona fide, 0 = spoof.
            attacks: Not used.
            generator: Not used.

        Raises:
            FloatingPointError: An embedding is not finite.
            ValueError: A class has no embedding.
        """
        from sklearn.svm import SVC

        check(embeddings, labels)
        device = embeddings.device
        points = embeddings.detach().cpu().double().numpy()
        if self.standardize:
            mean, scale = standardization(points)
            self.mean, self.scale = (torch.from_numpy(x).float().to(device) for x in (mean, scale))
            points = (points - mean) / scale
        variance = points.var()
        gamma = self.chosen_gamma or (1 / (points.shape[1] * variance) if variance > 0 else 1.0)
        machine: Any = SVC(
            C=self.c, kernel=self.kernel, gamma=gamma, class_weight="balanced" if self.balanced else None
        ).fit(points, labels.cpu().numpy())
        vectors, weights = machine.support_vectors_, machine.dual_coef_[0]
        if self.kernel == "linear":
            vectors, weights = weights[None] @ vectors, np.ones(1)
        for name, value in (("vectors", vectors), ("weights", weights), ("offset", machine.intercept_[0])):
            setattr(self, name, torch.as_tensor(value, dtype=torch.float32, device=device))
        self.gamma = torch.tensor(float(gamma), device=device)

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(n,)` of embeddings `(n, embedding_dim)`: the decision function, 0 on the decision boundary."""
        points = (embeddings - self.mean) / self.scale
        if self.kernel == "linear":
            similarity = points @ self.vectors.T
        else:
            distances = torch.cdist(points, self.vectors, compute_mode="donot_use_mm_for_euclid_dist")
            similarity = (-self.gamma * distances**2).exp()
        return similarity @ self.weights + self.offset

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        for name in ("vectors", "weights"):  # their sizes come from the fit, not from the constructor
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name], device=self.offset.device))
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def svm(
    embedding_dim: int,
    *,
    kernel: Literal["linear", "rbf"] = "rbf",
    c: float = 1.0,
    gamma: float | None = None,
    standardize: bool = True,
    balanced: bool = True,
) -> Svm:
    """Support vector machine whose decision function is the CM score.

    The time of a fit grows with the square of the number of embeddings: seconds for 1,000, minutes for 25,000.

    Args:
        embedding_dim: Size of the embeddings.
        kernel: `linear`, or `rbf` (radial basis functions).
        c: Cost of a violated margin, positive.
        gamma: Factor of the squared distance in the radial basis functions, positive. None: `1 / (embedding_dim *
            variance)`, with the variance over all values of the (standardised) embeddings.
        standardize: Whether every coordinate is first scaled to mean 0 and variance 1.
        balanced: Whether the classes are weighted so that both have the same total weight.

    Raises:
        ValueError: `c` or `gamma` is not positive.
    """
    return Svm(embedding_dim, kernel=kernel, c=c, gamma=gamma, standardize=standardize, balanced=balanced)
