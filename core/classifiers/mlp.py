"""The paper's classifier (section 3.3): two fully connected layers."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.classifiers.check import check
from core.optimizer import Adam


class Mlp(nn.Module):
    """Two fully connected layers, `embedding_dim`-`hidden`-2, with batch norm on the hidden layer."""

    def __init__(
        self,
        embedding_dim: int,
        *,
        hidden: int = 256,
        epochs: int = 10,
        lr: float = 1e-3,
        batch_size: int = 64,
        balanced: bool = True,
    ) -> None:
        """An unfitted classifier.

        Args:
            embedding_dim: Size of the embeddings, which are not standardised.
            hidden: Units of the hidden layer, 1 or more.
            epochs: Passes over the embeddings, 1 or more.
            lr: Learning rate of Adam, positive.
            batch_size: Embeddings per step, 2 or more. A single embedding that is left over joins the step before.
            balanced: Whether the loss of a class is weighted by the inverse of its frequency. Then both classes have
                the same total weight, and a score of 0 means even odds. Otherwise all utterances have the same weight.

        Raises:
            ValueError: An option is outside the range above.
        """
        super().__init__()
        for name, value, least in (("hidden", hidden, 1), ("epochs", epochs, 1), ("batch_size", batch_size, 2)):
            if value < least:
                raise ValueError(f"{name} is {value}; it must be at least {least}")
        if not (lr > 0 and math.isfinite(lr)):
            raise ValueError(f"lr is {lr}; it must be a positive number")
        self.epochs, self.lr, self.batch_size, self.balanced = epochs, lr, batch_size, balanced
        self.layers = nn.Sequential(
            nn.Linear(embedding_dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 2)
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """CM scores `(n,)` of embeddings `(n, embedding_dim)`: the log odds of bona fide."""
        logits = self.layers(embeddings)
        return cast(Tensor, logits[:, 1] - logits[:, 0])

    def fit(
        self, embeddings: Tensor, labels: Tensor, *, attacks: Tensor | None = None, generator: torch.Generator
    ) -> None:
        """Draws new weights, trains them by cross-entropy, and leaves the classifier in evaluation mode.

        On the CPU the generator's state determines the result to the bit; torch's global generator is not used.

        Args:
            embeddings: `(n, embedding_dim)`, on the classifier's device.
            labels: `(n,)`, 1 = bona fide, 0 = spoof.
            attacks: Not used.
            generator: Source of the initial weights and of the order of the embeddings; on any device.

        Raises:
            FloatingPointError: An embedding is not finite.
            ValueError: A class has no embedding.
        """
        labels = labels.to(embeddings.device, torch.long)
        counts = check(embeddings, labels)
        weights = len(labels) / (2 * counts) if self.balanced else torch.ones_like(counts, dtype=torch.float32)
        self._reset(generator)
        optimizer = Adam(self.parameters(), lr=self.lr, fused=True)
        sizes = _step_sizes(len(labels), self.batch_size)
        self.train()
        for _ in range(self.epochs):
            order = torch.randperm(len(labels), generator=generator, device=generator.device).to(embeddings.device)
            for indices in torch.split(order, sizes):
                targets = labels[indices]
                losses = F.cross_entropy(self.layers(embeddings[indices]), targets, reduction="none")
                optimizer.zero_grad(set_to_none=True)
                (losses * weights[targets]).mean().backward()
                optimizer.step()
        self.eval()

    @torch.no_grad()
    def _reset(self, generator: torch.Generator) -> None:
        for layer in self.layers:
            if isinstance(layer, nn.BatchNorm1d):
                layer.reset_parameters()  # sets constants; draws nothing
            elif isinstance(layer, nn.Linear):
                bound = 1 / math.sqrt(layer.in_features)
                for parameter in layer.parameters():
                    # The weights are drawn on the generator's device and then copied. With a CPU generator they are
                    # therefore the same on every device.
                    drawn = torch.empty(parameter.shape, device=generator.device)
                    parameter.copy_(drawn.uniform_(-bound, bound, generator=generator))


def _step_sizes(n: int, batch_size: int) -> list[int]:
    full, rest = divmod(n, batch_size)
    sizes = [batch_size] * full + [rest] * (rest > 0)
    if rest == 1 and full:  # batch norm cannot compute the variance of a single embedding
        sizes[-2:] = [batch_size + 1]
    return sizes
