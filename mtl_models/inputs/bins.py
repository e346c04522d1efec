"""Edges of bins for `PiecewiseLinearEncoding`, from data."""

import numpy as np


def quantile_bins(numbers: np.ndarray, count: int) -> list[list[float]]:
    """Edges at evenly spaced quantiles of each column (Gorishniy et al. 2022, section 3.2.1).

    Quantiles that coincide are one edge, so that a number with few values has fewer bins. Values that are
    not finite are left out; a column with a single value c gets the bin from c to c + 1.

    Args:
        numbers: [N, n].
        count: how many bins a number has at most.

    Returns:
        n lists of ascending edges, each exact in float32.

    Raises:
        ValueError: if count is less than 1, or a column has no finite value.

    Example:

    >>> import numpy as np
    >>> from mtl_models import quantile_bins
    >>> quantile_bins(np.array([[0, 7], [1, 7], [2, 7], [4, 7]]), count=3)
    [[0.0, 1.0, 2.0, 4.0], [7.0, 8.0]]
    """
    if count < 1:
        raise ValueError(f"quantile_bins: there must be at least one bin; count is {count}")
    bins = []
    for i, column in enumerate(np.asarray(numbers).T):
        known = column[np.isfinite(column)]
        if not len(known):
            raise ValueError(f"quantile_bins: column {i} has no finite value")
        edges = np.unique(np.quantile(known, np.linspace(0, 1, count + 1)).astype("float32"))
        if len(edges) == 1:
            edges = np.array([edges[0], max(edges[0] + 1, np.nextafter(edges[0], np.float32("inf")))])
        bins.append([float(edge) for edge in edges])
    return bins
