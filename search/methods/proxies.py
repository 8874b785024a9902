"""PROXIES: shortened trainings that a search evaluates instead of full ones."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from core.config import Experiment
from core.seeds import derived_seed
from core.stores.store import FeatureStore


class Proxy(NamedTuple):
    """A shortened training.

    Attributes:
        epochs: Maximum number of epochs; None = as many as the experiment has.
        share: Fraction of the utterances of train, above 0 and at most 1.
    """

    epochs: int | None
    share: float

    def experiment(self, experiment: Experiment) -> Experiment:
        """The experiment with at most `epochs` epochs; unchanged in mode `classifier`, which has one epoch."""
        if self.epochs is None or experiment.mode == "classifier":
            return experiment
        return replace(experiment, steps=None, epochs=min(self.epochs, experiment.epochs))

    def training_subset(self, train: FeatureStore, seed: int) -> FeatureStore:
        """A random subset of train.

        The fraction is the same for every pair of speaker and attack, and at least one utterance of each pair remains.

        Args:
            train: Features of the training partition.
            seed: Seed of the draw; equal seeds give equal subsets.

        Returns:
            The subset in the order of `train`; `train` itself if `share` is 1.
        """
        if self.share == 1:
            return train
        draw = np.random.default_rng(derived_seed(seed, "proxy"))
        groups: dict[tuple[str, str], list[int]] = {}
        for index, key in enumerate(zip(train.speaker_ids, train.attack_ids, strict=True)):
            groups.setdefault(key, []).append(index)
        kept = [draw.permutation(group)[: max(1, round(self.share * len(group)))] for group in groups.values()]
        return train.subset(np.sort(np.concatenate(kept)).astype(np.int64))


def no_proxy() -> None:
    """No proxy: trials are trained in full."""


def part(*, epochs: int | None = None, share: float = 1.0) -> Proxy:
    """Trains trials for fewer epochs, on a fraction of train, or both.

    Args:
        epochs: Maximum number of epochs of a trial, at least 1; None = as many as the experiment has.
        share: Fraction of the utterances of train, above 0 and at most 1, the same for every speaker and attack.

    Raises:
        ValueError: `epochs` or `share` is out of its range.
    """
    if epochs is not None and epochs < 1:
        raise ValueError(f"epochs is {epochs}; it must be at least 1")
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; it must be above 0 and at most 1")
    return Proxy(epochs, share)


PROXIES: dict[str, Callable[..., Any]] = {"none": no_proxy, "part": part}
