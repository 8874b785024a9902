"""Graph attention of AASIST (Jung 2022): nodes that stand for stretches of time or for bands, and what they tell."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

NODE_DROPOUT, POOL_DROPOUT, BRANCH_DROPOUT = 0.2, 0.3, 0.2
"""Dropout probabilities of the inputs of an attention, of the scores of a pooling, and of the nodes of a branch."""

HOMOGENEOUS_TEMPERATURE, HETEROGENEOUS_TEMPERATURE = 2.0, 100.0
"""Divisors of the attention's scores before the softmax."""


class Aggregation(nn.Module):
    """New nodes from sums of nodes weighted by attention, and from the nodes themselves: two linear layers, added."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.with_attention = nn.Linear(in_dim, out_dim)
        self.without_attention = nn.Linear(in_dim, out_dim)

    def forward(self, weights: Tensor, nodes: Tensor, own: Tensor) -> Tensor:
        """Nodes `(batch, n, out_dim)`.

        Args:
            weights: Attention `(batch, n, n_nodes)`; the weights of a new node sum to 1.
            nodes: Nodes `(batch, n_nodes, in_dim)` that are summed.
            own: Nodes `(batch, n, in_dim)` that become the new ones.
        """
        return cast(Tensor, self.with_attention(weights.to(nodes.dtype) @ nodes) + self.without_attention(own))


class NodeNorm(nn.Module):
    """Batch norm over all nodes, then SELU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, nodes: Tensor) -> Tensor:
        """Nodes `(batch, n_nodes, dim)`, of the same shape as `nodes`."""
        return nn.functional.selu(self.norm(nodes.transpose(1, 2)).transpose(1, 2))


