import numpy as np


def duration_quantiles(
    durations, watch_times, weights=None, groups: int = 30, levels: int = 101
) -> dict[str, tuple]:
    """Quantiles of watch time within groups of like duration, as the loss duration_quantile needs them.

    Zhan et al., "Deconfounding duration bias in watch-time prediction for video recommendation" (KDD 2022),
    D2Q: durations are cut at their own quantiles into `groups` of equal weight (fewer where durations
    repeat too often to be cut; an edge belongs to the group below), and in each group the watch times at
    `levels` evenly spaced levels from 0 to 1 are kept. One more row of the table holds the quantiles
    of all rows, for rows without a duration.
    Quantiles are those of `numpy.quantile(method="inverted_cdf")`: values that occur.

    Args:
        durations: [N]; NaN where not known.
        watch_times: [N].
        weights: [N], at least 0; rows of weight 0 are left out. None: all 1.
        groups: how many, at least 1.
        levels: how many, at least 2.

    Returns:
        `duration_edges` and `watch_quantiles`, settings of `Task`.

    Raises:
        ValueError: if no row has weight.

    Example:
        >>> found = duration_quantiles([10, 10, 60, 60], [1, 9, 5, 50], groups=2, levels=2)
        >>> found["duration_edges"], found["watch_quantiles"]
        ((10.0,), ((1.0, 9.0), (5.0, 50.0), (1.0, 50.0)))
    """
    # as the model reads them
    durations, watch_times = (np.asarray(v, np.float32).reshape(-1) for v in (durations, watch_times))
    weights = np.ones(len(durations)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    counted = weights > 0
    if not counted.any():
        raise ValueError("duration_quantiles needs a row with weight; a task without labels has no quantiles")
    durations, watch_times, weights = durations[counted], watch_times[counted], weights[counted]
    known = ~np.isnan(durations)
    edges = np.array([], np.float32)
    if known.any():
        cuts = np.arange(1, groups) / groups
        edges = np.unique(_quantile(durations[known], cuts, weights[known]))
        edges = edges[edges < durations[known].max()]  # else no row is above the last
    at = np.searchsorted(edges, durations)
    at[~known] = len(edges) + 1
    spaced = np.linspace(0.0, 1.0, levels)
    everyone = np.ones(len(at), bool)
    members = [at == group if known.any() else everyone for group in range(len(edges) + 1)]
    tables = [_quantile(watch_times[rows], spaced, weights[rows]) for rows in [*members, everyone]]
    return {
        "duration_edges": tuple(map(float, edges)),
        "watch_quantiles": tuple(tuple(map(float, table)) for table in tables),
    }


def _quantile(values: np.ndarray, levels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.quantile(values, levels, weights=weights, method="inverted_cdf")
