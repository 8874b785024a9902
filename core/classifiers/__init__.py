"""CLASSIFIERS: embeddings -> CM scores, fitted after the backbone is trained (paper, section 3.3).

A row is a function of the embedding size and of its own options. It returns an unfitted `nn.Module` with two methods:

- `fit(embeddings, labels, *, attacks=None, generator)` takes embeddings `(n, embedding_dim)`; labels `(n,)`, 1 = bona
  fide, 0 = spoof; and attacks `(n,)`, 0 = bona fide, otherwise a number from 1 that identifies the attack. The result
  depends on the arguments only. It raises FloatingPointError if an embedding is not finite, and ValueError if a class
  has no embedding.
- `forward(embeddings)` returns CM scores `(n,)`, higher = more bona fide.

The fitted values are parameters and buffers, so that a new module can load them from a state dict.
"""

from core.classifiers.centroid import centroid
from core.classifiers.gaussian import lda, plda
from core.classifiers.logistic import logistic_regression
from core.classifiers.mlp import Mlp
from core.classifiers.svm import svm
from core.table import Table

CLASSIFIERS: Table = {
    "mlp": Mlp,
    "svm": svm,
    "logistic_regression": logistic_regression,
    "lda": lda,
    "plda": plda,
    "centroid": centroid,
}
