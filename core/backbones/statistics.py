"""Statistics over time as the embedding: for classical classifiers, which are fitted in seconds."""

from torch import Tensor, nn

from core.backbones.pooling import weighted_statistics


class Statistics(nn.Module):
    """Mean and deviation of every feature over time; see `statistics`."""

    def __init__(self, n_features: int, *, deviation: bool) -> None:
        super().__init__()
        self.embedding_dim = 2 * n_features if deviation else n_features

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, embedding_dim)` of features `(batch, n_features, n_frames)`: means, then deviations."""
        return weighted_statistics(features)[:, : self.embedding_dim]


def statistics(n_features: int, n_frames: int, *, deviation: bool = True) -> Statistics:
    """Mean and standard deviation of every feature over time; no weights.

    With `mode: classifier`, `classifier: svm` and `input: {score_windows: whole}` it is a strong and quick baseline on
    the features of pretrained encoders: nothing but the classifier is fitted.

    Args:
        n_features: Features per frame; any number.
        n_frames: Frames per input; any number.
        deviation: Whether the deviations follow the means.
    """
    return Statistics(n_features, deviation=deviation)
