import io
import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor, nn

from core import table
from core.classifiers import CLASSIFIERS
from core.classifiers.mlp import Mlp
from core.errors import InputError
from core.table import Block


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two_clusters(n: int = 90, distance: float = 4.0) -> tuple[Tensor, Tensor]:
    """Embeddings `(n, 6)` of which each third is bona fide and lies at `distance` along the first axis."""
    labels = (torch.arange(n) % 3 == 0).long()
    embeddings = torch.randn(n, 6, generator=seeded(1))
    embeddings[:, 0] += distance * labels
    return embeddings, labels


def fitted(name: str, embeddings: Tensor, labels: Tensor, *, seed: int = 0, **options: object) -> nn.Module:
    classifier = CLASSIFIERS[name](embeddings.shape[1], **options)
    classifier.fit(embeddings, labels, generator=seeded(seed))
    assert isinstance(classifier, nn.Module)
    return classifier


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_bona_fide_scores_are_higher(name: str) -> None:
    embeddings, labels = two_clusters(300, distance=8.0)
    cm_scores = fitted(name, embeddings, labels)(embeddings)
    assert cm_scores.shape == (300,)
    assert cm_scores[labels == 1].min() > cm_scores[labels == 0].max()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_fit_depends_on_its_generator_alone(name: str) -> None:
    embeddings, labels = two_clusters()
    torch.manual_seed(1)
    first = fitted(name, embeddings, labels)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = CLASSIFIERS[name](6)
    after_building = torch.get_rng_state()
    second.fit(embeddings, labels, generator=seeded())
    assert torch.equal(torch.get_rng_state(), after_building)
    if list(second.parameters()):
        assert not torch.equal(before, after_building)  # building draws, which fit must not show
    assert torch.equal(first(embeddings), second(embeddings))
    second.fit(embeddings, labels, generator=seeded())  # from new weights, not on from the old
    assert torch.equal(first(embeddings), second(embeddings))
    if name == "mlp":
        assert not torch.equal(first(embeddings), fitted(name, embeddings, labels, seed=1)(embeddings))


@pytest.mark.parametrize("name", ["mlp"])
@pytest.mark.parametrize(("n", "batch_size"), [(65, 64), (3, 2), (2, 64), (7, 3), (64, 64)])
def test_a_last_minibatch_of_one_is_no_trouble(name: str, n: int, batch_size: int) -> None:
    embeddings, labels = two_clusters(n)
    classifier = fitted(name, embeddings, labels, batch_size=batch_size, epochs=2)
    assert torch.isfinite(classifier(embeddings)).all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_one_by_one_equals_batched_after_fitting(name: str) -> None:
    embeddings, labels = two_clusters()
    classifier = fitted(name, embeddings, labels).eval()
    alone = torch.cat([classifier(each[None]) for each in embeddings])
    torch.testing.assert_close(alone, classifier(embeddings))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_checkpoint_round_trip(name: str) -> None:
    embeddings, labels = two_clusters()
    first, second = fitted(name, embeddings, labels).eval(), CLASSIFIERS[name](6).eval()
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(first(embeddings), second(embeddings))


def test_every_parameter_gets_a_finite_gradient() -> None:
    classifier = Mlp(6)
    classifier(torch.randn(5, 6, generator=seeded())).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in classifier.parameters())


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_non_finite_embedding_is_refused(name: str, value: float) -> None:
    embeddings, labels = two_clusters()
    embeddings[4, 2] = value
    with pytest.raises(FloatingPointError, match="not finite"):
        fitted(name, embeddings, labels)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("label", [0, 1])
def test_a_missing_class_is_refused(name: str, label: int) -> None:
    with pytest.raises(ValueError, match="both classes are needed"):
        fitted(name, torch.randn(8, 4), torch.full((8,), label))


