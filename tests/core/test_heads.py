import math

import numpy as np
import pytest
import torch

from core import table
from core.heads import BONA_FIDE, HEADS, log_odds


def head(name, n_classes=2, **options):
    torch.manual_seed(0)
    return table.build("head", HEADS, table.Block(name, options), 6, n_classes)


def data(n_classes=2):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(10, 6, generator=generator), torch.randint(n_classes, (10,), generator=generator)


def cross_entropy(logits, classes):
    logits = np.asarray(logits, np.float64)
    return np.mean([math.log(np.exp(row).sum()) - row[k] for row, k in zip(logits, classes.tolist(), strict=True)])


def cosines(embeddings, directions):
    embeddings, directions = embeddings.double().numpy(), directions.detach().double().numpy()
    lengths = np.linalg.norm(embeddings, axis=1)[:, None] * np.linalg.norm(directions, axis=1)
    return embeddings @ directions.T / lengths


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_every_head_scores_and_learns(name, n_classes):
    one = head(name, n_classes)
    embeddings, classes = data(n_classes)
    embeddings.requires_grad_()
    loss = one.loss(embeddings, classes)
    loss.backward()
    assert loss.ndim == 0
    assert torch.isfinite(loss)
    for each in (embeddings, *one.parameters()):
        assert torch.isfinite(each.grad).all()
        assert each.grad.abs().sum() > 0
    scores = one(embeddings)
    assert scores.shape == (10,)
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize("name", HEADS)
def test_training_raises_the_scores_of_bona_fide(name):
    one = head(name)
    embeddings, classes = data()
    embeddings = embeddings + 0.5 * (2 * classes[:, None] - 1)
    optimizer = torch.optim.Adam(one.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        one.loss(embeddings, classes).backward()
        optimizer.step()
    scores = one(embeddings)
    assert scores[classes == BONA_FIDE].mean() > scores[classes != BONA_FIDE].mean() + 0.1


def test_log_odds_by_hand():
    logits = torch.tensor([[0.0, math.log(3), 0.0], [1.0, 1.0, -math.inf]])
    assert log_odds(logits).tolist() == pytest.approx([math.log(3 / 2), 0.0])


def test_a_softmax_against_a_loop_over_angles():
    one = head("a_softmax", margin=4, softest=0.0)
    one.n_steps.fill_(10**9)  # the margin in full
    embeddings, classes = data()
    logits = cosines(embeddings, one.directions)
    for row, (embedding, true) in enumerate(zip(embeddings, classes.tolist(), strict=True)):
        angle = math.acos(logits[row, true])
        k = next(k for k in range(4) if k * math.pi / 4 <= angle <= (k + 1) * math.pi / 4)
        logits[row, true] = (-1) ** k * math.cos(4 * angle) - 2 * k
        logits[row] *= embedding.norm().item()
    assert one.loss(embeddings, classes).item() == pytest.approx(cross_entropy(logits, classes), abs=1e-4)


def test_the_margin_of_a_softmax_takes_hold_gradually_and_its_progress_is_in_the_state():
    one = head("a_softmax")
    embeddings, classes = data()
    first = one.loss(embeddings, classes)
    one.eval()
    assert one.loss(embeddings, classes) > first
    assert one.state_dict()["n_steps"] == 1
    one.n_steps.fill_(10**6)
    assert one.loss(embeddings, classes) > first


def test_am_softmax_against_its_formula():
    one = head("am_softmax", 3, margin=0.2, scale=7.0)
    embeddings, classes = data(3)
    lowered = cosines(embeddings, one.directions) - 0.2 * np.eye(3)[classes]
    assert one.loss(embeddings, classes).item() == pytest.approx(cross_entropy(7 * lowered, classes), abs=1e-5)


def test_oc_softmax_against_its_formula():
    one = head("oc_softmax", margin_bona_fide=0.8, margin_spoof=0.1, scale=5.0)
    embeddings, classes = data()
    found = cosines(embeddings, one.direction)[:, 0]
    short = [0.8 - c if k == BONA_FIDE else c - 0.1 for c, k in zip(found, classes.tolist(), strict=True)]
    expected = np.mean([math.log1p(math.exp(5 * each)) for each in short])
    assert one.loss(embeddings, classes).item() == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(one(embeddings).detach(), found, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a_softmax", {"margin": 0}, "margin is 0"),
        ("am_softmax", {"margin": 2.5}, "margin is 2.5"),
        ("am_softmax", {"scale": 0.0}, "scale is 0.0"),
        ("oc_softmax", {"margin_spoof": 0.95}, "margin_spoof is 0.95"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        head(name, **options)
