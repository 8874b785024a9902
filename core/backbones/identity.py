"""No backbone at all: for features that are embeddings already, such as x-vectors, and as a yardstick."""

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
    """The features of all frames, one feature after the other; there is nothing to learn.

    Args:
        n_features: Features a frame.
        n_frames: Frames of every input; 1 where the front end gives one vector an utterance.
    """
    return Identity(n_features, n_frames)
