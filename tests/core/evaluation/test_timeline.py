import numpy as np

from core.evaluation.timeline import Stretch, score_over_time, stretches

BEGINS, ENDS = np.array([0.0, 2.0, 4.0, 5.0]), np.array([4.0, 6.0, 8.0, 9.0])


def test_a_moment_has_the_mean_of_the_segments_there():
    edges, scores = score_over_time(BEGINS, ENDS, np.array([1.0, 3.0, -5.0, -1.0]))
    assert edges.tolist() == [0, 2, 4, 5, 6, 8, 9]
    np.testing.assert_allclose(scores, [1, 2, -1, -1, -3, -1])


def test_neighbours_of_one_decision_are_one_stretch():
    edges, scores = score_over_time(BEGINS, ENDS, np.array([1.0, 3.0, -5.0, 5.0]))
    assert stretches(edges, scores, 1.5) == [
        Stretch(0, 2, False),
        Stretch(2, 4, True),
        Stretch(4, 8, False),
        Stretch(8, 9, True),
    ]
    assert stretches(edges, scores, -9.0) == [Stretch(0, 9, True)]
