"""A Gaussian process over configurations: choices, numbers and parameters that only some configurations have."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from search.methods.samplers import Range

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Values = Mapping[str, Any]

WEIGHT, NOISE = math.log(0.6), math.log(0.2)
"""Logarithms of the prior medians: of a parameter's weight, and of the noise as a share of the variance."""

FARTHEST = 40.0
"""Largest weighted distance: the kernel is then far below the rounding errors, and no number is denormal, thus slow."""

SPREAD = 1.0
"""Deviation of those logarithms in their (normal) prior."""


class Encoding:
    """Configurations as rows of codes, and as vectors.

    A code is the index of a choice, or the place of a number in its range, from 0 to 1; NaN where a configuration lacks
    the parameter. Choices that are all numbers are numbers, by rank.

    In a vector, a parameter has one block of coordinates. The squared distance of two configurations in a block lies in
    [0, 1]. It is 1 for two different choices, the square of the difference for two numbers (on a logarithmic scale
    where the range has one), and 0.5 to 1 where only one configuration has the parameter.

    Attributes:
        ranges: The parameters. A parameter comes after those that its condition names.
        owner: Index of the parameter that a coordinate belongs to, `(n_coordinates,)`.
    """

    def __init__(self, ranges: Sequence[Range]) -> None:
        self.ranges = tuple(ranges)
        self._column = {parameter.path: column for column, parameter in enumerate(ranges)}
        self._slots = [_Slot.of(parameter) for parameter in ranges]
        self._conditions = [
            [
                (self._column[path], np.array([self._slots[self._column[path]].code(label) for label in labels]))
                for path, labels in parameter.when.items()
            ]
            for parameter in ranges
        ]
        # Coordinates of a number: its place, and whether it lacks. Of a choice: whether it is the choice, or lacks.
        marks = [[0.0, 2.0] if slot.numeric else [*range(slot.n_choices + 1)] for slot in self._slots]
        self.owner: Indices = np.repeat(np.arange(len(marks)), [len(mark) for mark in marks]).astype(np.int64)
        self._marks: Array = np.array([mark for of_one in marks for mark in of_one], dtype=np.float64)
        numeric = np.array([slot.numeric for slot in self._slots], dtype=bool)[self.owner]
        self._is_place = numeric & (self._marks == 0)
        lacking = np.array([slot.n_choices for slot in self._slots], dtype=np.float64)[self.owner]
        self._lacking: Array = np.where(self._is_place, 0.5, np.where(numeric, 2.0, lacking))
        self._rows: dict[tuple[tuple[str, Any], ...], Array] = {}

    def codes(self, configurations: Sequence[Values]) -> Array:
        """Codes `(n_configurations, n_parameters)`."""
        rows = [self._row(tuple(values.items())) for values in configurations]
        return np.array(rows).reshape(len(rows), len(self.ranges))

    def _row(self, items: tuple[tuple[str, Any], ...]) -> Array:
        """Codes of one configuration; they are kept, because a search asks for them again with every suggestion."""
        if items not in self._rows:
            row = np.full(len(self.ranges), np.nan)
            for path, value in items:
                column = self._column[path]
                row[column] = self._slots[column].code(value)
            self._rows[items] = row
        return self._rows[items]

    def values(self, row: Array) -> dict[str, Any]:
        """The configuration of a row of codes."""
        return {
            parameter.path: slot.value(code)
            for parameter, slot, code in zip(self.ranges, self._slots, row.tolist(), strict=True)
            if not math.isnan(code)
        }

    def vectors(self, codes: Array) -> Array:
        """Vectors `(n, n_coordinates)` of codes `(n, n_parameters)`."""
        of_coordinates = codes[:, self.owner]
        filled = np.where(np.isnan(of_coordinates), self._lacking, of_coordinates)
        return np.where(self._is_place, filled, math.sqrt(0.5) * (filled == self._marks))

    def completed(self, codes: Array, rng: np.random.Generator) -> Array:
        """Codes of valid configurations: a wanted code is kept where its parameter is active, a NaN becomes a draw."""
        done = np.full_like(codes, np.nan)
        for column, (slot, conditions) in enumerate(zip(self._slots, self._conditions, strict=True)):
            active = np.ones(len(codes), dtype=bool)
            for other, allowed in conditions:
                active &= (done[:, other, None] == allowed).any(axis=1)
            drawn = slot.draw(rng, len(codes))
            done[:, column] = np.where(active, np.where(np.isnan(codes[:, column]), drawn, codes[:, column]), np.nan)
        return done

    def moved(self, codes: Array, rng: np.random.Generator, *, step: float) -> Array:
        """Neighbours: one parameter of every configuration changes, and those that depend on it.

        A number moves by a normal distance with the deviation `step` of its range, a choice becomes another one.
        """
        wanted, n = codes.copy(), len(codes)
        keys = np.where(np.isnan(codes), -1.0, rng.random(codes.shape))
        chosen = keys.argmax(axis=1)
        for column, slot in enumerate(self._slots):
            rows = np.flatnonzero(chosen == column)
            wanted[rows, column] = slot.neighbour(codes[rows, column], rng, step) if n else []
        return self.completed(wanted, rng)


