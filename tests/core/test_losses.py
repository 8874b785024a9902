import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.losses import LOSSES, contrastive, contrastive_squared, pair_distances

# Three points of a right triangle with sides 3, 4, 5; the first two are of one class.
TRIANGLE = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
LABELS = torch.tensor([1, 1, 0])


def random_minibatch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(8, 5, generator=generator, dtype=dtype)
    labels = torch.tensor([1, 0, 1, 0, 1, 1, 0, 0])
    pairs = torch.triu_indices(8, 8, offset=1).T
    return embeddings, labels, pairs


def test_distances_by_hand() -> None:
    pairs = torch.tensor([[0, 1], [0, 2], [1, 2], [2, 2]])
    assert pair_distances(TRIANGLE, pairs).tolist() == [3.0, 4.0, 5.0, 0.0]


@pytest.mark.parametrize(
    ("loss", "margin", "pair", "expected"),
    [
        (contrastive, 2.0, [0, 1], 1.5),  # 3 / 2
        (contrastive, 5.0, [0, 2], 0.5),  # (5 - 4) / 2
        (contrastive, 4.0, [0, 2], 0.0),  # at the margin
        (contrastive, 2.0, [1, 2], 0.0),  # beyond it
        (contrastive_squared, 2.0, [0, 1], 4.5),  # 3^2 / 2
        (contrastive_squared, 7.0, [0, 2], 4.5),  # (7 - 4)^2 / 2
        (contrastive_squared, 2.0, [1, 2], 0.0),
    ],
)
def test_one_pair_by_hand(
    loss: Callable[..., torch.nn.Module], margin: float, pair: list[int], expected: float
) -> None:
    assert loss(margin=margin)(TRIANGLE, LABELS, torch.tensor([pair])).item() == pytest.approx(expected)


@pytest.mark.parametrize(("name", "power"), [("contrastive", 1), ("contrastive_squared", 2)])
@pytest.mark.parametrize("margin", [0.5, 2.0, 3.5])
def test_against_an_explicit_loop(name: str, power: int, margin: float) -> None:
    embeddings, labels, pairs = random_minibatch()
    total = 0.0
    for i, j in pairs.tolist():
        distance = math.dist(embeddings[i].tolist(), embeddings[j].tolist())
        y = int(labels[i] != labels[j])  # paper, section 3.1: 1 = different classes
        total += (1 - y) * 0.5 * distance**power + y * 0.5 * max(0.0, margin - distance) ** power
    loss = LOSSES[name](margin=margin)(embeddings, labels, pairs)
    assert loss.item() == pytest.approx(total / len(pairs), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_within_a_pair_and_the_names_of_the_classes_do_not_matter(name: str) -> None:
    embeddings, labels, pairs = random_minibatch()
    loss = LOSSES[name]()
    expected = loss(embeddings, labels, pairs)
    assert torch.equal(loss(embeddings, labels, pairs.flip(1)), expected)
    assert torch.equal(loss(embeddings, 1 - labels, pairs), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    embeddings, labels, pairs = random_minibatch()
    loss = LOSSES[name](margin=3.5)
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, pairs), embeddings.requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("labels", [[1, 1], [1, 0]])
@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30])
def test_identical_embeddings_have_a_finite_gradient(name: str, labels: list[int], value: float) -> None:
    embeddings = torch.full((2, 4), value, requires_grad=True)
    loss = LOSSES[name](margin=2.0)(embeddings, torch.tensor(labels), torch.tensor([[0, 1]]))
    loss.backward()
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()
    printed = {"contrastive": 1.0, "contrastive_squared": 2.0}  # of two classes at distance 0: margin ** power / 2
    if labels == [1, 1]:
        assert loss.item() == 0.0
    else:
        assert loss.item() == printed.get(name, loss.item()) > 0.0


@pytest.mark.parametrize("name", LOSSES)
def test_descent_pulls_a_class_together_and_pushes_the_classes_apart(name: str) -> None:
    embeddings = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    loss = LOSSES[name](margin=2.0)(embeddings, LABELS, torch.tensor([[0, 1], [0, 2]]))
    (gradient,) = torch.autograd.grad(loss, embeddings)
    moved = embeddings - 0.1 * gradient
    same, different = pair_distances(moved, torch.tensor([[0, 1], [0, 2]])).tolist()
    assert same < 1 < different


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_margin_that_is_not_positive_is_refused(name: str, margin: float) -> None:
    with pytest.raises(ValueError, match="margin is"):
        LOSSES[name](margin=margin)


@pytest.mark.parametrize("name", LOSSES)
def test_no_pairs_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        LOSSES[name]()(TRIANGLE, LABELS, torch.empty((0, 2), dtype=torch.long))