class GraphAttention(nn.Module):
    """Attention among the nodes of one graph (Jung 2022, section 2.2).

    The score of nodes i and j is `w . tanh(W (x_i * x_j))`, with an element-wise product. The softmax is over j.
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(NODE_DROPOUT)
        self.pairs = nn.Linear(in_dim, out_dim)
        self.score = nn.Parameter(torch.empty(out_dim, 1))
        nn.init.xavier_normal_(self.score)
        self.aggregation = Aggregation(in_dim, out_dim)
        self.norm = NodeNorm(out_dim)

    def forward(self, nodes: Tensor) -> Tensor:
        """Nodes `(batch, n_nodes, out_dim)` of nodes `(batch, n_nodes, in_dim)`."""
        nodes = self.dropout(nodes)
        scores = (torch.tanh(self.pairs(nodes[:, :, None] * nodes[:, None])) @ self.score).squeeze(3)
        weights = (scores / HOMOGENEOUS_TEMPERATURE).softmax(dim=2)
        return cast(Tensor, self.norm(self.aggregation(weights, nodes, nodes)))


class HeterogeneousAttention(nn.Module):
    """Attention among the nodes of two graphs with a stack node (Jung 2022, section 3.2).

    Each graph has a projection of its own, and a pair has one of three score vectors: both nodes of the first graph,
    both of the second, or one of each. The stack node receives from all nodes and gives nothing back.
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.first = nn.Linear(in_dim, in_dim)
        self.second = nn.Linear(in_dim, in_dim)
        self.dropout = nn.Dropout(NODE_DROPOUT)
        self.pairs = nn.Linear(in_dim, out_dim)
        self.stack_pairs = nn.Linear(in_dim, out_dim)
        # Score vectors of pairs within the first graph, within the second, between them, and with the stack node.
        self.scores = nn.ParameterList(torch.empty(out_dim, 1) for _ in range(4))
        for score in self.scores:
            nn.init.xavier_normal_(score)
        self.aggregation = Aggregation(in_dim, out_dim)
        self.stack_aggregation = Aggregation(in_dim, out_dim)
        self.norm = NodeNorm(out_dim)

    def forward(self, first: Tensor, second: Tensor, stack: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """New nodes of the first graph, of the second graph, and the new stack node; `out_dim` values each.

        Args:
            first: Nodes `(batch, n_first, in_dim)`.
            second: Nodes `(batch, n_second, in_dim)`.
            stack: Stack node `(batch, 1, in_dim)`, or `(1, 1, in_dim)` for all of the batch.
        """
        n_first = first.shape[1]
        nodes = self.dropout(torch.cat([self.first(first), self.second(second)], dim=1))
        weights = (self.pair_scores(nodes, n_first) / HETEROGENEOUS_TEMPERATURE).softmax(dim=2)
        stack_scores = torch.tanh(self.stack_pairs(nodes * stack)) @ self.scores[3]  # (batch, n_nodes, 1)
        stack_weights = (stack_scores / HETEROGENEOUS_TEMPERATURE).softmax(dim=1).transpose(1, 2)
        stack = self.stack_aggregation(stack_weights, nodes, stack)
        nodes = self.norm(self.aggregation(weights, nodes, nodes))
        return nodes[:, :n_first], nodes[:, n_first:], stack

    def pair_scores(self, nodes: Tensor, n_first: int) -> Tensor:
        """Scores `(batch, n_nodes, n_nodes)` of projected nodes `(batch, n_nodes, in_dim)`, first graph first."""
        pairs = torch.tanh(self.pairs(nodes[:, :, None] * nodes[:, None]))  # (batch, n_nodes, n_nodes, out_dim)
        within_first, within_second, between = (pairs @ score for score in list(self.scores)[:3])
        is_first = torch.arange(nodes.shape[1], device=nodes.device) < n_first
        both = is_first[:, None] & is_first[None]
        neither = ~is_first[:, None] & ~is_first[None]
        scores = torch.where(both[:, :, None], within_first, between)
        return torch.where(neither[:, :, None], within_second, scores).squeeze(3)


class GraphPool(nn.Module):
    """Keeps the nodes with the highest scores, weighted by them; a score is the sigmoid of a linear function."""

    def __init__(self, dim: int, *, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio
        self.score = nn.Sequential(nn.Dropout(POOL_DROPOUT), nn.Linear(dim, 1), nn.Sigmoid())

    def forward(self, nodes: Tensor) -> Tensor:
        """Nodes `(batch, max(1, int(ratio * n_nodes)), dim)` of nodes `(batch, n_nodes, dim)`."""
        scores = self.score(nodes)
        kept = scores.topk(max(1, int(self.ratio * nodes.shape[1])), dim=1).indices
        pooled: Tensor = (nodes * scores).gather(1, kept.expand(-1, -1, nodes.shape[2]))
        return pooled


class Branch(nn.Module):
    """One branch of the max graph operation: attention, pooling, attention with shortcuts."""

    def __init__(self, in_dim: int, dim: int, *, ratio: float) -> None:
        super().__init__()
        self.stack = nn.Parameter(torch.empty(1, 1, in_dim))
        nn.init.normal_(self.stack)
        self.attention = HeterogeneousAttention(in_dim, dim)
        self.temporal_pool = GraphPool(dim, ratio=ratio)
        self.spectral_pool = GraphPool(dim, ratio=ratio)
        self.second_attention = HeterogeneousAttention(dim, dim)
        self.dropout = nn.Dropout(BRANCH_DROPOUT)

    def forward(self, temporal: Tensor, spectral: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Temporal nodes, spectral nodes and the stack node, from nodes `(batch, n_nodes, in_dim)` of both kinds."""
        temporal, spectral, stack = self.attention(temporal, spectral, self.stack)
        nodes = (self.temporal_pool(temporal), self.spectral_pool(spectral), stack)
        further = self.second_attention(*nodes)
        first, second, third = (self.dropout(old + new) for old, new in zip(nodes, further, strict=True))
        return first, second, third


class SpectroTemporalGraph(nn.Module):
    """Everything of AASIST behind its encoder, up to the readout of `5 * dims[1]` values.

    Args:
        channels: Values of a node of the encoder's map.
        n_bands: Number of spectral nodes.
        dims: Values of a node after the attention within a graph, and after the attention across the graphs.
        pool_ratios: Fractions of nodes that a pooling keeps: spectral, temporal, and in the branches.

    Raises:
        ValueError: `dims` or `pool_ratios` has another length, or a value out of range.
    """

    def __init__(self, channels: int, n_bands: int, *, dims: Sequence[int], pool_ratios: Sequence[float]) -> None:
        super().__init__()
        if len(dims) != 2 or min(dims) < 1:
            raise ValueError(f"graph_dims is {list(dims)}; it must be two numbers of at least 1")
        if len(pool_ratios) != 3 or not all(0 < ratio <= 1 for ratio in pool_ratios):
            raise ValueError(f"pool_ratios is {list(pool_ratios)}; it must be three numbers above 0 and at most 1")
        self.readout_dim = 5 * dims[1]
        self.position = nn.Parameter(torch.empty(1, n_bands, channels))
        nn.init.normal_(self.position)
        self.spectral = nn.Sequential(GraphAttention(channels, dims[0]), GraphPool(dims[0], ratio=pool_ratios[0]))
        self.temporal = nn.Sequential(GraphAttention(channels, dims[0]), GraphPool(dims[0], ratio=pool_ratios[1]))
        self.branches = nn.ModuleList(Branch(dims[0], dims[1], ratio=pool_ratios[2]) for _ in range(2))

    def forward(self, spectral: Tensor, temporal: Tensor) -> Tensor:
        """Readout `(batch, readout_dim)`: maximum and mean of both kinds of nodes, and the stack node.

        Args:
            spectral: Nodes `(batch, channels, n_bands)`.
            temporal: Nodes `(batch, channels, n_stretches)`.
        """
        bands = self.spectral(spectral.transpose(1, 2) + self.position)
        stretches = self.temporal(temporal.transpose(1, 2))
        outputs = [branch(stretches, bands) for branch in self.branches]
        # The max graph operation: the element-wise maximum of the two branches (Jung 2022, section 3.3).
        stretches, bands, stack = (torch.maximum(*nodes) for nodes in zip(*outputs, strict=True))
        parts = [part for nodes in (stretches, bands) for part in (nodes.abs().amax(dim=1), nodes.mean(dim=1))]
        return torch.cat([*parts, stack.squeeze(1)], dim=1)
