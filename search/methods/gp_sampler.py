"""A sampler with a Gaussian process that learns from unfinished trainings, and knows which parameters are active."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtr, ndtri
from threadpoolctl import ThreadpoolController

from search.methods.samplers import Range
from search.methods.surrogate import GaussianProcess, Hyperparameters, encoding_of, estimated

Array = NDArray[np.float64]

N_RANDOM, N_BEST, N_NEIGHBOURS, STEP = 300, 5, 30, 0.15
"""Candidates: random configurations, and neighbours of each of the best ones, with the step of a number."""

N_KNOWN = 800
"""Most trials in the model: the best half, and a sample of the others. The time grows with the cube of the number."""

GROWTH, N_FIT = 1.25, 80
"""The weights are estimated anew when the number of trials has grown by GROWTH, and on the first N_FIT trials last."""


class Observed(NamedTuple):
    """What is known of trials that have a value.

    Attributes:
        configurations: Their configurations, in the order of the trials.
        values: Estimates of the values at their last epochs, `(n,)`.
        openness: Share of the longest training that was not run, 0 for a finished one, `(n,)`.
        costs: Costs of the configurations, if a search minimises them too, `(n,)`.
    """

    configurations: Sequence[Mapping[str, Any]]
    values: Array
    openness: Array
    costs: Array | None = None

    def some(self, n: int, rng: np.random.Generator) -> "Observed":
        """At most n of them: the n / 2 best ones, and a sample of the others."""
        if len(self.values) <= n:
            return self
        order = np.argsort(self.values, kind="stable")
        kept = np.sort(np.concatenate([order[: n // 2], rng.choice(order[n // 2 :], n - n // 2, replace=False)]))
        costs = None if self.costs is None else self.costs[kept]
        return Observed([self.configurations[i] for i in kept], self.values[kept], self.openness[kept], costs)

    def scores(self, weight: float = 1.0) -> Array:
        """What is minimised: normal scores of the ranks of the values, or of a mixture of values and costs.

        Args:
            weight: Of the values against the costs, from 0 to 1: augmented Tchebycheff scalarisation (Knowles 2006).
        """
        ranks = _ranks(self.values)
        if self.costs is not None:
            both = np.array([weight * ranks, (1 - weight) * _ranks(self.costs)])
            ranks = _ranks(both.max(axis=0) + 0.05 * both.sum(axis=0))
        return np.asarray(ndtri((ranks - 0.5) / len(ranks)), dtype=np.float64)


class GaussianProcessSampler(optuna.samplers.BaseSampler):
    """Suggests the configuration with the largest expected improvement over the best one so far.

    Values enter as normal scores of their ranks, so that neither outliers nor the unit matter. Trials that are running
    or were stopped early enter with an estimate of their last value. Trials without a value enter with their predicted
    mean, so that parallel trials differ. A configuration that was tried is not suggested again.
    """

    def __init__(self, seed: int, ranges: Sequence[Range], *, n_startup_trials: int) -> None:
        """A sampler for one suggestion.

        Args:
            seed: Seed of the suggestion.
            ranges: Parameters of the space.
            n_startup_trials: Trials with a value before the model is used.
        """
        self._rng = np.random.default_rng(seed)
        self._random = optuna.samplers.RandomSampler(seed=seed)
        self._encoding = encoding_of(ranges)
        self._n_startup_trials = n_startup_trials

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """The distributions of all parameters."""
        return {parameter.path: _distribution(parameter) for parameter in self._encoding.ranges}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        """A whole configuration; empty before the model is used, then every parameter is drawn at random."""
        trials = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number and other.params]
        if sum(_last(other) is not None for other in trials) < max(2, self._n_startup_trials):
            return {}
        with _libraries().limit(limits=1):  # several threads on small matrices wait for each other, and for trials
            return dict(self._best(trials))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """A random value."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _best(self, trials: Sequence[FrozenTrial]) -> Mapping[str, Any]:
        """The candidate with the largest expected improvement."""
        encoding = self._encoding
        every = observations(trials)
        observed = every.some(N_KNOWN, self._rng)
        codes = encoding.codes(observed.configurations)
        weight = float(self._rng.random()) if observed.costs is not None else 1.0
        known = [encoding.vectors(codes), observed.scores(weight), observed.openness]
        hyperparameters = self._hyperparameters([trial for trial in trials if trial.state.is_finished()], weight, known)
        model = GaussianProcess(hyperparameters, encoding.owner, *known)
        mean, _ = model.predict(known[0])
        waiting = encoding.codes([trial.params for trial in trials if _last(trial) is None])
        if len(waiting):
            ahead = encoding.vectors(waiting)
            expected, _ = model.predict(ahead)
            known = [np.concatenate(pair) for pair in zip(known, (ahead, expected, 0 * expected), strict=True)]
            model = GaussianProcess(hyperparameters, encoding.owner, *known)
        candidates = self._candidates(codes[np.argsort(mean)[:N_BEST]])
        tried = {row.tobytes() for row in np.concatenate([encoding.codes(every.configurations), waiting])}
        fresh = [row for row in candidates if row.tobytes() not in tried]
        candidates = np.array(fresh) if fresh else candidates
        expected, deviation = model.predict(encoding.vectors(candidates))
        better = (mean.min() - expected) / deviation
        improvement = deviation * (better * ndtr(better) + np.exp(-(better**2) / 2) / math.sqrt(2 * math.pi))
        return encoding.values(candidates[int(np.argmax(improvement))])

    def _hyperparameters(self, ended: Sequence[FrozenTrial], weight: float, known: Sequence[Array]) -> Hyperparameters:
        """Estimated on the first trials that have ended, whose number grows in steps: so they stay the same for long.

        Early in a parallel search no trial may have ended; then what is known of the running ones has to do.
        """
        if len(ended) < 2:
            return estimated(self._encoding.owner, *known)
        n = 2
        while (larger := math.ceil(n * GROWTH)) <= min(len(ended), N_FIT):
            n = larger
        first = observations(ended[:n])
        vectors = self._encoding.vectors(self._encoding.codes(first.configurations))
        return estimated(self._encoding.owner, vectors, first.scores(weight), first.openness)

    def _candidates(self, best: Array) -> Array:
        """Codes of candidates."""
        random = self._encoding.completed(np.full((N_RANDOM, len(self._encoding.ranges)), np.nan), self._rng)
        near = self._encoding.moved(np.repeat(best, N_NEIGHBOURS, axis=0), self._rng, step=STEP)
        twice = self._rng.random(len(near)) < 0.3
        near[twice] = self._encoding.moved(near[twice], self._rng, step=STEP)
        return np.concatenate([random, near])


