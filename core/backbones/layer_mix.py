"""A learned mix of the layers of a front end, in front of a backbone that takes one layer."""

from typing import cast

import torch
from torch import Tensor, nn

SMALLEST_VARIANCE = 1e-5
"""Added to the variance of a frame before its square root, as PyTorch's layer norm does."""


class LayerMix(nn.Module):
    """Weighted sum of layers; the weights are the softmax of learned logits (SUPERB, Yang 2021, section 3.2).

    The logits start at 0: equal weights, the mean of the layers. They are trained like the backbone's weights.
    """

    def __init__(self, n_layers: int, *, normalize: bool) -> None:
        """An untrained mix.

        Args:
            n_layers: Number of layers.
            normalize: Whether every frame of every layer is first normalised over its features, without parameters, as
                s3prl's `Featurizer` does with its option `normalize`.
        """
        super().__init__()
        self.normalize = normalize
        self.logits = nn.Parameter(torch.zeros(n_layers))

    def weights(self) -> Tensor:
        """Weights of the layers `(n_layers,)`; their sum is 1."""
        return torch.softmax(self.logits.float(), dim=0)

    def forward(self, features: Tensor) -> Tensor:
        """The mix `(batch, n_features, n_frames)`, in float32, of `(batch, n_layers * n_features, n_frames)`."""
        layers = features.unflatten(1, (len(self.logits), -1)).float()
        if self.normalize:
            variance, mean = torch.var_mean(layers, dim=2, keepdim=True, correction=0)
            layers = (layers - mean) * (variance + SMALLEST_VARIANCE).rsqrt()
        return cast(Tensor, (self.weights()[None, :, None, None] * layers).sum(dim=1))
