"""What every classifier asks of the embeddings that it is fitted on."""

import torch
from torch import Tensor


def check(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Numbers of spoofed and bona fide embeddings, `(2,)`.

    Args:
        embeddings: `(n, embedding_dim)`.
        labels: `(n,)`, 1 = bona fide, 0 = spoof.

    Raises:
        FloatingPointError: an embedding is not finite.
        ValueError: one class has no embedding.
    """
    if not torch.isfinite(embeddings).all():
        raise FloatingPointError("an embedding to fit the classifier on is not finite")
    counts = torch.bincount(labels.long(), minlength=2)
    if counts.min() == 0:
        raise ValueError(f"{counts[1]} bona fide and {counts[0]} spoofed embeddings; both classes are needed")
    return counts
