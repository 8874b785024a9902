"""What a detector was trained on: durations of the utterances, and the length of its windows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.audio import SAMPLE_RATE
from core.stores.store import FeatureStore


@dataclass(frozen=True)
class Durations:
    """Durations of the utterances of a partition, s.

    Attributes:
        shortest: Of the shortest utterance.
        median: The median.
        longest: Of the longest utterance.

    Raises:
        ValueError: They are not in this order, or not positive.
    """

    shortest: float
    median: float
    longest: float

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= self.median <= self.longest:
            raise ValueError(f"durations: {asdict(self)}; 0 < shortest <= median <= longest must hold")


def durations_of_seconds(seconds: Sequence[float]) -> Durations | None:
    """Durations of utterances that last so many seconds; None without one that is known, which is above 0."""
    known = [value for value in seconds if value > 0]
    if not known:
        return None
    return Durations(*(round(float(value), 3) for value in (min(known), np.median(known), max(known))))


def durations_of_store(store: FeatureStore, min_samples: int) -> Durations | None:
    """Durations of the utterances of a store, up to a hop; None if a frame is a whole utterance.

    Args:
        store: The store.
        min_samples: Samples of the shortest waveform that the front end accepts, which gives one frame.
    """
    if int(store.n_frames.max()) == 1:
        return None
    lowest, median, highest = np.quantile(store.n_frames, [0, 0.5, 1])
    # The shortest waveform with so many frames, and the longest: all utterances of the store lie between them.
    shortest = (lowest - 1) * store.hop_length + min_samples
    longest = highest * store.hop_length + max(min_samples, store.hop_length)
    middle = np.clip(median * store.hop_length, shortest, longest)
    return Durations(*(round(float(samples) / SAMPLE_RATE, 3) for samples in (shortest, middle, longest)))


def durations_from_plain(plain: Mapping[str, Any] | None) -> dict[str, Durations]:
    """Durations by partition, from the configuration of a bundle; bundles of earlier versions have none."""
    return {name: Durations(**values) for name, values in (plain or {}).items()}
