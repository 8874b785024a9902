"""Nes2Net (Liu 2025): nested Res2Nets on features of many values per frame, without reducing them first."""

from typing import Literal, cast

import torch
from torch import Tensor, nn

Activation = Literal["relu", "selu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "selu": nn.SELU}


class Gate(nn.Module):
    """Squeeze-and-excitation over time, as a factor for every channel."""

    def __init__(self, channels: int, *, reduction: int, activation: type[nn.Module]) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.layers = nn.Sequential(
            nn.Linear(channels, hidden), activation(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Weighted frames `(batch, channels, n_frames)`, of the same shape as `x`."""
        return cast(Tensor, x * self.layers(x.mean(dim=2))[:, :, None])


class InnerGroups(nn.Module):
    """Groups of channels with a convolution each, which also sees the output for the group before; the last passes."""

    def __init__(self, width: int, scale: int, *, dilation: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation), activation(), nn.BatchNorm1d(width)
            )
            for _ in range(scale - 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Frames `(batch, width * scale, n_frames)`, of the same shape as `x`."""
        *groups, last = x.split(self.width, dim=1)
        outputs: list[Tensor] = []
        for group, layer in zip(groups, self.layers, strict=True):
            outputs.append(layer(group + outputs[-1] if outputs else group))
        return torch.cat([*outputs, last], dim=1)


class InnerStacks(nn.Module):
    """As `InnerGroups`, but a group joins those before it in a stack, and a learned weighted sum replaces the addition.

    The stack begins with the last group. Every step appends a group to the stack and applies one convolution to all of
    its members. The output of the step is the weighted sum of the members; the stack itself goes on to the next step.
    """

    def __init__(self, width: int, scale: int, *, dilation: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.width = width
        # The members of a stack lie along the last axis of an image, on which the convolution does not act.
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, (3, 1), padding=(dilation, 0), dilation=(dilation, 1)),
                activation(),
                nn.BatchNorm2d(width),
            )
            for _ in range(scale - 1)
        )
        self.weights = nn.ParameterList(torch.full((n,), 1 / n) for n in range(2, scale + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Frames `(batch, width * scale, n_frames)`, of the same shape as `x`."""
        *groups, last = x.unsqueeze(3).split(self.width, dim=1)
        stack, outputs = last, []
        for group, layer, weights in zip(groups, self.layers, self.weights, strict=True):
            stack = layer(torch.cat([stack, group], dim=3))
            outputs.append((stack * weights).sum(dim=3))
        return torch.cat([*outputs, last.squeeze(3)], dim=1)


class Bottleneck(nn.Module):
    """A Res2Net block on one outer group, with squeeze-and-excitation and a shortcut."""

    def __init__(
        self, channels: int, *, scale: int, dilation: int, reduction: int, stacked: bool, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        scale = min(scale, channels)
        width = channels // scale
        inner = InnerStacks if stacked else InnerGroups
        self.layers = nn.Sequential(
            *(nn.Conv1d(channels, width * scale, 1), activation(), nn.BatchNorm1d(width * scale)),
            inner(width, scale, dilation=dilation, activation=activation),
            *(nn.Conv1d(width * scale, channels, 1), activation(), nn.BatchNorm1d(channels)),
            Gate(channels, reduction=reduction, activation=activation),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Frames `(batch, channels, n_frames)`, of the same shape as `x`."""
        return cast(Tensor, x + self.layers(x))


class Nes2Net(nn.Module):
    """The network; see `nes2net`."""

    def __init__(
        self,
        n_features: int,
        *,
        embedding_dim: int,
        groups: int,
        scale: int,
        dilation: int,
        reduction: int,
        activation: Activation,
        stacked: bool,
    ) -> None:
        super().__init__()
        sizes = {"embedding_dim": embedding_dim, "groups": groups, "dilation": dilation, "reduction": reduction}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if scale < 2:
            raise ValueError(f"scale is {scale}; it must be at least 2")
        n_groups = max(n for n in range(1, groups + 1) if n_features % n == 0)
        if n_groups == 1:
            raise ValueError(f"no number of groups from 2 to {groups} divides the {n_features} features")
        self.embedding_dim = embedding_dim
        self.channels = n_features // n_groups
        kind = ACTIVATIONS[activation]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                Bottleneck(
                    self.channels,
                    scale=scale,
                    dilation=dilation,
                    reduction=reduction,
                    stacked=stacked,
                    activation=kind,
                ),
                kind(),
                nn.BatchNorm1d(self.channels),
            )
            for _ in range(n_groups - 1)
        )
        self.norm = nn.Sequential(nn.BatchNorm1d(n_features), kind())
        self.linear = nn.Linear(n_features, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`."""
        *groups, last = features.split(self.channels, dim=1)
        outputs: list[Tensor] = []
        for group, block in zip(groups, self.blocks, strict=True):
            outputs.append(block(group + outputs[-1] if outputs else group))
        x = self.norm(torch.cat([*outputs, last], dim=1))
        return cast(Tensor, self.linear(x.mean(dim=2)))


def nes2net(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int = 512,
    groups: int = 8,
    scale: int = 8,
    dilation: int = 1,
    reduction: int = 1,
    activation: Activation = "relu",
) -> Nes2Net:
    """Nes2Net (Liu 2025, section III): a Res2Net whose groups pass through Res2Net blocks; the mean over time follows.

    The published network on 1,024 features has 511 thousand parameters.

    Args:
        n_features: Features per frame; a number with a divisor from 2 to `groups`.
        n_frames: Frames per input; any number.
        embedding_dim: Size of the embedding, 1 or more.
        groups: Maximum number of outer groups; the largest number up to it that divides `n_features` is used.
        scale: Inner groups of a block, 2 or more; limited to the channels of an outer group.
        dilation: Of the kernels over time, 1 or more; the publication has 1 or 2.
        reduction: Ratio of a group's channels to the hidden units of its squeeze-and-excitation, 1 or more.
        activation: `relu`, or `selu` as in the published systems on ASVspoof.

    Raises:
        ValueError: An option is outside the range above.
    """
    sizes = {"groups": groups, "scale": scale, "dilation": dilation, "reduction": reduction}
    return Nes2Net(n_features, embedding_dim=embedding_dim, activation=activation, stacked=False, **sizes)


def nes2net_x(
    n_features: int,
    n_frames: int,
    *,
    embedding_dim: int = 512,
    groups: int = 8,
    scale: int = 8,
    dilation: int = 1,
    reduction: int = 1,
    activation: Activation = "relu",
) -> Nes2Net:
    """Nes2Net-X (Liu 2025, section III): `nes2net` with learned weights in place of the additions of the inner groups.

    Arguments and errors as in `nes2net`.
    """
    sizes = {"groups": groups, "scale": scale, "dilation": dilation, "reduction": reduction}
    return Nes2Net(n_features, embedding_dim=embedding_dim, activation=activation, stacked=True, **sizes)
