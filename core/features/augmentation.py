"""Augmentation of training features, so that a detector leans on no single part of them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class AugmentOptions:
    """How training features are changed; everything is off by default, and scoring never changes anything.

    Attributes:
        time_masks: Stretches of frames that each window loses (SpecAugment, Park 2019).
        time_mask_frames: The longest of them, frames; each has a random length from 0 to this.
        frequency_masks: Bands of features that each window loses.
        frequency_mask_share: The widest of them, as a share of all features.
        noise: Standard deviation of noise added to every value, as a share of the feature's own within the window.
        mixup: Parameter of the Beta distribution of the shares in which two windows are mixed (Zhang 2018); 0 = off.
            Partners are of one class, so that every window keeps its label and pairs keep their meaning.
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
        """Whether anything is on."""
        return bool(self.time_masks or self.frequency_masks or self.noise or self.mixup)


def augmented(features: Tensor, labels: Tensor, options: AugmentOptions, generator: torch.Generator) -> Tensor:
    """Features of a minibatch as training sees them, in float32 where anything is on.

    In this order: mixed, noisy, masked. Masked values become the feature's mean over the window, which tells nothing.

    Args:
        features: `(batch, n_features, n_frames)`.
        labels: `(batch,)`, on the CPU; mixed are windows of equal labels.
        options: What is on.
        generator: Draws everything; on the CPU, so that the same seed gives the same on every device.
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
    masks = torch.zeros(n_windows, n_features, n_frames, dtype=torch.bool)
    for _ in range(options.time_masks):
        masks |= _stretch(n_windows, n_frames, min(options.time_mask_frames, n_frames), generator)[:, None, :]
    widest = max(1, round(options.frequency_mask_share * n_features))
    for _ in range(options.frequency_masks):
        masks |= _stretch(n_windows, n_features, widest, generator)[:, :, None]
    return torch.where(masks.to(changed.device), means, changed)


def _stretch(n_windows: int, length: int, longest: int, generator: torch.Generator) -> Tensor:
    """For each window a random stretch of 0 to `longest` of `length` places, `(n_windows, length)`."""
    widths = torch.randint(longest + 1, (n_windows, 1), generator=generator)
    begins = (torch.rand(n_windows, 1, generator=generator) * (length - widths + 1)).long()
    places = torch.arange(length)
    return (places >= begins) & (places < begins + widths)


def _mixed(features: Tensor, labels: Tensor, alpha: float, generator: torch.Generator) -> Tensor:
    """Each window mixed with another of its label, of which it keeps the larger share."""
    partners = torch.arange(len(labels))
    for label in labels.unique():
        members = torch.nonzero(labels == label).flatten()
        partners[members] = members[torch.randperm(len(members), generator=generator)]
    seed = int(torch.randint(2**62, (1,), generator=generator))  # torch draws no Beta variates from a generator
    drawn = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, size=len(labels))).float()
    share = torch.maximum(drawn, 1 - drawn)[:, None, None].to(features.device)
    return share * features + (1 - share) * features[partners.to(features.device)]
