"""The nearness to where bona fide speech lies: no classifier at all, a yardstick for the others."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.classifiers.check import check


class Centroid(nn.Module):
    """Minus the distance to the mean bona fide embedding; see `centroid`."""

    def __init__(self, embedding_dim: int, *, metric: Literal["euclidean", "cosine"]) -> None:
        super().__init__()
        self.metric = metric
        self.centre: Tensor
        self.register_buffer("centre", torch.zeros(embedding_dim))

    def fit(
        self, embeddings: Tensor, labels: Tensor, *, attacks: Tensor | None = None, generator: torch.Generator
    ) -> None:
        """Takes the mean of the bona fide embeddings; with `cosine`, of their directions."""
        check(embeddings, labels)
        with torch.no_grad():
            bona_fide = embeddings[labels.bool()]
            self.centre.copy_((F.normalize(bona_fide, dim=1) if self.metric == "cosine" else bona_fide).mean(dim=0))

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(n,)` of embeddings `(n, embedding_dim)`."""
        if self.metric == "cosine":
            return F.cosine_similarity(embeddings, self.centre[None])
        distances: Tensor = torch.linalg.vector_norm(embeddings - self.centre, dim=1)
        return -distances


def centroid(embedding_dim: int, *, metric: Literal["euclidean", "cosine"] = "euclidean") -> Centroid:
    """The nearness of an embedding to the mean bona fide one.

    Args:
        embedding_dim: Size of the embeddings.
        metric: `euclidean`: minus the distance, as the contrastive loss measures it. `cosine`: the cosine.
    """
    return Centroid(embedding_dim, metric=metric)
