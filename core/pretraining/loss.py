"""What the pretraining of wav2vec minimises: frames ahead are told from distractors (wav2vec, equations 1 and 2)."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from core.features.wav2vec_network import Wav2Vec


class PredictionLoss(NamedTuple):
    """What one minibatch gives.

    Attributes:
        loss: Mean over predictions of equation (2)'s summand; chance is `(1 + lambda) * log 2`.
        info_nce: Mean cross-entropy of finding the true frame among it and its distractors; chance is
            `log(1 + n_negatives)`.
        accuracy: Share of predictions for which the true frame ranks first.
    """

    loss: Tensor
    info_nce: Tensor
    accuracy: Tensor


def offset_of(network: Wav2Vec) -> int:
    """Frames to the first that shares no sample with the present one: receptive field over stride, rounded up."""
    return math.ceil(network.min_samples / network.hop_length)


def prediction_loss(
    encoded: Tensor, predictions: Tensor, negatives: Tensor, *, offset: int, negative_weight: float
) -> PredictionLoss:
    """The logistic loss of wav2vec, equations (1) and (2).

    Printed, equation (2) takes the logarithm of a sigmoid of what is one already; meant, and computed here, is
    `-log sigmoid(z' h_k(c)) - lambda * mean of log sigmoid(-z~' h_k(c))`. Step k = 0, 1, ... predicts the frame
    `offset + k` ahead; predictions beyond the end count nothing.

    Args:
        encoded: Encoder features z, `(batch, channels, n_frames)`.
        predictions: h_k(c) of each frame and step, `(batch, channels, n_frames, n_steps)`.
        negatives: For each frame as a target the frames that distract from it, `(batch, n_frames, n_negatives)`.
        offset: Steps to the first frame predicted.
        negative_weight: Lambda.
    """
    batch, _, n_frames, n_steps = predictions.shape
    # Every product of a prediction with a frame: for stretches of a second or two less work than gathering vectors.
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
    """For each frame `n_negatives` others of the same stretch, each equally likely: `(batch, n_frames, n_negatives)`.

    Raises:
        ValueError: there is no other frame.
    """
    if n_frames < 2:
        raise ValueError("a stretch of one frame has no distractors")
    drawn = torch.randint(n_frames - 1, (batch, n_frames, n_negatives), generator=generator)
    return drawn + (drawn >= torch.arange(n_frames)[None, :, None])  # the frame itself is passed over