@cache
def _libraries() -> ThreadpoolController:
    """The linear algebra of this process; to look for it takes milliseconds."""
    return ThreadpoolController()


def _ranks(values: Array) -> Array:
    """Ranks from 1; equal values share their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def observations(trials: Sequence[FrozenTrial]) -> Observed:
    """The trials that have a value, with estimates of the last values of those that did not end.

    The estimate adds to the last value what other trainings gained on average in the epochs to come: an epoch's gain is
    the mean over the trials that ran it. Objectives of a trial are the best so far, so a curve never rises.
    """
    kept = [(trial, last) for trial in trials if (last := _last(trial)) is not None]
    longest = max((epoch for trial, _ in kept if (epoch := trial.last_step)), default=0)
    curves = np.full((len(kept), longest + 1), np.nan)
    for curve, (trial, _) in zip(curves, kept, strict=True):
        curve[list(trial.intermediate_values)] = list(trial.intermediate_values.values())
    gains = np.diff(curves, axis=1)
    n_gains = np.isfinite(gains).sum(axis=0)
    mean_gains = np.divide(np.nansum(gains, axis=0), n_gains, out=np.zeros(longest), where=n_gains > 0)
    to_come = np.append(np.cumsum(mean_gains[::-1])[::-1], 0.0)
    values, openness = np.empty(len(kept)), np.zeros(len(kept))
    for index, (trial, (epoch, value)) in enumerate(kept):
        ended = trial.state == TrialState.COMPLETE
        values[index] = value if ended else value + to_come[epoch]
        openness[index] = 0.0 if ended else 1 - epoch / longest
    costs = [trial.values[1] for trial, _ in kept if trial.values and len(trial.values) == 2]
    return Observed([trial.params for trial, _ in kept], values, openness, np.array(costs) if costs else None)


def _last(trial: FrozenTrial) -> tuple[int, float] | None:
    """Last epoch of a trial with a value, and the value; epoch 0 if only the value is known. Values are finite."""
    if trial.state == TrialState.COMPLETE:
        return 0, float(trial.values[0])
    if not trial.intermediate_values:
        return None
    last = max(trial.intermediate_values)
    return last, trial.intermediate_values[last]


def _distribution(parameter: Range) -> Any:
    """The distribution of Optuna that has the range."""
    if parameter.kind == "choice":
        return optuna.distributions.CategoricalDistribution(parameter.labels)
    if parameter.kind == "integer":
        return optuna.distributions.IntDistribution(int(parameter.low), int(parameter.high))
    logarithmic = parameter.kind == "log_uniform"
    return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=logarithmic)
