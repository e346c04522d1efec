"""Exact metrics of a validation set, from labels, predictions and weights in NumPy."""

import numpy as np


def auc(labels, scores, weights=None) -> float | None:
    """Area under the ROC curve by sorting; ties count one half (Mann-Whitney U / PN).

    Rows with weight 0 are left out. None where only one class is left.
    """
    labels, scores, weights = _known(labels, scores, weights)
    return gauc(labels, scores, np.zeros(len(labels), np.int64), weights)


def gauc(labels, scores, groups, weights=None) -> float | None:
    """AUC within groups (users), averaged by their weight (their impressions, where all weigh 1).

    Groups with one class are left out, and rows with weight 0. None where no group is left.
    """
    labels, scores, weights, groups = _known(labels, scores, weights, groups)
    if not len(labels):
        return None
    order = np.lexsort((scores, groups))
    labels, scores, weights, groups = labels[order], scores[order], weights[order], groups[order]
    new_group = np.r_[True, groups[1:] != groups[:-1]]
    ties = np.flatnonzero(new_group | np.r_[True, scores[1:] != scores[:-1]])
    positives = np.add.reduceat(weights * labels, ties)
    negatives = np.add.reduceat(weights * (1 - labels), ties)
    group_starts = np.flatnonzero(new_group[ties])
    group_of_tie = np.cumsum(new_group[ties]) - 1
    group_positives = np.add.reduceat(positives, group_starts)
    group_negatives = np.add.reduceat(negatives, group_starts)
    # negatives of the same group that are ranked below each run of ties
    below = np.cumsum(negatives) - negatives
    below -= below[group_starts][group_of_tie]
    wins = np.add.reduceat(positives * (below + negatives / 2), group_starts)
    both = (group_positives > 0) & (group_negatives > 0)
    if not both.any():
        return None
    areas = wins[both] / (group_positives[both] * group_negatives[both])
    return float(np.average(areas, weights=(group_positives + group_negatives)[both]))


def logloss(labels, probabilities, weights=None) -> float | None:
    """Mean cross-entropy in nats, probabilities clipped to [1e-7, 1 - 1e-7]; None without rows."""
    labels, probabilities, weights = _known(labels, probabilities, weights)
    p = np.clip(probabilities, 1e-7, 1 - 1e-7)
    return _mean(-(labels * np.log(p) + (1 - labels) * np.log1p(-p)), weights)


def mae(labels, values, weights=None) -> float | None:
    """Mean absolute error, in the label's units; None without rows."""
    labels, values, weights = _known(labels, values, weights)
    return _mean(np.abs(values - labels), weights)


def rmse(labels, values, weights=None) -> float | None:
    """Root of the mean squared error, in the label's units; None without rows."""
    labels, values, weights = _known(labels, values, weights)
    mean = _mean(np.square(values - labels), weights)
    return None if mean is None else float(np.sqrt(mean))


def class_logloss(labels, probabilities, weights=None) -> float | None:
    """Mean cross-entropy of classes in nats, probabilities clipped to [1e-7, 1 - 1e-7]; None without rows.

    Args:
        labels: [N], classes 0 to K - 1.
        probabilities: [N, K].
        weights: [N]; None: all 1.
    """
    labels, probabilities, weights = _known_classes(labels, probabilities, weights)
    p = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    return _mean(-np.log(np.clip(p, 1e-7, 1 - 1e-7)), weights)


def accuracy(labels, probabilities, weights=None) -> float | None:
    """Share of rows whose most probable class [N, K] is the label [N]; None without rows."""
    labels, probabilities, weights = _known_classes(labels, probabilities, weights)
    return _mean(probabilities.argmax(axis=1) == labels, weights)


def macro_f1(labels, probabilities, weights=None) -> float | None:
    """Mean of the classes' F1, of those that occur as label or as most probable class; None without rows."""
    confusion = _confusion(labels, probabilities, weights)
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    f1 = 2 * np.diagonal(confusion)[both > 0] / both[both > 0]
    return float(f1.mean()) if len(f1) else None


def quadratic_kappa(labels, probabilities, weights=None) -> float | None:
    """Agreement of the most probable class with the label beyond chance, weighted by (i - j)² (Cohen 1968).

    1 is perfect, 0 is chance. None where labels and predictions are all of one class, or without rows.
    """
    confusion = _confusion(labels, probabilities, weights)
    cost = np.subtract.outer(np.arange(len(confusion)), np.arange(len(confusion))) ** 2
    by_chance = confusion.sum(axis=1) @ cost @ confusion.sum(axis=0)
    if not by_chance > 0:
        return None
    return float(1 - (confusion * cost).sum() * confusion.sum() / by_chance)


def expected_class_mae(labels, probabilities, weights=None) -> float | None:
    """Mean absolute difference of `Σ k p_k` and the label, in classes; None without rows."""
    labels, probabilities, weights = _known_classes(labels, probabilities, weights)
    return _mean(np.abs(probabilities @ np.arange(probabilities.shape[1]) - labels), weights)


def weighted_median(values, weights=None) -> float:
    """The least value with half of the weight at or below it."""
    values, _, weights = _known(values, values, weights)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _confusion(labels, probabilities, weights) -> np.ndarray:
    """Weights by label and most probable class, [K, K]."""
    labels, probabilities, weights = _known_classes(labels, probabilities, weights)
    classes = probabilities.shape[1]
    cells = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(cells, weights, classes**2).reshape(classes, classes)


def _known_classes(labels, probabilities, weights):
    """Labels [N] as integers, float64 probabilities [N, K] and weights [N] of the rows with weight."""
    labels = np.asarray(labels).reshape(-1)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    known = weights > 0  # first: a label that is not known may be NaN, which is no integer
    return labels[known].astype(np.int64), np.asarray(probabilities, np.float64)[known], weights[known]


def _mean(values, weights) -> float | None:
    return float(np.average(values, weights=weights)) if len(values) else None


def _known(labels, scores, weights, *others):
    """Flat float64 labels, scores and weights of the rows with weight, then the others' same rows."""
    labels, scores = (np.asarray(v, np.float64).reshape(-1) for v in (labels, scores))
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    known = weights > 0
    return (labels[known], scores[known], weights[known], *(np.asarray(v).reshape(-1)[known] for v in others))
