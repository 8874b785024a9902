import numpy as np
import pytest

from search.methods.surrogate import Encoding, GaussianProcess, Hyperparameters, estimated
from search.space.parameter import Parameter

MODE = Parameter("mode", "choice", choices=("siamese", "original"))
MARGIN = Parameter("loss.margin", "uniform", 0.5, 2.5, when={"mode": ("siamese",)})
LR = Parameter("lr", "log_uniform", 1e-4, 1e-2)
LAYERS = Parameter("layers", "integer", 1, 5)
WIDTH = Parameter("width", "choice", choices=(64, 16, 32))
ENCODING = Encoding([MODE, MARGIN, LR, LAYERS, WIDTH])

SIAMESE = {"mode": "siamese", "loss.margin": 1.5, "lr": 1e-3, "layers": 2, "width": 16}
ORIGINAL = {"mode": "original", "lr": 1e-3, "layers": 2, "width": 16}


def rng():
    return np.random.default_rng(0)


def squared(first, second):
    """Squared distance of two configurations by parameter."""
    a, b = ENCODING.vectors(ENCODING.codes([first, second]))
    return {
        parameter.path: ((a - b)[ENCODING.owner == index] ** 2).sum() for index, parameter in enumerate(ENCODING.ranges)
    }


@pytest.mark.parametrize("values", [SIAMESE, ORIGINAL, {**ORIGINAL, "lr": 1e-4, "layers": 5, "width": 64}])
def test_codes_stand_for_their_configuration(values):
    (row,) = ENCODING.codes([values])
    assert ENCODING.values(row) == pytest.approx(values)


def test_distances_of_choices_and_numbers():
    assert squared(SIAMESE, SIAMESE) == dict.fromkeys(squared(SIAMESE, SIAMESE), 0)
    other = squared(ORIGINAL, {**ORIGINAL, "lr": 1e-2, "layers": 4, "width": 64})
    assert other == pytest.approx({"mode": 0, "loss.margin": 0, "lr": 0.25, "layers": 0.25, "width": 1})
    assert squared(ORIGINAL, {**ORIGINAL, "width": 32})["width"] == pytest.approx(0.25)  # by rank


def test_distance_of_a_configuration_that_lacks_a_parameter():
    assert squared(SIAMESE, ORIGINAL) == pytest.approx(
        {"mode": 1, "loss.margin": 0.5, "lr": 0, "layers": 0, "width": 0}
    )
    assert squared({**SIAMESE, "loss.margin": 0.5}, ORIGINAL)["loss.margin"] == pytest.approx(0.75)


def test_random_configurations_keep_to_conditions_and_ranges():
    rows = ENCODING.completed(np.full((400, 5), np.nan), rng())
    drawn = [ENCODING.values(row) for row in rows]
    assert all(("loss.margin" in values) == (values["mode"] == "siamese") for values in drawn)
    assert all(
        parameter.holds(v[parameter.path]) for v in drawn for parameter in ENCODING.ranges if parameter.path in v
    )
    counts = {n: sum(values["layers"] == n for values in drawn) for n in range(1, 6)}
    assert min(counts.values()) > 50  # both ends are as frequent as the others
    assert 0.4 < np.mean([values["lr"] < 1e-3 for values in drawn]) < 0.6


def test_neighbours_differ_in_one_parameter_and_those_that_depend_on_it():
    codes = ENCODING.codes([SIAMESE] * 200)
    for row in ENCODING.moved(codes, rng(), step=0.2):
        values = ENCODING.values(row)
        changed = {path for path in SIAMESE if values.get(path) != pytest.approx(SIAMESE[path])}
        assert changed <= {"mode", "loss.margin"} if "mode" in changed else len(changed) <= 1
        assert abs([16, 32, 64].index(values["width"]) - 0) <= 1


def test_predictions_are_those_of_the_formula():
    draw = rng()
    vectors = ENCODING.vectors(ENCODING.completed(np.full((12, 5), np.nan), draw))
    values, openness = draw.normal(size=10), draw.random(10)
    parameters = Hyperparameters(np.array([0.5, 1.0, 2.0, 0.1, 0.7]), 0.1, 0.3)
    model = GaussianProcess(parameters, ENCODING.owner, vectors[:10], values, openness)
    mean, deviation = model.predict(vectors[10:])
    weights = parameters.weights[ENCODING.owner]
    kernel = np.exp(-(weights * (vectors[:, None] - vectors[None]) ** 2).sum(axis=2))
    inverse = np.linalg.inv(kernel[:10, :10] + np.diag(0.1 + 0.3 * openness))
    np.testing.assert_allclose(mean, kernel[10:, :10] @ inverse @ values)
    np.testing.assert_allclose(deviation**2, 1 - np.diag(kernel[10:, :10] @ inverse @ kernel[:10, 10:]))


def test_a_parameter_that_matters_gets_a_larger_weight():
    vectors = ENCODING.vectors(codes := ENCODING.completed(np.full((60, 5), np.nan), rng()))
    values = np.sin(4 * codes[:, 2])
    found = estimated(ENCODING.owner, vectors, (values - values.mean()) / values.std(), np.zeros(60))
    assert found.weights[2] > 3 * np.delete(found.weights, 2).max()
    assert found.noise < 0.05


def test_noise_of_unfinished_trainings_is_told_from_that_of_all():
    draw = rng()
    vectors = ENCODING.vectors(codes := ENCODING.completed(np.full((80, 5), np.nan), draw))
    openness = np.repeat([0.0, 1.0], 40)
    values = np.sin(4 * codes[:, 2]) + openness * draw.normal(size=80)
    found = estimated(ENCODING.owner, vectors, (values - values.mean()) / values.std(), openness)
    assert found.noise_of_open > 5 * found.noise
