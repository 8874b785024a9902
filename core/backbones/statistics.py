"""Statistics over time as the embedding: for classical classifiers, which are fitted in seconds."""

from typing import Literal

from torch import Tensor, nn

from core.backbones.pooling import weighted_statistics

Moments = Literal["mean_deviation", "mean", "deviation"]


class Statistics(nn.Module):
    """Moments of every feature over time; see `statistics`."""

    def __init__(self, n_features: int, *, moments: Moments) -> None:
        super().__init__()
        first, last = {"mean_deviation": (0, 2), "mean": (0, 1), "deviation": (1, 2)}[moments]
        self.columns = slice(first * n_features, last * n_features)
        self.embedding_dim = (last - first) * n_features

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`: means, then deviations."""
        return weighted_statistics(features)[:, self.columns]


def statistics(n_features: int, n_frames: int, *, moments: Moments = "mean_deviation") -> Statistics:
    """Mean and standard deviation of every feature over time; no weights.

    With `mode: classifier`, `classifier: svm` and `input: {score_windows: whole}` it is a strong and quick baseline on
    the features of pretrained encoders: nothing but the classifier is fitted.

    Args:
        n_features: Features per frame; any number.
        n_frames: Frames per input; any number.
        moments: `mean_deviation`: the means, then the deviations; `mean` or `deviation`: only these. The mean of a
            cepstrum tells of the channel, and one of an encoder's state of more.
    """
    return Statistics(n_features, moments=moments)
