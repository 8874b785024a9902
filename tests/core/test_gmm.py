import contextlib
import itertools

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from core.config import experiment_from_plain
from core.gmm import GmmDetector, GmmOptions, Mixture, em_step
from core.stores.inputs import InputOptions
from core.training.fit import best_detector, fit
from tests.core.training.test_fit import same, stores  # noqa: F401 - a fixture

PLAIN = {
    "front_end": {"name": "lfcc", "deltas": False},
    "mode": "gmm",
    "gmm": {"n_components": 8},
    "epochs": 5,
}


def frames_of_two_clouds(n=600):
    random = np.random.default_rng(0)
    return np.concatenate([random.normal(-2, 1, (n, 3)), random.normal(2, 0.5, (n // 2, 3))]).astype(np.float32)


def started(frames, k=4):
    """A mixture and scikit-learn's, both before their first iteration, with the same numbers."""
    random = np.random.default_rng(1)
    mixture = Mixture(k, frames.shape[1])
    mixture.means.copy_(torch.from_numpy(random.choice(frames, k, replace=False)))
    ours = {"weights_init": mixture.weights.numpy().copy(), "means_init": mixture.means.numpy().copy()}
    ours["precisions_init"] = (1 / mixture.variances).numpy()
    return mixture, lambda n: GaussianMixture(
        k, covariance_type="diag", reg_covar=0, max_iter=n, tol=0, init_params="random", **ours
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_em_is_that_of_scikit_learn():
    frames = frames_of_two_clouds()
    mixture, theirs = started(frames)
    for _ in range(10):
        em_step(mixture, lambda: iter([torch.from_numpy(frames)]), variance_floor=1e-6)
    expected = theirs(10).fit(frames.astype(np.float64))
    np.testing.assert_allclose(mixture.means, expected.means_, atol=1e-3)
    np.testing.assert_allclose(mixture.variances, expected.covariances_, rtol=2e-3)
    np.testing.assert_allclose(mixture.weights, expected.weights_, atol=1e-4)
    densities = mixture(torch.from_numpy(frames))
    np.testing.assert_allclose(densities, expected.score_samples(frames.astype(np.float64)), atol=2e-3)


def test_streamed_em_is_em_in_memory():
    frames = torch.from_numpy(frames_of_two_clouds())
    whole, _ = started(frames.numpy())
    streamed, _ = started(frames.numpy())
    for _ in range(5):
        first = em_step(whole, lambda: iter([frames]), variance_floor=1e-6)
        second = em_step(streamed, lambda: iter(frames.split(37)), variance_floor=1e-6)
        assert first == pytest.approx(second, abs=1e-5)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(streamed.state_dict()[name], value, atol=1e-4, rtol=1e-4)


def test_every_iteration_raises_the_likelihood():
    frames = torch.from_numpy(frames_of_two_clouds())
    mixture, _ = started(frames.numpy())
    values = [em_step(mixture, lambda: iter([frames]), variance_floor=1e-6) for _ in range(12)]
    assert all(later >= earlier - 1e-6 for earlier, later in itertools.pairwise(values))


def test_a_gaussian_without_frames_stays_and_the_floor_holds():
    frames = torch.full((50, 2), 3.0)
    mixture = Mixture(2, 2)
    mixture.means.copy_(torch.tensor([[3.0, 3.0], [900.0, 900.0]]))
    em_step(mixture, lambda: iter([frames]), variance_floor=0.01)
    assert torch.equal(mixture.means[1], torch.tensor([900.0, 900.0]))
    assert mixture.variances[0].tolist() == pytest.approx([0.01, 0.01])
    assert torch.isfinite(mixture(frames)).all()


def test_the_score_is_the_mean_log_likelihood_ratio():
    detector = GmmDetector(GmmOptions(n_components=1), 1, InputOptions())
    detector.bona_fide.means.fill_(1.0)
    detector.spoof.means.fill_(-1.0)
    # log N(x; 1, 1) - log N(x; -1, 1) = 2 x
    assert detector.score_utterance(torch.tensor([[0.5, 1.0, 3.0]])) == pytest.approx(3.0)


def trained(stores, *, resume=None, stop_after=None, **changes):  # noqa: F811
    states, metrics = [], []

    def report(measured, state):
        metrics.append(measured)
        states.append({**state, "detector": {k: v.clone() for k, v in state["detector"].items()}})
        if measured["epoch"] == stop_after:
            raise KeyboardInterrupt

    experiment = experiment_from_plain({**PLAIN, **changes})
    with contextlib.suppress(KeyboardInterrupt):
        fit(experiment, stores["train"], stores["dev"], report, resume=resume)
    return metrics, states[-1]


def test_it_separates_the_classes_and_the_seed_repeats_every_bit(stores):  # noqa: F811
    metrics, state = trained(stores)
    assert metrics[-1]["objective"] < 0.3
    assert [each["loss"] for each in metrics] == sorted((each["loss"] for each in metrics), reverse=True)
    assert same(state["detector"], trained(stores)[1]["detector"])
    assert not same(state["detector"], trained(stores, seed=1)[1]["detector"])


def test_an_interrupted_fit_goes_on_to_the_same_bits(stores):  # noqa: F811
    _, whole = trained(stores)
    _, half = trained(stores, stop_after=2)
    metrics, resumed = trained(stores, resume=half)
    assert metrics[0]["epoch"] == 3
    assert same(whole["detector"], resumed["detector"])


def test_an_utterance_scores_the_same_alone_as_in_a_store(stores):  # noqa: F811
    detector = best_detector(trained(stores, input={"normalize": "mean"})[1])
    scores = detector.score_store(stores["dev"])
    features = torch.from_numpy(stores["dev"].frames(3).T.copy())
    assert detector.score_utterance(features) == scores[3]


def test_more_gaussians_than_frames_is_an_error(stores):  # noqa: F811
    with pytest.raises(ValueError, match="n_components is 100000"):
        trained(stores, gmm={"n_components": 100000})
