"""PAIR_SAMPLERS: the pairs of a minibatch. Also `minibatches`: the balanced minibatches of an epoch."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from core.table import Table

PairSampler = Callable[[Tensor, torch.Generator, Tensor], Tensor]
"""Function of labels `(batch,)`, a generator on the CPU, and embeddings `(batch, embedding_dim)` without gradient. It
returns pairs `(n_pairs, 2)`: indices into the batch, on the device of the labels."""


def random(*, n_pairs: int = 50) -> PairSampler:
    """Sampler of distinct unordered pairs, all equally likely, whatever their classes (paper, section 4).

    Args:
        n_pairs: Pairs per minibatch, 1 or more. The sampler returns all B (B - 1) / 2 pairs of a minibatch of B
            utterances if these are fewer.

    Raises:
        ValueError: `n_pairs` is below 1. The sampler raises it if a minibatch has fewer than two utterances.
    """
    if n_pairs < 1:
        raise ValueError(f"n_pairs is {n_pairs}; it must be at least 1")

    def sample(labels: Tensor, generator: torch.Generator, embeddings: Tensor) -> Tensor:
        return _all_pairs(labels, generator)[:n_pairs].to(labels.device, non_blocking=True)

    return sample


def hard(*, n_pairs: int = 50, share: float = 0.5) -> PairSampler:
    """Sampler that returns hard pairs and random pairs.

    One half of the hard pairs are the farthest pairs of one class, the other half the nearest pairs of two classes. If
    there are too few pairs of one sort, pairs of the other sort replace them. Hard pairs only would emphasise outliers
    and mislabelled recordings.

    Args:
        n_pairs: Pairs per minibatch, as in `random`.
        share: Fraction of hard pairs, from 0 (the same as `random`) to 1.

    Raises:
        ValueError: An option is out of range. The sampler raises it if a minibatch has fewer than two utterances.
    """
    if n_pairs < 1:
        raise ValueError(f"n_pairs is {n_pairs}; it must be at least 1")
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it must be from 0 to 1")
    n_hard = round(share * n_pairs)

    def sample(labels: Tensor, generator: torch.Generator, embeddings: Tensor) -> Tensor:
        pairs = _all_pairs(labels, generator).to(labels.device, non_blocking=True)
        distances = torch.linalg.vector_norm(embeddings[pairs[:, 0]] - embeddings[pairs[:, 1]], dim=1)
        same_class = labels[pairs[:, 0]] == labels[pairs[:, 1]]
        # The ranks within both sorts of pairs are interleaved, so that the sorts alternate. The order of pairs with
        # equal distances is random, because `pairs` is shuffled and the sort is stable.
        hardness = torch.where(same_class, distances, -distances)
        order = torch.argsort(hardness, descending=True, stable=True)
        turn = torch.where(same_class[order], same_class[order].cumsum(0) * 2, (~same_class[order]).cumsum(0) * 2 + 1)
        chosen = order[torch.argsort(turn, stable=True)][:n_hard]
        others = torch.ones(len(pairs), dtype=torch.bool, device=labels.device)
        others[chosen] = False
        return torch.cat([pairs[chosen], pairs[others][: n_pairs - len(chosen)]])

    return sample


def _all_pairs(labels: Tensor, generator: torch.Generator) -> Tensor:
    """All pairs of a minibatch in random order, `(n_pairs, 2)`, on the CPU."""
    if len(labels) < 2:
        raise ValueError(f"a minibatch of {len(labels)} has no pairs; it must have at least 2 utterances")
    pairs = torch.triu_indices(len(labels), len(labels), offset=1).T
    return pairs[torch.randperm(len(pairs), generator=generator)]


def n_minibatches(n_utterances: int, batch_size: int) -> int:
    """Number of minibatches of one epoch: as many as the utterances fill, and at least 1."""
    return max(1, n_utterances // batch_size)


def minibatches(
    labels: Tensor, batch_size: int, generator: torch.Generator, n_batches: int | None = None
) -> Iterator[Tensor]:
    """Indices `(batch_size,)` of the minibatches of one epoch, half bona fide and half spoof (paper, section 4).

    Both classes are drawn without replacement and shuffled again after their last utterance. An epoch thus holds the
    smaller class several times and a part of the larger class. A minibatch can hold an utterance twice only where a
    class is shuffled again.

    Args:
        labels: `(n_utterances,)`, 1 = bona fide, 0 = spoof.
        batch_size: Utterances per minibatch; even, 2 or more.
        generator: Source of the order; on the CPU. All draws are made before the first minibatch.
        n_batches: Minibatches of the epoch, 1 or more; None = `n_minibatches`.

    Raises:
        ValueError: `batch_size` is odd or below 2, or a class has no utterances.
    """
    if batch_size < 2 or batch_size % 2:
        raise ValueError(f"batch_size is {batch_size}; it must be even and at least 2")
    half = batch_size // 2
    n_batches = n_batches or n_minibatches(len(labels), batch_size)
    halves = []
    for label, name in ((1, "bona fide"), (0, "spoofed")):
        indices = torch.nonzero(labels == label).flatten()
        if not len(indices):
            raise ValueError(f"there are no {name} utterances; every minibatch is half of them")
        n_rounds = -(-n_batches * half // len(indices))
        rounds = [indices[torch.randperm(len(indices), generator=generator)] for _ in range(n_rounds)]
        halves.append(torch.cat(rounds)[: n_batches * half].view(n_batches, half))
    return iter(torch.cat(halves, dim=1))


PAIR_SAMPLERS: Table = {"random": random, "hard": hard}
