"""Augmentation of training features, so that a detector does not rely on a single part of them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class AugmentOptions:
    """Options of augmentation, which changes features in training but not in scoring. All are off by default.

    Attributes:
        time_masks: Number of time masks per window (SpecAugment, Park 2019), 0 or more. A mask covers a run of frames.
        time_mask_frames: Maximum length of a time mask in frames, 1 or more; the length is random from 0 to this.
        frequency_masks: Number of frequency masks per window, 0 or more. A mask covers a band of features.
        frequency_mask_share: Maximum width of a frequency mask, as a fraction in (0, 1] of all features.
        noise: Standard deviation of the noise that is added to every value, 0 or more, relative to the standard
            deviation of the feature within the window.
        mixup: Parameter of the Beta distribution of the weights with which two windows are mixed (Zhang 2018), 0 or
            more; 0: off. Only windows of one class are mixed, so that labels and pairs remain valid.

    Raises:
        ValueError: An option is out of range.
    """

    time_masks: int = 0
    time_mask_frames: int = 20
    frequency_masks: int = 0
    frequency_mask_share: float = 0.2
    noise: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        for name in ("time_masks", "frequency_masks"):
            if getattr(self, name) < 0:
                raise ValueError(f"augment: {name} is {getattr(self, name)}; it must be at least 0")
        if self.time_mask_frames < 1:
            raise ValueError(f"augment: time_mask_frames is {self.time_mask_frames}; it must be at least 1")
        if not 0 < self.frequency_mask_share <= 1:
            share = self.frequency_mask_share
            raise ValueError(f"augment: frequency_mask_share is {share}; it must be above 0 and at most 1")
        for name in ("noise", "mixup"):
            if getattr(self, name) < 0:
                raise ValueError(f"augment: {name} is {getattr(self, name)}; it must be at least 0")

    @property
    def changes(self) -> bool:
        """Whether any augmentation is on."""
        return bool(self.time_masks or self.frequency_masks or self.noise or self.mixup)


def augmented(
    features: Tensor, labels: Tensor, options: AugmentOptions, generator: torch.Generator, *, n_layers: int = 1
) -> Tensor:
    """Augmented features `(batch, n_features, n_frames)` of a minibatch, in float32; unchanged if the options are off.

    The order is: mixup, noise, masks. A masked value becomes the mean of its feature over the window.

    Args:
        features: `(batch, n_features, n_frames)`, or of several layers `(batch, n_layers * n_features, n_frames)`.
        labels: `(batch,)`, on the CPU; mixup only combines windows of equal labels.
        options: The options.
        generator: Source of all random numbers; on the CPU, so that one seed has the same result on every device.
        n_layers: Number of layers. A mask covers the same frames or features of all of them.
    """
    if not options.changes:
        return features
    changed = features.float()
    n_windows, n_features, n_frames = changed.shape
    if options.mixup:
        changed = _mixed(changed, labels, options.mixup, generator)
    means = changed.mean(dim=2, keepdim=True)
    if options.noise:
        drawn = torch.randn(changed.shape, generator=generator).to(changed.device)
        changed = changed + options.noise * changed.std(dim=2, keepdim=True, correction=0) * drawn
    n_features //= n_layers
    masks = torch.zeros(n_windows, n_features, n_frames, dtype=torch.bool)
    for _ in range(options.time_masks):
        masks |= _stretch(n_windows, n_frames, min(options.time_mask_frames, n_frames), generator)[:, None, :]
    widest = max(1, round(options.frequency_mask_share * n_features))
    for _ in range(options.frequency_masks):
        masks |= _stretch(n_windows, n_features, widest, generator)[:, :, None]
    return torch.where(masks.repeat(1, n_layers, 1).to(changed.device), means, changed)


def _stretch(n_windows: int, length: int, longest: int, generator: torch.Generator) -> Tensor:
    """Mask `(n_windows, length)`, true in a random run of 0 to `longest` positions of every window."""
    widths = torch.randint(longest + 1, (n_windows, 1), generator=generator)
    begins = (torch.rand(n_windows, 1, generator=generator) * (length - widths + 1)).long()
    positions = torch.arange(length)
    return (positions >= begins) & (positions < begins + widths)


def _mixed(features: Tensor, labels: Tensor, alpha: float, generator: torch.Generator) -> Tensor:
    """Features with every window mixed with a window of the same label; its own weight is 0.5 or more."""
    partners = torch.arange(len(labels))
    for label in labels.unique():
        members = torch.nonzero(labels == label).flatten()
        partners[members] = members[torch.randperm(len(members), generator=generator)]
    seed = int(torch.randint(2**62, (1,), generator=generator))  # torch cannot draw from a Beta with a generator
    drawn = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, size=len(labels))).float()
    share = torch.maximum(drawn, 1 - drawn)[:, None, None].to(features.device)
    return share * features + (1 - share) * features[partners.to(features.device)]
