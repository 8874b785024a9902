"""Standardisation of embeddings by the training partition, for the classifiers that compare coordinates."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def standardization(points: Array) -> tuple[Array, Array]:
    """Mean and scale `(dim,)` of points `(n, dim)`: the standardised points are `(points - mean) / scale`.

    The scale is the standard deviation; 1 where a coordinate is constant, since it carries no information.
    """
    mean, scale = points.mean(axis=0), points.std(axis=0)
    scale[scale < 1e-8] = 1.0
    return mean, scale