def encoding_of(ranges: Sequence[Range]) -> Encoding:
    """The encoding of the ranges. A space has one, so that every suggestion of a search can use its codes."""
    key = tuple(map(id, ranges))  # an encoding keeps its ranges, so their identities are not used again
    if key not in _ENCODINGS:
        _ENCODINGS[key] = Encoding(ranges)
    return _ENCODINGS[key]


_ENCODINGS: dict[tuple[int, ...], Encoding] = {}


@dataclass(frozen=True)
class _Slot:
    """Codes of one parameter.

    Attributes:
        choices: The choices in the order of their codes; empty for a range.
        numeric: Whether codes are places from 0 to 1.
        kind: Kind of the range.
        low: Lower end of a range; its logarithm if it is logarithmic.
        high: Upper end.
    """

    choices: tuple[Any, ...]
    numeric: bool
    kind: str
    low: float = 0.0
    high: float = 0.0

    @classmethod
    def of(cls, parameter: Range) -> "_Slot":
        if parameter.kind != "choice":
            ends = [float(end) for end in (parameter.low, parameter.high)]
            if parameter.kind == "log_uniform":
                ends = [math.log(end) for end in ends]
            return cls((), True, parameter.kind, *ends)
        numbers = all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in parameter.labels)
        return cls(tuple(sorted(parameter.labels)) if numbers else parameter.labels, numbers, "choice")

    @property
    def n_choices(self) -> int:
        return len(self.choices)

    def code(self, value: Any) -> float:
        if self.choices:
            index = self.choices.index(value)
            return index / max(1, self.n_choices - 1) if self.numeric else float(index)
        number = math.log(value) if self.kind == "log_uniform" else float(value)
        return (number - self.low) / (self.high - self.low) if self.high > self.low else 0.5

    def value(self, code: float) -> Any:
        if self.choices:
            return self.choices[round(code * (self.n_choices - 1) if self.numeric else code)]
        number = self.low + code * (self.high - self.low)
        if self.kind == "integer":
            return round(number)
        ends = (self.low, self.high)
        if self.kind == "log_uniform":
            number, ends = math.exp(number), (math.exp(self.low), math.exp(self.high))
        return min(max(number, ends[0]), ends[1])

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        drawn = rng.random(n)
        return self._on_grid(drawn) if self.numeric else np.floor(drawn * self.n_choices)

    def neighbour(self, codes: Array, rng: np.random.Generator, step: float) -> Array:
        if not self.numeric:
            return (codes + 1 + np.floor(rng.random(len(codes)) * max(self.n_choices - 1, 1))) % self.n_choices
        if self.choices:  # the next number up or down
            steps = np.where(rng.random(len(codes)) < 0.5, -1, 1) / max(1, self.n_choices - 1)
            return np.where((codes + steps < -1e-9) | (codes + steps > 1 + 1e-9), codes - steps, codes + steps)
        return self._on_grid(np.clip(codes + step * rng.normal(size=len(codes)), 0.0, 1.0))

    def _on_grid(self, places: Array) -> Array:
        """Places that numbers of the range have; a continuous range has all."""
        n = self.n_choices if self.choices else int(self.high - self.low) + 1 if self.kind == "integer" else 0
        if n > 1:
            return np.minimum(np.floor(places * n), n - 1) / (n - 1)
        return places


