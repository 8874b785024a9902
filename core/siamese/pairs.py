"""PAIR_SAMPLERS: which utterances of a minibatch meet; and which utterances make up the minibatches."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from core.table import Table

PairSampler = Callable[[Tensor, torch.Generator, Tensor], Tensor]
"""Labels `(batch,)`, a generator on the CPU and embeddings `(batch, embedding_dim)` without gradient -> pairs
`(n_pairs, 2)`, indices into the batch, on the device of the labels."""


def random(*, n_pairs: int = 50) -> PairSampler:
    """A sampler of distinct unordered pairs, all of them equally likely whatever their classes (paper, section 4).

    Args:
        n_pairs: Pairs of a minibatch. A minibatch of B utterances has B (B - 1) / 2; where that is fewer, it gives all.

    Raises:
        ValueError: `n_pairs` is below 1; from the sampler: a minibatch of fewer than two utterances.
    """
    if n_pairs < 1:
        raise ValueError(f"n_pairs is {n_pairs}; it must be at least 1")

    def sample(labels: Tensor, generator: torch.Generator, embeddings: Tensor) -> Tensor:
        return _all_pairs(labels, generator)[:n_pairs].to(labels.device, non_blocking=True)

    return sample


def hard(*, n_pairs: int = 50, share: float = 0.5) -> PairSampler:
    """As `random`, but a share of the pairs are those that the embedding gets most wrong.

    Half of these are the farthest pairs of one class, half the nearest of two; where there are too few of one sort, the
    other fills up. The hardest pairs alone would teach outliers and mislabelled recordings.

    Args:
        n_pairs: As of `random`.
        share: Of the hard pairs, from 0 (`random` itself) to 1.

    Raises:
        ValueError: an option is out of range; from the sampler: a minibatch of fewer than two utterances.
    """
    if n_pairs < 1:
        raise ValueError(f"n_pairs is {n_pairs}; it must be at least 1")
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it must be from 0 to 1")
    n_hard = round(share * n_pairs)

    def sample(labels: Tensor, generator: torch.Generator, embeddings: Tensor) -> Tensor:
        every = _all_pairs(labels, generator).to(labels.device, non_blocking=True)
        distances = torch.linalg.vector_norm(embeddings[every[:, 0]] - embeddings[every[:, 1]], dim=1)
        alike = labels[every[:, 0]] == labels[every[:, 1]]
        # Ranks within each sort of pair, so that the two take turns; equal distances stand in random order.
        hardness = torch.where(alike, distances, -distances)
        order = torch.argsort(hardness, descending=True, stable=True)
        turn = torch.where(alike[order], alike[order].cumsum(0) * 2, (~alike[order]).cumsum(0) * 2 + 1)
        chosen = order[torch.argsort(turn, stable=True)][:n_hard]
        others = torch.ones(len(every), dtype=torch.bool, device=labels.device)
        others[chosen] = False
        return torch.cat([every[chosen], every[others][: n_pairs - len(chosen)]])

    return sample


def _all_pairs(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Every pair of a minibatch in random order, on the CPU."""
    if len(labels) < 2:
        raise ValueError(f"a minibatch of {len(labels)} has no pairs")
    every = torch.triu_indices(len(labels), len(labels), offset=1).T
    return every[torch.randperm(len(every), generator=generator)]


def n_minibatches(n_utterances: int, batch_size: int) -> int:
    """Minibatches of one epoch: as many as the utterances fill, and at least 1."""
    return max(1, n_utterances // batch_size)


def minibatches(labels: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices `(batch_size,)` of each minibatch of one epoch, half bona fide and half spoof (paper, section 4).

    Each class is gone through in random order without replacement and shuffled again when it is used up. So an epoch
    holds the smaller class several times and a part of the larger one; a minibatch holds an utterance twice only at
    such a turn, or where a class has fewer utterances than half a minibatch.

    Args:
        labels: `(n_utterances,)`, 1 = bona fide, 0 = spoof.
        batch_size: Even, 2 or more.
        generator: Determines the order; on the CPU. All draws are made at once, before the first minibatch.

    Raises:
        ValueError: an odd or too small batch, or a class without utterances.
    """
    if batch_size < 2 or batch_size % 2:
        raise ValueError(f"batch_size is {batch_size}; it must be even and at least 2")
    half = batch_size // 2
    n_batches = n_minibatches(len(labels), batch_size)
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
