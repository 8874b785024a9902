"""Gaussian mixtures of frames, the ASVspoof baselines: one of bona fide and one of spoofed speech (paper, table 1).

Expectation-maximisation fits both on every frame of train. Frames are streamed from the store, so memory holds one
chunk of frames for a corpus of any size. An epoch is one iteration over all frames.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.stores.inputs import InputOptions, read_layers
from core.stores.store import FeatureStore

CHUNK = 8192
"""Frames computed at once; their densities under 512 Gaussians take 16 MiB."""

INITIAL_FRAMES = 50
"""Frames per Gaussian in the sample on which k-means finds the initial means; EM then uses all frames."""


@dataclass(frozen=True)
class GmmOptions:
    """Two mixtures of diagonal Gaussians, one of bona fide frames and one of spoofed frames.

    Attributes:
        n_components: Gaussians of each mixture.
        variance_floor: Minimum variance, as a fraction of the variance over all frames of both classes; in (0, 1).
    """

    n_components: int = 512
    variance_floor: float = 1e-3

    def __post_init__(self) -> None:
        if self.n_components < 1:
            raise ValueError(f"gmm: n_components is {self.n_components}; it must be at least 1")
        if not 0 < self.variance_floor < 1:
            raise ValueError(f"gmm: variance_floor is {self.variance_floor}; it must be above 0 and below 1")


class Mixture(nn.Module):
    """A mixture of diagonal Gaussians."""

    def __init__(self, n_components: int, n_features: int) -> None:
        super().__init__()
        self.weights: Tensor
        self.means: Tensor
        self.variances: Tensor
        self.register_buffer("weights", torch.full((n_components,), 1 / n_components))
        self.register_buffer("means", torch.zeros(n_components, n_features))
        self.register_buffer("variances", torch.ones(n_components, n_features))

    def joint(self, frames: Tensor) -> Tensor:
        """Log of weight times density, `(n_frames, n_components)`, for frames `(n_frames, n_features)`."""
        precisions = 1 / self.variances
        constants = (
            self.weights.log()
            - 0.5 * (self.means.shape[1] * math.log(2 * math.pi) + self.variances.log().sum(dim=1))
            - 0.5 * (self.means**2 * precisions).sum(dim=1)
        )
        return torch.addmm(constants, frames, (self.means * precisions).T) - 0.5 * (frames**2 @ precisions.T)

    def forward(self, frames: Tensor) -> Tensor:
        """Log densities `(n_frames,)` of frames `(n_frames, n_features)`."""
        return self.joint(frames).logsumexp(dim=1)


class GmmDetector(nn.Module):
    """A countermeasure. Its CM score is the mean over frames of the log-likelihood ratio, bona fide against spoofed."""

    def __init__(
        self, options: GmmOptions, n_features: int, input_options: InputOptions, layers: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.normalize = input_options.normalize
        self.layer, self.layers = input_options.layer, tuple(layers)
        self.bona_fide = Mixture(options.n_components, n_features)
        self.spoof = Mixture(options.n_components, n_features)
        # The mixtures model standardised frames: float32 would lose the differences of large squares otherwise.
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def frames(self, features: Tensor) -> Tensor:
        """Standardised frames of an utterance, `(n_frames, n_features)`.

        `InputOptions.normalize` applies to the whole utterance here, since there are no windows.

        Args:
            features: Frames of the utterance as the store holds them, `(n_frames, n_features)`.
        """
        features = features.float()
        if self.normalize != "none":
            features = features - features.mean(dim=0)
        if self.normalize == "mean_variance":
            features = features / features.std(dim=0, correction=0).clamp_min(1e-5)
        return (features - self.mean) / self.scale

    def windows(self, features: Tensor) -> Tensor:
        """The whole utterances as their only windows, `(batch, 1, n_features, n_frames)`; see `Detector.windows`."""
        return read_layers(features, self.layer, self.layers)[:, None]

    def score_windows(self, windows: Tensor) -> Tensor:
        """CM scores `(batch,)` of the `windows` of utterances."""
        return torch.tensor([self._score(window[0]) for window in windows], dtype=torch.float64)

    def score_utterance(self, features: Tensor) -> float:
        """CM score of the features of a whole utterance; higher = more bona fide.

        Args:
            features: `(n_features, n_frames)`, of all layers of the front end, in float32; they are rounded to float16
                as in a store.
        """
        return float(self.score_windows(self.windows(features[None]))[0])

    def _score(self, features: Tensor) -> float:
        """CM score of the features `(n_features, n_frames)` of an utterance."""
        frames = self.frames(features.T)
        ratios = [(self.bona_fide(part) - self.spoof(part)).double().sum() for part in frames.split(CHUNK)]
        return float(torch.stack(ratios).sum()) / len(frames)

    @torch.inference_mode()
    def score_store(self, store: FeatureStore, *, device: torch.device | str = "cpu") -> NDArray[np.float64]:
        """CM scores `(n_utterances,)` of a store."""
        store = store.reading(self.layer)
        utterances = (torch.from_numpy(store.frames(index).T.copy()).to(device) for index in range(len(store)))
        return np.array([self._score(features) for features in utterances])


@torch.inference_mode()
def initialise(detector: GmmDetector, train: FeatureStore, *, options: GmmOptions, seeds: tuple[int, int]) -> None:
    """Sets the standardisation by the frames of train, and the initial mixtures by k-means on a sample of frames.

    Args:
        detector: Changed in place.
        train: Features of the training partition; both classes.
        options: The options that the detector was built with.
        seeds: Seeds of the sample and of k-means: one for bona fide, one for spoofed speech.

    Raises:
        ValueError: A class has fewer frames than a mixture has Gaussians.
    """
    device = detector.mean.device
    n, total, squares = 0, torch.zeros_like(detector.mean).double(), torch.zeros_like(detector.mean).double()
    for frames in chunks(detector, train, np.arange(len(train)), device=device):
        n += len(frames)
        total += frames.double().sum(dim=0)
        squares += (frames.double() ** 2).sum(dim=0)
    mean = total / n
    detector.mean.copy_(mean)
    detector.scale.copy_((squares / n - mean**2).clamp_min(1e-10).sqrt())
    for label, mixture, seed in ((1, detector.bona_fide, seeds[0]), (0, detector.spoof, seeds[1])):
        _initialise(mixture, detector, train, np.flatnonzero(train.labels == label), seed, options)


def _initialise(
    mixture: Mixture,
    detector: GmmDetector,
    train: FeatureStore,
    indices: NDArray[np.int64],
    seed: int,
    options: GmmOptions,
) -> None:
    from sklearn.cluster import MiniBatchKMeans

    generator = np.random.default_rng(seed)
    lengths = train.n_frames[indices]
    total, wanted = int(lengths.sum()), options.n_components * INITIAL_FRAMES
    if total < options.n_components:
        raise ValueError(f"gmm: n_components is {options.n_components}; a class of train has only {total} frames")
    picked = np.sort(generator.choice(total, min(total, wanted), replace=False))
    ends = np.cumsum(lengths)
    sample = []
    for position in np.unique(np.searchsorted(ends, picked, side="right")):
        begin = int(ends[position] - lengths[position])
        inside = picked[(picked >= begin) & (picked < ends[position])] - begin
        features = torch.from_numpy(train.frames(int(indices[position])).copy()).to(detector.mean.device)
        sample.append(detector.frames(features)[inside])
    frames = torch.cat(sample).cpu().numpy()
    means = MiniBatchKMeans(
        options.n_components, batch_size=4096, n_init=1, max_iter=20, random_state=seed % 2**32
    ).fit(frames)
    counts = np.bincount(means.labels_, minlength=options.n_components)
    mixture.means.copy_(torch.from_numpy(means.cluster_centers_))
    mixture.weights.copy_(torch.from_numpy((counts + 1.0) / (counts + 1.0).sum()))
    spread = np.stack([np.bincount(means.labels_, column, options.n_components) for column in (frames**2).T], axis=1)
    average = np.stack([np.bincount(means.labels_, column, options.n_components) for column in frames.T], axis=1)
    n = np.maximum(counts, 1)[:, None]
    # The variance of a cluster of few frames is unreliable: ten more frames of the overall variance are counted in.
    variances = ((spread - average**2 / n) + 10.0) / (n + 10.0)
    mixture.variances.copy_(torch.from_numpy(variances).clamp_min(options.variance_floor))


def chunks(
    detector: GmmDetector,
    store: FeatureStore,
    indices: NDArray[np.int64],
    *,
    device: torch.device | str,
    size: int = CHUNK,
) -> Iterator[Tensor]:
    """Yields the standardised frames of some utterances in chunks `(at most size, n_features)`."""
    waiting: list[Tensor] = []
    n = 0
    for index in indices:
        frames = detector.frames(torch.from_numpy(store.frames(int(index)).copy()).to(device))
        waiting.append(frames)
        n += len(frames)
        if n >= size:
            whole = torch.cat(waiting)
            *full, rest = whole.split(size)
            yield from full
            waiting, n = [rest], len(rest)
    if n:
        yield torch.cat(waiting)


@torch.inference_mode()
def em_step(mixture: Mixture, frames: Callable[[], Iterator[Tensor]], *, variance_floor: float) -> float:
    """Runs one iteration of EM on a mixture; returns the mean log density of the frames before this iteration.

    Args:
        mixture: Changed in place.
        frames: Function that iterates over all frames in chunks `(any number, n_features)`.
        variance_floor: Minimum variance after the iteration.
    """
    shape = mixture.means.shape
    counts = mixture.weights.new_zeros(shape[0], dtype=torch.float64)
    firsts, seconds = (counts.new_zeros(shape) for _ in range(2))
    total, n = counts.new_zeros(()), 0
    for part in frames():
        joint = mixture.joint(part)
        densities = joint.logsumexp(dim=1)
        shares = (joint - densities[:, None]).exp()
        counts += shares.sum(dim=0, dtype=torch.float64)
        firsts += (shares.T @ part).double()
        seconds += (shares.T @ part**2).double()
        total += densities.sum(dtype=torch.float64)
        n += len(part)
    alive = counts > 1e-3  # a Gaussian without frames stays unchanged
    held = counts.clamp_min(1e-3)[:, None]
    means = firsts / held
    variances = (seconds / held - means**2).clamp_min(variance_floor)
    mixture.means.copy_(torch.where(alive[:, None], means, mixture.means))
    mixture.variances.copy_(torch.where(alive[:, None], variances, mixture.variances))
    weights = counts.clamp_min(1e-3)
    mixture.weights.copy_(weights / weights.sum())
    return float(total) / n


def em_epoch(detector: GmmDetector, train: FeatureStore, *, options: GmmOptions) -> dict[str, float]:
    """Runs one iteration of EM on both mixtures.

    Returns:
        `loss`: minus the mean log density of a frame before the iteration, averaged over both mixtures.
    """
    losses = []
    for label, mixture in ((1, detector.bona_fide), (0, detector.spoof)):
        indices = np.flatnonzero(train.labels == label)

        def frames(indices: NDArray[np.int64] = indices) -> Iterator[Tensor]:
            return chunks(detector, train, indices, device=detector.mean.device)

        losses.append(-em_step(mixture, frames, variance_floor=options.variance_floor))
    return {"loss": sum(losses) / 2}
