import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.siamese.losses import (
    LOSSES,
    contrastive,
    contrastive_squared,
    pair_distances,
    supervised_contrastive,
    triplet,
)

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


ON_PAIRS = ["contrastive", "contrastive_squared"]


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    embeddings, labels, pairs = random_minibatch()
    loss = LOSSES[name](**({"margin": 3.5} if name in ON_PAIRS else {}))
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, pairs), embeddings.requires_grad_())


@pytest.mark.parametrize("name", ON_PAIRS)
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


@pytest.mark.parametrize("name", ON_PAIRS)
def test_descent_pulls_a_class_together_and_pushes_the_classes_apart(name: str) -> None:
    embeddings = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    loss = LOSSES[name](margin=2.0)(embeddings, LABELS, torch.tensor([[0, 1], [0, 2]]))
    (gradient,) = torch.autograd.grad(loss, embeddings)
    moved = embeddings - 0.1 * gradient
    same, different = pair_distances(moved, torch.tensor([[0, 1], [0, 2]])).tolist()
    assert same < 1 < different


@pytest.mark.parametrize("name", [*ON_PAIRS, "triplet"])
@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_margin_that_is_not_positive_is_refused(name: str, margin: float) -> None:
    with pytest.raises(ValueError, match="margin is"):
        LOSSES[name](margin=margin)


@pytest.mark.parametrize("name", ON_PAIRS)
def test_no_pairs_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        LOSSES[name]()(TRIANGLE, LABELS, torch.empty((0, 2), dtype=torch.long))


@pytest.mark.parametrize("spoof_compact", [True, False])
def test_supervised_contrastive_against_an_explicit_loop(spoof_compact: bool) -> None:
    embeddings, labels, pairs = random_minibatch()
    rows = [[value / math.hypot(*row) for value in row] for row in embeddings.tolist()]
    anchors = []
    for i, label in enumerate(labels.tolist()):
        if label == 0 and not spoof_compact:
            continue
        similar = {
            j: math.exp(sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) / 0.2) for j in range(8) if j != i
        }
        alike = [j for j in similar if labels[j] == label]
        anchors.append(-sum(math.log(similar[j] / sum(similar.values())) for j in alike) / len(alike))
    loss = supervised_contrastive(temperature=0.2, spoof_compact=spoof_compact)(embeddings, labels, pairs)
    assert loss.item() == pytest.approx(sum(anchors) / len(anchors), rel=1e-12)


@pytest.mark.parametrize("spoof_compact", [True, False])
def test_triplet_against_an_explicit_loop(spoof_compact: bool) -> None:
    embeddings, labels, pairs = random_minibatch()
    anchors = []
    for i, label in enumerate(labels.tolist()):
        if label == 0 and not spoof_compact:
            continue
        distances = [math.dist(embeddings[i].tolist(), other.tolist()) for other in embeddings]
        farthest = max(d for d, other in zip(distances, labels.tolist(), strict=True) if other == label)
        nearest = min(d for d, other in zip(distances, labels.tolist(), strict=True) if other != label)
        anchors.append(max(0.0, 1.5 + farthest - nearest))
    loss = triplet(margin=1.5, spoof_compact=spoof_compact)(embeddings, labels, pairs)
    assert loss.item() == pytest.approx(sum(anchors) / len(anchors), rel=1e-12)


@pytest.mark.parametrize("name", ["supervised_contrastive", "triplet"])
@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 0], [1, 0, 0], [1, 1, 0]])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_any_minibatch_has_a_finite_gradient(name: str, labels: list[int], value: float) -> None:
    embeddings = torch.full((3, 4), value, requires_grad=True)
    loss = LOSSES[name](spoof_compact=False)(embeddings, torch.tensor(labels), torch.tensor([[0, 1]]))
    loss.backward()
    assert torch.isfinite(loss)
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


@pytest.mark.parametrize("name", ["supervised_contrastive", "triplet"])
def test_attacks_need_not_be_alike_where_they_are_not_to_be_compact(name: str) -> None:
    """Spoofed utterances that move apart from each other, as far from the bona fide ones as before."""
    near = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.1], [-1.0, -0.1]], dtype=torch.float64)
    far = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-0.1, 1.0], [-0.1, -1.0]], dtype=torch.float64)
    labels, pairs = torch.tensor([1, 1, 0, 0]), torch.tensor([[0, 1]])
    compact, loose = LOSSES[name](), LOSSES[name](spoof_compact=False)
    assert compact(far, labels, pairs) > compact(near, labels, pairs) + 0.1
    assert loose(far, labels, pairs).item() == pytest.approx(loose(near, labels, pairs).item(), abs=0.01)


def test_a_temperature_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature is"):
        supervised_contrastive(temperature=0.0)


@pytest.mark.parametrize(
    "loss", [contrastive(margin=1.5), contrastive_squared(margin=1.5), supervised_contrastive(), triplet(margin=0.4)]
)
def test_chance_is_the_least_loss_of_embeddings_that_are_equally_far_from_one_another(
    loss: Callable[..., Tensor],
) -> None:
    _, labels, pairs = random_minibatch()
    corners = torch.eye(8, dtype=torch.float64) / math.sqrt(2)  # of a simplex: all distances are 1
    losses = [float(loss(distance * corners, labels, pairs)) for distance in torch.linspace(0.001, 2, 2000)]
    chance: Callable[[int], float] = getattr(loss, "chance")  # noqa: B009 - no attribute of a Callable
    assert chance(8) == pytest.approx(min(losses), rel=2e-3)


def test_the_papers_loss_has_a_known_chance() -> None:
    assert contrastive().chance(64) == pytest.approx(31 / 63)  # of 63 partners, 31 are of the same class
