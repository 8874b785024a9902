"""A learned mix of the layers of a front end, in front of a backbone that takes one layer."""

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

SMALLEST_VARIANCE = 1e-5
"""Added to the variance of a frame before its square root, as PyTorch's layer norm does."""

MAX_VALUES = {"cpu": 2**20, "cuda": 2**27}
"""Values of layers that are converted to float32 at a time: on a CPU those that stay in its cache."""


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
        layers = features.transpose(1, 2).unflatten(2, (len(self.logits), -1))
        if layers.requires_grad:  # of a front end that is trained, too
            with torch.autocast(features.device.type, enabled=False):
                mixed = self.weights() @ _scaled(layers, normalize=self.normalize)
        else:
            weighted_sum: Any = _WeightedSum.apply
            mixed = weighted_sum(self.weights(), layers, self.normalize)
        return mixed.transpose(1, 2)


class _WeightedSum(torch.autograd.Function):
    """The weighted sum of layers, with a gradient for the weights alone.

    Autograd would keep all layers in float32 for the gradient, which takes longer to write than the sum to compute. So
    they are converted again, in parts.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, layers: Tensor, normalize: bool) -> Tensor:
        ctx.save_for_backward(layers)
        ctx.normalize = normalize
        with torch.autocast(layers.device.type, enabled=False):
            return torch.cat([weights @ part for part in _parts(layers, normalize=normalize)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (layers,), (gradient,) = ctx.saved_tensors, gradients
        total = gradient.new_zeros(layers.shape[2])
        begin = 0
        for part in _parts(layers, normalize=ctx.normalize):
            of_part = gradient[begin : begin + len(part)].unsqueeze(3)
            total += (part @ of_part).sum(dim=(0, 1)).squeeze(1)
            begin += len(part)
        return total, None, None


def _parts(layers: Tensor, *, normalize: bool) -> Iterator[Tensor]:
    """Yields layers `(batch, n_frames, n_layers, n_features)` in float32, a part of the batch at a time.

    All parts are the same memory: new memory for every part would take longer than the conversion.
    """
    limit = MAX_VALUES.get(layers.device.type, MAX_VALUES["cpu"])
    parts = layers.split(max(1, limit // max(1, layers[0].numel())))
    memory = torch.empty(parts[0].shape, device=layers.device)
    for part in parts:
        values = memory[: len(part)].copy_(part)
        if normalize:
            values.sub_(values.mean(dim=3, keepdim=True)).mul_(_scale(values))
        yield values


def _scaled(layers: Tensor, *, normalize: bool) -> Tensor:
    """Layers in float32, for the gradient of the layers themselves."""
    layers = layers.float()
    if normalize:
        layers = layers - layers.mean(dim=3, keepdim=True)
        layers = layers * _scale(layers)
    return layers


def _scale(centred: Tensor) -> Tensor:
    """Factors that bring every frame of every layer, whose features have mean 0, to unit variance."""
    squares = torch.linalg.vector_norm(centred, dim=3, keepdim=True).square()  # faster than a variance
    return cast(Tensor, (squares / centred.shape[3] + SMALLEST_VARIANCE).rsqrt())
