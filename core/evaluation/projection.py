"""Projection of embeddings to two dimensions with t-SNE (paper, figures 2 and 3)."""

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE


def chosen(n: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Sorted indices of a uniform random sample of `limit` of `n` utterances; of all if `n <= limit`."""
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, limit, replace=False))


def tsne(embeddings: NDArray[np.float32], *, seed: int = 0, perplexity: float = 30.0) -> NDArray[np.float32]:
    """Positions `(n, 2)` of embeddings by t-SNE, initialised with their first two principal components.

    The neighbourhoods in the plane are meaningful; the distances between far points are not.

    Args:
        embeddings: `(n, embedding_dim)`, at least 3; identical ones are allowed.
        seed: Seed; the result is the same on one machine.
        perplexity: Effective number of neighbours; it is reduced to `(n - 1) / 3` if there are few embeddings.

    Raises:
        ValueError: There are fewer than 3 embeddings, or one is not finite.
    """
    if len(embeddings) < 3:
        raise ValueError(f"t-SNE of {len(embeddings)} embeddings; at least 3 are needed")
    if not np.isfinite(embeddings).all():
        raise ValueError("an embedding is not finite")
    spread = embeddings.std()
    scaled = embeddings / spread if spread > 0 else embeddings
    effective = min(perplexity, (len(embeddings) - 1) / 3)
    init = "pca" if spread > 0 and embeddings.shape[1] > 1 else "random"
    plane: NDArray[np.float32] = TSNE(2, perplexity=effective, init=init, random_state=seed).fit_transform(scaled)
    return plane
