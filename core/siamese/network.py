"""The Siamese network: two inputs, one shared backbone, a loss on pairs (paper, section 3.1)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from core.siamese.losses import pair_distances
from core.siamese.pairs import PairSampler


class SiameseOutput(NamedTuple):
    """What one minibatch gives: the loss to minimise and the distances that TensorBoard shows.

    Attributes:
        loss: Scalar.
        positive_distance: Mean distance of the pairs of one class; NaN where the minibatch drew none.
        negative_distance: Mean distance of the pairs of two classes; NaN where the minibatch drew none.
    """

    loss: Tensor
    positive_distance: Tensor
    negative_distance: Tensor


class Siamese(nn.Module):
    """A backbone under a loss on pairs.

    Every utterance of the minibatch is embedded once and the pairs index the embeddings: two towers over the members
    of 50 pairs of 64 utterances would compute 100 embeddings, and batch norm would see the two sides apart.
    """

    def __init__(self, backbone: nn.Module, sampler: PairSampler, loss: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.sampler = sampler
        self.loss = loss

    def forward(self, features: Tensor, labels: Tensor, generator: torch.Generator) -> SiameseOutput:
        """The loss of a minibatch.

        Args:
            features: `(batch, n_features, n_frames)`.
            labels: `(batch,)`, 1 = bona fide.
            generator: Draws the pairs; on the CPU.
        """
        embeddings = self.backbone(features).float()  # distances of half-precision embeddings would round to steps
        pairs = self.sampler(labels, generator, embeddings.detach())
        with torch.autocast(embeddings.device.type, enabled=False):
            loss = self.loss(embeddings, labels, pairs)
            with torch.no_grad():
                distances = pair_distances(embeddings, pairs)
                same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
                return SiameseOutput(loss, _mean_where(distances, same), _mean_where(distances, ~same))


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    # A masked sum keeps shapes fixed: indexing by the mask would make a GPU wait for the host.
    return (values * mask).sum() / mask.sum()
