"""The Pareto front: the points that no other point is better than."""

import numpy as np

_SAME = 9  # decimals: below that, sums in another order differ


def front(metrics: np.ndarray) -> np.ndarray:
    """The points that are not dominated, each distinct one once, from the best in the first metric down.

    A point dominates another that it is no worse than in every metric, and better than in one.

    Args:
      metrics: (n, d) float, higher is better.

    Returns:
      (m,) int, places of the points; of several with the same metrics the first.
    """
    values, places = np.unique(np.round(metrics, _SAME), axis=0, return_index=True)
    values, places = values[::-1], places[::-1]  # falling in the first metric, then in the next
    left = np.ones(len(values), bool)
    for i in range(len(values)):
        if left[i]:
            # whatever this point dominates is later in the order
            left[i + 1 :] &= (values[i + 1 :] > values[i]).any(axis=1)
    return places[left]