class GaussianProcess:
    """Regression of standardised values with the kernel `exp(-sum_d w_d * distance_d)`, mean 0 and variance 1.

    Every observation has the noise `s + t * openness`, where openness is 0 for a finished training and nearly 1 for one
    that was stopped at its start. The weights, `s` and `t` maximise the posterior density (log-normal priors).

    Args:
        parameters: Weights and noises.
        owner: Parameter of every coordinate, from `Encoding.owner`.
        vectors: Of the configurations, `(n, n_coordinates)`.
        values: Their values, `(n,)`.
        openness: Their openness, `(n,)`, from 0 to 1.
    """

    def __init__(
        self, parameters: "Hyperparameters", owner: Indices, vectors: Array, values: Array, openness: Array
    ) -> None:
        self._scale = np.sqrt(parameters.weights)[owner]
        self._vectors = vectors * self._scale
        covariance = self._kernel(self._vectors, self._vectors)
        covariance[np.diag_indices(len(values))] += parameters.noise + parameters.noise_of_open * openness
        self._factor = cholesky(covariance, lower=True, check_finite=False)
        self._solved = cho_solve((self._factor, True), values, check_finite=False)

    def predict(self, vectors: Array) -> tuple[Array, Array]:
        """Posterior mean and standard deviation of the noise-free values, `(n,)` each."""
        kernel = self._kernel(vectors * self._scale, self._vectors)
        reduced = solve_triangular(self._factor, kernel.T, lower=True, check_finite=False)
        variance = 1 - (reduced**2).sum(axis=0)
        return kernel @ self._solved, np.sqrt(np.maximum(variance, 1e-9))

    @staticmethod
    def _kernel(first: Array, second: Array) -> Array:
        squared = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
        return np.asarray(np.exp(-np.clip(squared, 0, FARTHEST)))


class Hyperparameters(NamedTuple):
    """Weights of the parameters, `(n_parameters,)`, and the two noises of `GaussianProcess`."""

    weights: Array
    noise: float
    noise_of_open: float


def estimated(owner: Indices, vectors: Array, values: Array, openness: Array) -> Hyperparameters:
    """The hyperparameters at the maximum of their posterior density; arguments as those of `GaussianProcess`.

    The last results are kept, because a search asks for the same ones again and again.
    """
    arrays = [np.ascontiguousarray(array, dtype=np.float64).tobytes() for array in (vectors, values, openness)]
    return _estimated(*arrays, tuple(owner.tolist()))


@lru_cache(maxsize=16)
def _estimated(vectors: bytes, values: bytes, openness: bytes, owner: tuple[int, ...]) -> Hyperparameters:
    y, is_open, n_parameters = np.frombuffer(values), np.frombuffer(openness), max(owner) + 1
    x = np.frombuffer(vectors).reshape(len(y), len(owner))
    n = len(y)
    by_parameter = np.zeros((n_parameters, n, n))
    for coordinate, parameter in enumerate(owner):
        by_parameter[parameter] += (x[:, None, coordinate] - x[None, :, coordinate]) ** 2
    flat = by_parameter.reshape(n_parameters, -1)
    median = np.array([*[WEIGHT] * n_parameters, NOISE, NOISE])

    def density(logarithms: Array) -> tuple[float, Array]:
        """The negative logarithm of the posterior density, and its gradient."""
        weights, noise, of_open = np.exp(logarithms[:-2]), math.exp(logarithms[-2]), math.exp(logarithms[-1])
        kernel = np.exp(-np.minimum(weights @ flat, FARTHEST)).reshape(n, n)
        covariance = kernel.copy()
        covariance[np.diag_indices(n)] += noise + of_open * is_open
        from_median = (logarithms - median) / SPREAD
        try:
            factor = cholesky(covariance, lower=True, check_finite=False)
        except LinAlgError:
            return 1e9, np.zeros_like(logarithms)
        inverse = cho_solve((factor, True), np.eye(n), check_finite=False)
        solved = inverse @ y
        outer = 0.5 * (np.outer(solved, solved) - inverse)
        diagonal = np.diag(outer)
        slope = [*(weights * (flat @ (outer * kernel).ravel())), -noise * diagonal.sum(), -of_open * diagonal @ is_open]
        value = 0.5 * y @ solved + np.log(np.diag(factor)).sum() + 0.5 * (from_median**2).sum()
        return float(value), np.array(slope) + from_median / SPREAD

    bounds = [(-6.0, 4.0)] * n_parameters + [(-7.0, 1.0)] * 2
    found = minimize(density, median, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 15}).x
    return Hyperparameters(np.exp(found[:-2]), float(np.exp(found[-2])), float(np.exp(found[-1])))
