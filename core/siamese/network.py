"""The Siamese network: one shared backbone for both inputs of a pair, and a loss on pairs (paper, section 3.1)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from core.siamese.losses import pair_distances
from core.siamese.pairs import PairSampler


class SiameseOutput(NamedTuple):
    """Result of one minibatch: the loss to minimise, and the distances that TensorBoard shows.

    Attributes:
        loss: Scalar.
        positive_distance: Mean distance of the pairs of one class, a scalar; NaN without such pairs.
        negative_distance: Mean distance of the pairs of two classes, a scalar; NaN without such pairs.
    """

    loss: Tensor
    positive_distance: Tensor
    negative_distance: Tensor


class Siamese(nn.Module):
    """A backbone with a loss on pairs of its embeddings.

    The backbone embeds every utterance of the minibatch once, and the pairs are indices into the embeddings. Two calls
    of the backbone, one for each side of the pairs, would compute 100 embeddings for 50 pairs of 64 utterances, and
    batch norm would treat the sides differently.
    """

    def __init__(self, backbone: nn.Module, sampler: PairSampler, loss: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.sampler = sampler
        self.loss = loss

    def forward(self, features: Tensor, labels: Tensor, generator: torch.Generator) -> SiameseOutput:
        """Loss and mean distances of a minibatch.

        Args:
            features: `(batch, n_features, n_frames)`.
            labels: `(batch,)`, 1 = bona fide, 0 = spoof.
            generator: Source of the pairs; on the CPU.
        """
        embeddings = self.backbone(features).float()  # half precision is too coarse for distances
        pairs = self.sampler(labels, generator, embeddings.detach())
        with torch.autocast(embeddings.device.type, enabled=False):
            loss = self.loss(embeddings, labels, pairs)
            with torch.no_grad():
                distances = pair_distances(embeddings, pairs)
                same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
                return SiameseOutput(loss, _mean_where(distances, same), _mean_where(distances, ~same))


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    # A masked sum has a fixed shape. Indexing by the mask would synchronise the GPU with the host.
    return (values * mask).sum() / mask.sum()
