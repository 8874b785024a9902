import numpy as np
import pytest

from core.evaluation.projection import chosen, tsne


def test_two_clouds_stay_apart_and_the_seed_repeats():
    random = np.random.default_rng(0)
    embeddings = np.concatenate([random.normal(0, 1, (30, 16)), random.normal(12, 1, (30, 16))]).astype(np.float32)
    plane = tsne(embeddings, seed=1)
    assert plane.shape == (60, 2)
    first, second = plane[:30], plane[30:]
    apart = np.linalg.norm(first.mean(0) - second.mean(0))
    assert apart > 2 * max(first.std(0).max(), second.std(0).max())
    np.testing.assert_array_equal(plane, tsne(embeddings, seed=1))


def test_identical_embeddings_have_a_place():
    assert np.isfinite(tsne(np.ones((5, 4), np.float32))).all()


@pytest.mark.parametrize("embeddings", [np.zeros((2, 4)), np.full((6, 4), np.nan)])
def test_what_cannot_be_drawn_is_refused(embeddings):
    with pytest.raises(ValueError, match=r"t-SNE of 2|not finite"):
        tsne(embeddings)


def test_the_choice_is_in_order_without_repetition():
    assert chosen(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    found = chosen(1000, 50, 0)
    assert len(set(found)) == 50
    assert (np.diff(found) > 0).all()