def test_mlp_has_the_shape_of_the_paper() -> None:
    # 512-256-2, batch norm on the hidden layer only.
    expected = (512 * 256 + 256) + 2 * 256 + (256 * 2 + 2)
    assert sum(p.numel() for p in Mlp(512).parameters()) == expected
    assert sum(isinstance(layer, nn.BatchNorm1d) for layer in Mlp(512).modules()) == 1


def test_cm_score_is_the_logit_of_bona_fide_less_that_of_spoof() -> None:
    classifier = Mlp(6).eval()
    logits = classifier.layers(torch.ones(1, 6))[0]
    assert classifier(torch.ones(1, 6)).item() == pytest.approx(logits[1].item() - logits[0].item())


@pytest.mark.parametrize(("balanced", "expected"), [(True, 0.0), (False, math.log(1 / 9))])
def test_balance_sets_the_point_of_even_odds(balanced: bool, expected: float) -> None:
    # The embeddings tell nothing, so what is left is the log odds of the classes as the loss weighs them.
    labels = (torch.arange(600) % 10 == 0).to(torch.int8)
    embeddings = torch.randn(600, 2, generator=seeded(4))
    classifier = fitted("mlp", embeddings, labels, balanced=balanced, hidden=8, epochs=20, lr=1e-2)
    assert classifier(embeddings).mean().item() == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": -1}, "lr is -1"),
        ({"hiden": 3}, "did you mean 'hidden'"),
        ({"balanced": "yes"}, "must be bool"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        table.build("classifier", CLASSIFIERS, Block("mlp", options), 512)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("collapsed", ["constant", "rank 1"])
def test_collapsed_embeddings_still_score(name: str, collapsed: str) -> None:
    embeddings, labels = two_clusters()
    embeddings = torch.full_like(embeddings, 0.3) if collapsed == "constant" else embeddings[:, :1].expand(-1, 6)
    assert torch.isfinite(fitted(name, embeddings, labels)(embeddings)).all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_attacks_may_be_told(name: str) -> None:
    embeddings, labels = two_clusters(300, distance=8.0)
    attacks = (1 - labels) * (1 + torch.arange(300) % 4)
    classifier = CLASSIFIERS[name](6)
    classifier.fit(embeddings, labels, attacks=attacks, generator=seeded())
    cm_scores = classifier(embeddings)
    assert cm_scores[labels == 1].min() > cm_scores[labels == 0].max()


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("standardize", [True, False])
def test_svm_scores_as_scikit_learn_decides(kernel: str, standardize: bool) -> None:
    embeddings, labels = two_clusters(distance=1.5)
    embeddings[:, 2] *= 10
    ours = fitted("svm", embeddings, labels, kernel=kernel, c=0.7, standardize=standardize)(embeddings)
    points = embeddings.double().numpy()
    if standardize:
        points = StandardScaler().fit_transform(points)
    theirs = SVC(C=0.7, kernel=kernel, class_weight="balanced").fit(points, labels.numpy()).decision_function(points)
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


@pytest.mark.parametrize("standardize", [True, False])
def test_logistic_regression_is_where_the_gradient_of_its_goal_is_zero(standardize: bool) -> None:
    embeddings, labels = two_clusters(distance=1.5)
    embeddings[:, 2] *= 3
    ours = fitted("logistic_regression", embeddings, labels, c=0.7, standardize=standardize)
    points = embeddings.double()
    if standardize:
        points = (points - points.mean(dim=0)) / points.std(dim=0, correction=0)
    scores = ours(embeddings).double()
    # Half of the total weight of 90 is that of 30 bona fide points, half that of 60 spoofed ones.
    errors = (torch.sigmoid(scores) - labels) * torch.where(labels == 1, 1.5, 0.75)
    weights = ours.weight.double()  # type: ignore[operator]
    assert weights.norm() > 0.5
    torch.testing.assert_close(weights + 0.7 * errors @ points, torch.zeros(6).double(), atol=0.02, rtol=0)
    assert errors.sum().abs() < 0.01


@pytest.mark.parametrize("shrinkage", [None, 0.3])
def test_lda_orders_as_scikit_learn_does(shrinkage: float | None) -> None:
    embeddings, labels = two_clusters(distance=1.5)
    ours = fitted("lda", embeddings, labels, shrinkage=shrinkage)(embeddings).numpy()
    theirs = LinearDiscriminantAnalysis(solver="lsqr", priors=[0.5, 0.5], shrinkage=shrinkage or "auto")
    expected = theirs.fit(embeddings.double().numpy(), labels.numpy()).decision_function(embeddings.double().numpy())
    # scikit-learn shrinks each class's covariance by itself, and standardised; ours their common one.
    assert np.corrcoef(ours, expected)[0, 1] > 0.995


def test_lda_is_the_ratio_of_two_gaussians() -> None:
    embeddings, labels = two_clusters(distance=2.0)
    ours = fitted("lda", embeddings, labels, shrinkage=0.0)(embeddings)
    points, wanted = embeddings.double().numpy(), labels.numpy()
    means = [points[wanted == k].mean(axis=0) for k in (0, 1)]
    deviations = points - np.stack([means[k] for k in wanted])
    covariance = deviations.T @ deviations / len(points)
    spoof, bona_fide = (multivariate_normal(mean, covariance).logpdf(points) for mean in means)
    np.testing.assert_allclose(ours, bona_fide - spoof, atol=1e-3)


def test_plda_is_the_ratio_of_predictive_gaussians() -> None:
    embeddings, labels = two_clusters(120, distance=2.0)
    attacks = (1 - labels) * (1 + torch.arange(120) // 3 % 3)
    embeddings[:, 1] += 2.0 * attacks
    classifier = CLASSIFIERS["plda"](6, dim=6, shrinkage=0.0)
    classifier.fit(embeddings, labels, attacks=attacks, generator=seeded())
    points, classes = embeddings.double().numpy(), attacks.numpy()
    means = np.stack([points[classes == k].mean(axis=0) for k in range(4)])
    deviations = points - means[classes]
    within = deviations.T @ deviations / len(points)
    mean = means.mean(axis=0)
    between = np.cov(means.T, bias=True)
    # The centre of bona fide speech after n embeddings: a Gaussian with this mean and covariance.
    n = int(labels.sum())
    gain = between @ np.linalg.inv(between + within / n)
    centre = mean + gain @ (means[0] - mean)
    left = between - gain @ between
    enrolled = multivariate_normal(centre, within + left).logpdf(points)
    anyone = multivariate_normal(mean, within + between).logpdf(points)
    np.testing.assert_allclose(classifier(embeddings), enrolled - anyone, atol=1e-2)


def test_centroid_by_hand() -> None:
    embeddings = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.0, 5.0]])
    labels = torch.tensor([1, 1, 0])
    points = torch.tensor([[2.0, 0.0], [2.0, 3.0], [-1.0, 0.0]])
    assert fitted("centroid", embeddings, labels)(points).tolist() == [0.0, -3.0, -3.0]
    cosine = fitted("centroid", embeddings, labels, metric="cosine")(points)
    assert cosine.tolist() == pytest.approx([1.0, 2 / math.sqrt(13), -1.0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("svm", {"c": 0.0}, "c is 0.0"),
        ("logistic_regression", {"c": -1.0}, "c is -1.0"),
        ("svm", {"gamma": -1.0}, "gamma is -1.0"),
        ("svm", {"kernel": "poly"}, "one of linear, rbf"),
        ("lda", {"shrinkage": 1.5}, "shrinkage is 1.5"),
        ("plda", {"dim": 0}, "dim is 0"),
        ("centroid", {"metric": "manhattan"}, "one of euclidean, cosine"),
    ],
)
def test_options_of_the_others_out_of_range(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        table.build("classifier", CLASSIFIERS, Block(name, options), 6)
