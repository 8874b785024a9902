"""CLASSIFIERS: embeddings -> CM scores, fitted when the backbone is done (paper, section 3.3).

A row takes the size of the embeddings and its options, and gives an unfitted `nn.Module` with

- `fit(embeddings, labels, *, attacks=None, generator)`: embeddings `(n, embedding_dim)`, labels `(n,)` with 1 = bona
  fide, attacks `(n,)` with 0 = bona fide and a number from 1 for each attack. The result hangs on these alone.
  FloatingPointError where an embedding is not finite, ValueError where a class has none.
- `forward(embeddings)`: CM scores `(n,)`, higher = more bona fide.

What scoring needs lies in parameters and buffers, so that a fresh module takes it from a state dict.
"""

from core.classifiers.centroid import centroid
from core.classifiers.gaussian import lda, plda
from core.classifiers.mlp import Mlp
from core.classifiers.svm import svm
from core.table import Table

CLASSIFIERS: Table = {"mlp": Mlp, "svm": svm, "lda": lda, "plda": plda, "centroid": centroid}
