"""Support vector machines, the other classifier that the paper names (section 3.3)."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from core.classifiers.check import check


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
        # One vector for a linear kernel, else as many as the fit needs: the number is known after it alone.
        self.register_buffer("vectors", torch.zeros(1, embedding_dim))
        self.register_buffer("weights", torch.zeros(1))
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("gamma", torch.ones(()))

    def fit(
        self, embeddings: Tensor, labels: Tensor, *, attacks: Tensor | None = None, generator: torch.Generator
    ) -> None:
        """Fits the machine; nothing is drawn."""
        from sklearn.svm import SVC

        check(embeddings, labels)
        device = embeddings.device
        points = embeddings.detach().cpu().double().numpy()
        if self.standardize:
            mean, scale = points.mean(axis=0), points.std(axis=0)
            scale[scale < 1e-8] = 1.0  # a constant coordinate tells nothing
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
        """CM scores `(n,)` of embeddings `(n, embedding_dim)`: the decision function."""
        points = (embeddings - self.mean) / self.scale
        if self.kernel == "linear":
            similarity = points @ self.vectors.T
        else:
            distances = torch.cdist(points, self.vectors, compute_mode="donot_use_mm_for_euclid_dist")
            similarity = (-self.gamma * distances**2).exp()
        return similarity @ self.weights + self.offset

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        for name in ("vectors", "weights"):  # of the size that the fit gave them
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
    """A support vector machine on the embeddings; the score is its decision function.

    Args:
        embedding_dim: Size of the embeddings.
        kernel: Linear, or radial basis functions.
        c: Cost of an utterance on the wrong side.
        gamma: Width of the radial basis functions; None = one over size and variance of the embeddings.
        standardize: Bring every coordinate to mean 0 and variance 1 first.
        balanced: Weigh the classes so that both count the same.

    Raises:
        ValueError: `c` or `gamma` is not above 0.
    """
    return Svm(embedding_dim, kernel=kernel, c=c, gamma=gamma, standardize=standardize, balanced=balanced)
