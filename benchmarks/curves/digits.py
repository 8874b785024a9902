"""A second table, from data that scikit-learn ships: images of digits, to see whether a result holds elsewhere.

Odd digits stand for bona fide speech and even ones for attacks: 0, 2 and 4 in train and dev, 6 and 8 in eval only, as
unseen attacks would be. A multilayer perceptron is trained on 300 images for 12 epochs.
"""

import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.evaluation import metrics
from search.space.configurations import all_configurations
from search.space.parameter import Parameter
from search.space.sections import CorpusOptions, SearchOptions
from search.space.space import Space

N_EPOCHS = 12
SIZES = {"train": 300, "dev": 400}
UNSEEN = (6, 8)
LIMIT = 30.0
"""Largest absolute log odds: scikit-learn rounds a probability near 1 to 1."""

SPACE = Space(
    "digits",
    CorpusOptions("none", ""),
    {},
    (
        Parameter("solver", "choice", choices=("sgd", "adam")),
        Parameter("learning_rate_init", "choice", choices=(1e-4, 1e-3, 1e-2, 1e-1, 1.0)),
        Parameter("width", "choice", choices=(8, 32, 128)),
        Parameter("activation", "choice", choices=("relu", "tanh")),
        Parameter("alpha", "choice", choices=(1e-4, 1e-2, 1.0)),
        Parameter("batch_size", "choice", choices=(8, 32)),
        Parameter("momentum", "choice", choices=(0.0, 0.9, 0.97), when={"solver": ("sgd",)}),
        Parameter("beta_1", "choice", choices=(0.5, 0.9), when={"solver": ("adam",)}),
    ),
    SearchOptions(baseline=False),
    {},
)


class Part(NamedTuple):
    """Images `(n, 64)` in [0, 1], and labels: 1 = odd."""

    images: NDArray[np.float64]
    labels: NDArray[np.int64]


@cache
def parts() -> Mapping[str, Part]:
    """The three partitions."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))
    images, digits = images[order] / 16, digits[order]
    seen = np.flatnonzero(~np.isin(digits, UNSEEN))
    ends = np.cumsum(list(SIZES.values()))
    indices = {"train": seen[: ends[0]], "dev": seen[ends[0] : ends[1]]}
    rest = np.setdiff1d(np.arange(len(digits)), seen[: ends[1]])
    indices["eval"] = rest[(digits[rest] % 2 == 1) | np.isin(digits[rest], UNSEEN)]
    return {name: Part(images[index], digits[index] % 2) for name, index in indices.items()}


def rows(job: tuple[int, Mapping[str, Any], int]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of dev and of eval of one training, for the number of a configuration, the configuration, and a seed."""
    from sklearn.neural_network import MLPClassifier

    number, values, seed = job
    options = {name: value for name, value in values.items() if name != "width"}
    model = MLPClassifier((values["width"],), random_state=seed, **options)
    on_dev, on_eval = [], []
    for epoch in range(1, N_EPOCHS + 1):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                model.partial_fit(*parts()["train"], classes=[0, 1])
            except ValueError:  # the weights are no longer finite
                break
        measured = {name: _measured(model, parts()[name]) for name in ("dev", "eval")}
        if None in measured.values():
            break
        row = {"configuration": number, "seed": seed, "epoch": epoch}
        on_dev.append({**row, **{f"dev_{name}": value for name, value in measured["dev"].items()}, "seconds": epoch})
        on_eval.append({**row, "eval_eer": measured["eval"]["eer"]})
    return on_dev, on_eval


def _measured(model: Any, part: Part) -> Any:
    """EER and AUC; None if a score is not finite."""
    with np.errstate(all="ignore"):
        logarithms = model.predict_log_proba(part.images)
    if np.isnan(logarithms).any():
        return None
    scores = np.clip(logarithms[:, 1], -LIMIT, 0) - np.clip(logarithms[:, 0], -LIMIT, 0)
    bona_fide, spoof = scores[part.labels == 1], scores[part.labels == 0]
    return {"eer": float(metrics.eer(bona_fide, spoof)[0]), "auc": float(metrics.auc(bona_fide, spoof))}


def make(folder: Path, *, seeds: int, processes: int) -> None:
    """Trains all configurations with all seeds, and writes the table."""
    from benchmarks.curves.table import write

    configurations = list(all_configurations(SPACE))
    jobs = [(number, values, seed) for (number, values), seed in product(enumerate(configurations), range(seeds))]
    with ProcessPoolExecutor(processes) as pool:
        done = list(pool.map(rows, jobs, chunksize=20))
    folder.mkdir(exist_ok=True)
    write(folder, configurations, [row for dev, _ in done for row in dev], [row for _, rest in done for row in rest])
