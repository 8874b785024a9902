"""The identity as a backbone: for features that are embeddings already, such as x-vectors, and as a baseline."""

from torch import Tensor, nn


class Identity(nn.Module):
    """The features themselves as the embedding; see `identity`."""

    def __init__(self, n_features: int, n_frames: int) -> None:
        super().__init__()
        self.embedding_dim = n_features * n_frames

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings `(batch, n_features * n_frames)` of features `(batch, n_features, n_frames)`."""
        return features.flatten(1)


def identity(n_features: int, n_frames: int) -> Identity:
    """Embedding that holds the features of all frames, feature by feature; it has no weights.

    Args:
        n_features: Features per frame.
        n_frames: Frames per input; 1 where the front end returns one vector per utterance.
    """
    return Identity(n_features, n_frames)
