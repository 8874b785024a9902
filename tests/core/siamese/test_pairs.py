from collections import Counter

import pytest
import torch
from torch import Tensor

from core.siamese.pairs import PAIR_SAMPLERS, hard, minibatches, n_minibatches, random

WHERE = torch.randn(64, 3, generator=torch.Generator().manual_seed(9))
"""Embeddings of a minibatch."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def unordered(pairs: Tensor) -> list[tuple[int, ...]]:
    return [tuple(sorted(pair)) for pair in pairs.tolist()]


@pytest.mark.parametrize("name", PAIR_SAMPLERS)
@pytest.mark.parametrize(("batch_size", "n_pairs"), [(64, 50), (2, 1), (11, 55), (64, 2016)])
def test_pairs_are_distinct_and_of_two_utterances(name: str, batch_size: int, n_pairs: int) -> None:
    labels = torch.arange(batch_size) % 2
    pairs = PAIR_SAMPLERS[name](n_pairs=n_pairs)(labels, seeded(), WHERE[:batch_size])
    assert pairs.shape == (n_pairs, 2)
    assert pairs.dtype == torch.long
    assert len(set(unordered(pairs))) == n_pairs
    assert all(0 <= i < j < batch_size for i, j in unordered(pairs))


@pytest.mark.parametrize("name", PAIR_SAMPLERS)
def test_the_generator_alone_determines_the_pairs(name: str) -> None:
    labels = torch.arange(64) % 2
    sample = PAIR_SAMPLERS[name]()
    torch.manual_seed(1)
    first = sample(labels, seeded(5), WHERE)
    torch.manual_seed(2)
    assert torch.equal(sample(labels, seeded(5), WHERE), first)
    assert not torch.equal(sample(labels, seeded(6), WHERE), first)
    generator = seeded(5)
    assert not torch.equal(sample(labels, generator, WHERE), sample(labels, generator, WHERE))


def test_every_pair_is_equally_likely() -> None:
    labels, generator, sample = torch.arange(5) % 2, seeded(), random(n_pairs=3)
    counts = Counter(pair for _ in range(2000) for pair in unordered(sample(labels, generator, WHERE)))
    assert len(counts) == 10
    # Each of the 10 pairs is drawn with chance 0.3: 600 of 2000, standard deviation 20.5.
    assert all(abs(count - 600) < 5 * 20.5 for count in counts.values())


def test_a_small_minibatch_gives_all_its_pairs() -> None:
    assert set(unordered(random(n_pairs=50)(torch.zeros(4), seeded(), WHERE[:4]))) == {
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (1, 3),
        (2, 3),
    }


def test_impossible_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="n_pairs is 0"):
        random(n_pairs=0)
    with pytest.raises(ValueError, match="minibatch of 1"):
        random()(torch.zeros(1), seeded(), WHERE[:1])


LABELS = torch.tensor([1] * 7 + [0] * 60)[torch.randperm(67, generator=seeded(9))]


@pytest.mark.parametrize(
    ("n_utterances", "batch_size", "expected"), [(25_380, 64, 396), (67, 8, 8), (64, 64, 1), (63, 64, 1), (2, 64, 1)]
)
def test_number_of_minibatches(n_utterances: int, batch_size: int, expected: int) -> None:
    assert n_minibatches(n_utterances, batch_size) == expected
    labels = torch.arange(n_utterances) % 2
    assert len(list(minibatches(labels, batch_size, seeded()))) == expected


def test_an_epoch_may_have_more_minibatches_than_the_utterances_fill() -> None:
    drawn = torch.cat(list(minibatches(LABELS, 8, seeded(), 40))).tolist()
    assert len(drawn) == 320
    spoof = [index for index in drawn if not LABELS[index]]
    assert set(spoof[:60]) == set(spoof[60:120]) == set(torch.nonzero(LABELS == 0).flatten().tolist())


@pytest.mark.parametrize("batch_size", [2, 8, 40])
def test_half_of_each_minibatch_is_bona_fide(batch_size: int) -> None:
    for indices in minibatches(LABELS, batch_size, seeded()):
        assert indices.shape == (batch_size,)
        assert LABELS[indices].sum() == batch_size // 2


def test_each_class_is_a_cycle_without_replacement() -> None:
    drawn = torch.cat(list(minibatches(LABELS, 8, seeded()))).tolist()  # 8 minibatches of 4 + 4
    bona_fide = [i for i in drawn if LABELS[i] == 1]
    spoof = [i for i in drawn if LABELS[i] == 0]
    everyone = set(torch.nonzero(LABELS).flatten().tolist())
    rounds = [bona_fide[at : at + 7] for at in range(0, 28, 7)]
    assert all(set(each) == everyone for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1  # shuffled again
    assert len(set(spoof)) == len(spoof) == 32


def test_the_generator_alone_determines_the_minibatches() -> None:
    torch.manual_seed(1)
    first = torch.cat(list(minibatches(LABELS, 8, seeded(5))))
    torch.manual_seed(2)
    assert torch.equal(torch.cat(list(minibatches(LABELS, 8, seeded(5)))), first)
    assert not torch.equal(torch.cat(list(minibatches(LABELS, 8, seeded(6)))), first)
    generator = seeded(5)
    epochs = [torch.cat(list(minibatches(LABELS, 8, generator))) for _ in range(2)]
    assert not torch.equal(*epochs)


@pytest.mark.parametrize("batch_size", [0, 1, 7, -2])
def test_an_odd_or_too_small_batch_is_refused_at_once(batch_size: int) -> None:
    with pytest.raises(ValueError, match="must be even"):
        minibatches(LABELS, batch_size, seeded())


@pytest.mark.parametrize(("label", "missing"), [(1, "spoofed"), (0, "bona fide")])
def test_a_missing_class_is_named_at_once(label: int, missing: str) -> None:
    with pytest.raises(ValueError, match=f"no {missing} utterances"):
        minibatches(torch.full((9,), label), 4, seeded())


def test_hard_pairs_are_the_farthest_of_a_class_and_the_nearest_of_two_by_turns() -> None:
    labels = torch.tensor([1, 1, 1, 0, 0])
    places = torch.tensor([[0.0], [1.0], [5.0], [5.5], [7.0]])
    pairs = hard(n_pairs=4, share=1.0)(labels, seeded(), places)
    # Of one class: 0-2 (5 apart), 1-2 (4), 3-4 (1.5), 0-1 (1); of two: 2-3 (0.5), 2-4 (2), 1-3 (4.5), ...
    assert unordered(pairs) == [(0, 2), (2, 3), (1, 2), (2, 4)]


def test_the_rest_of_the_pairs_are_random_and_others() -> None:
    labels = torch.arange(64) % 2
    counts: Counter[tuple[int, ...]] = Counter()
    for seed in range(50):
        pairs = unordered(hard(n_pairs=50, share=0.4)(labels, seeded(seed), WHERE))
        assert len(set(pairs)) == 50
        counts.update(pairs)
    always = [pair for pair, count in counts.items() if count == 50]
    assert len(always) == 20
    assert len(counts) > 500


def test_no_share_of_hard_pairs_is_the_random_sampler() -> None:
    labels = torch.arange(64) % 2
    assert torch.equal(hard(share=0.0)(labels, seeded(1), WHERE), random()(labels, seeded(1), WHERE))


def test_one_class_alone_has_hard_pairs_too() -> None:
    pairs = hard(n_pairs=2, share=1.0)(torch.ones(3), seeded(), torch.tensor([[0.0], [1.0], [3.0]]))
    assert unordered(pairs) == [(0, 2), (1, 2)]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share is"):
        hard(share=share)
