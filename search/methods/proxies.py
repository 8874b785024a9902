"""PROXIES: what stands for a whole training while a search looks for candidates."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from core.config import Experiment
from core.seeds import derived_seed
from core.stores.store import FeatureStore


class Proxy(NamedTuple):
    """What part of a training stands for the whole: its epochs (None = all) and its share of train."""

    epochs: int | None
    share: float

    def experiment(self, experiment: Experiment) -> Experiment:
        """The experiment, shortened."""
        if self.epochs is None or experiment.mode == "classifier":
            return experiment
        return replace(experiment, epochs=min(self.epochs, experiment.epochs))

    def train(self, train: FeatureStore, seed: int) -> FeatureStore:
        """A share of train, of each speaker and attack the same (at least one utterance); in the order of the store."""
        if self.share == 1:
            return train
        draw = np.random.default_rng(derived_seed(seed, "proxy"))
        groups: dict[tuple[str, str], list[int]] = {}
        for index, key in enumerate(zip(train.speaker_ids, train.attack_ids, strict=True)):
            groups.setdefault(key, []).append(index)
        kept = [draw.permutation(group)[: max(1, round(self.share * len(group)))] for group in groups.values()]
        return train.subset(np.sort(np.concatenate(kept)).astype(np.int64))


def no_proxy() -> None:
    """Trials are trained in full."""


def part(*, epochs: int | None = None, share: float = 1.0) -> Proxy:
    """Trials are trained for fewer epochs, on a part of train, or both.

    Args:
        epochs: Epochs of a trial; None = the experiment's.
        share: Share of train, above 0 and at most 1, the same of each speaker and attack.
    """
    if epochs is not None and epochs < 1:
        raise ValueError(f"epochs is {epochs}; it must be at least 1")
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; it must be above 0 and at most 1")
    return Proxy(epochs, share)


PROXIES: dict[str, Callable[..., Any]] = {"none": no_proxy, "part": part}
