"""The loss of wav2vec's pretraining: the true future frame against distractors (wav2vec, equations 1 and 2)."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from core.features.wav2vec_network import Wav2Vec


class PredictionLoss(NamedTuple):
    """Loss and accuracy of one minibatch; scalars.

    Attributes:
        loss: Mean over predictions of the summand of equation (2), in nats; at chance `(1 + lambda) * log 2`.
        info_nce: Mean cross-entropy of the choice between the true frame and its distractors, in nats; at chance
            `log(1 + n_negatives)`.
        accuracy: Fraction of predictions for which the true frame ranks first, in [0, 1].
    """

    loss: Tensor
    info_nce: Tensor
    accuracy: Tensor


def offset_of(network: Wav2Vec) -> int:
    """Distance in frames to the first frame that shares no sample: receptive field / hop, rounded up."""
    return math.ceil(network.min_samples / network.hop_length)


def prediction_loss(
    encoded: Tensor, predictions: Tensor, negatives: Tensor, *, offset: int, negative_weight: float
) -> PredictionLoss:
    """The logistic loss of wav2vec, equations (1) and (2).

    As printed, equation (2) applies the sigmoid twice. We compute its intended form,
    `-log sigmoid(z' h_k(c)) - lambda * mean of log sigmoid(-z~' h_k(c))`. Step k = 0, 1, ... predicts the frame
    `offset + k` ahead; predictions beyond the end do not count.

    Args:
        encoded: Encoder features z, `(batch, channels, n_frames)`.
        predictions: h_k(c) of each frame and step, `(batch, channels, n_frames, n_steps)`.
        negatives: Indices of the distractors of each frame as a target, `(batch, n_frames, n_negatives)`.
        offset: Distance in frames to the first predicted frame.
        negative_weight: Lambda, the weight of the distractors.
    """
    batch, _, n_frames, n_steps = predictions.shape
    # All products of predictions and frames: for stretches of 1 or 2 s, this is faster than gathering vectors.
    products = torch.einsum("bctk,bcs->bkts", predictions, encoded)
    present = torch.arange(n_frames, device=encoded.device)
    total, cross, right, count = (encoded.new_zeros(()) for _ in range(4))
    for step in range(n_steps):
        ahead = offset + step
        n = n_frames - ahead
        if n < 1:
            break
        rows = products[:, step, :n]  # (batch, n, n_frames)
        targets = (present[:n] + ahead).expand(batch, n)
        chosen = torch.cat([targets[..., None], negatives[:, ahead:]], dim=2)
        scores = rows.gather(2, chosen)  # the true frame first
        distraction = F.softplus(scores[..., 1:]).mean(dim=2)
        total = total + (F.softplus(-scores[..., 0]) + negative_weight * distraction).sum()
        cross = cross + (scores.logsumexp(dim=2) - scores[..., 0]).sum()
        right = right + (scores[..., 0] > scores[..., 1:].amax(dim=2)).sum()
        count = count + batch * n
    return PredictionLoss(total / count, cross / count, right / count)


def draw_negatives(batch: int, n_frames: int, n_negatives: int, generator: torch.Generator) -> Tensor:
    """Indices of distractors, `(batch, n_frames, n_negatives)`: uniform draws from the other frames of the stretch.

    Raises:
        ValueError: A stretch has fewer than 2 frames.
    """
    if n_frames < 2:
        raise ValueError("a stretch of one frame has no distractors")
    drawn = torch.randint(n_frames - 1, (batch, n_frames, n_negatives), generator=generator)
    return drawn + (drawn >= torch.arange(n_frames)[None, :, None])  # skips the frame itself
