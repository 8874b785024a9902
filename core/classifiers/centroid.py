"""Nearest centroid: the distance to the mean bona fide embedding as the score. A baseline for the other classifiers."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.classifiers.check import check


class Centroid(nn.Module):
    """Proximity to the mean bona fide embedding; see `centroid`."""

    def __init__(self, embedding_dim: int, *, metric: Literal["euclidean", "cosine"]) -> None:
        super().__init__()
        self.metric = metric
        self.centre: Tensor
        self.register_buffer("centre", torch.zeros(embedding_dim))

    def fit(
        self, embeddings: Tensor, labels: Tensor, *, attacks: Tensor | None = None, generator: torch.Generator
    ) -> None:
        """Computes the mean of the bona fide embeddings; with `cosine`, of the embeddings normalised to length 1.

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
        with torch.no_grad():
            bona_fide = embeddings[labels.bool()]
            self.centre.copy_((F.normalize(bona_fide, dim=1) if self.metric == "cosine" else bona_fide).mean(dim=0))

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(n,)` of embeddings `(n, embedding_dim)`: at most 0 (`euclidean`), or in [-1, 1] (`cosine`)."""
        if self.metric == "cosine":
            return F.cosine_similarity(embeddings, self.centre[None])
        distances: Tensor = torch.linalg.vector_norm(embeddings - self.centre, dim=1)
        return -distances


def centroid(embedding_dim: int, *, metric: Literal["euclidean", "cosine"] = "euclidean") -> Centroid:
    """Classifier whose score is the proximity of an embedding to the mean bona fide embedding.

    Args:
        embedding_dim: Size of the embeddings.
        metric: `euclidean`: minus the Euclidean distance, which the contrastive loss uses. `cosine`: the cosine.
    """
    return Centroid(embedding_dim, metric=metric)
