"""Requirements of all classifiers on the embeddings that they are fitted on."""

import torch
from torch import Tensor


def check(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Number of spoofed and number of bona fide embeddings, in this order, `(2,)`.

    Args:
        embeddings: `(n, embedding_dim)`.
        labels: `(n,)`, 1 = bona fide, 0 = spoof.

    Raises:
        FloatingPointError: An embedding is not finite.
        ValueError: A class has no embedding.
    """
    if not torch.isfinite(embeddings).all():
        raise FloatingPointError("an embedding to fit the classifier on is not finite")
    counts = torch.bincount(labels.long(), minlength=2)
    if counts.min() == 0:
        raise ValueError(f"{counts[1]} bona fide and {counts[0]} spoofed embeddings; both classes are needed")
    return counts
