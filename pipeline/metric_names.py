"""Names of the metrics that gates judge, and which way each is better."""

from math import inf

# The AUC within values of a role is `gauc` of the user, else `gauc_ROLE`.
GROUPED = ("gauc", "gauc_item", "gauc_request", "gauc_position", "gauc_scenario")
WITHIN_REQUESTS = ("ndcg_at_k", "mrr", "recall_at_k")
# How much of the serving model's order within requests is kept; no label is needed for them.
OF_RANKINGS = ("rank_correlation", "top_k_overlap")

# +1 higher is better, -1 lower, 0 closest to 1.
DIRECTIONS = {
    "auc": 1,
    "pr_auc": 1,
    **dict.fromkeys(GROUPED, 1),
    **dict.fromkeys(WITHIN_REQUESTS, 1),
    "quadratic_kappa": 1,
    "accuracy": 1,
    "macro_f1": 1,
    "spearman": 1,
    "r2": 1,
    "logloss": -1,
    "normalized_entropy": -1,
    "mae": -1,
    "rmse": -1,
    "quantile_loss": -1,
    "ece": -1,
    "calibration": 0,
    **dict.fromkeys(OF_RANKINGS, 1),
}
# What can be worse or better than the serving model's, and of which a difference has a sign that says so.
COMPARED = tuple(metric for metric in DIRECTIONS if metric not in OF_RANKINGS)
DIRECTED = tuple(metric for metric in COMPARED if DIRECTIONS[metric])

# Of predictions that are no probabilities these say nothing.
OF_PROBABILITIES = ("logloss", "normalized_entropy", "ece")
_OF_CLASSES = ("accuracy", "macro_f1", *OF_PROBABILITIES)
METRICS = {
    "binary": ("auc", "pr_auc", *GROUPED, *WITHIN_REQUESTS, *OF_PROBABILITIES, "calibration", *OF_RANKINGS),
    "regression": ("mae", "rmse", "r2", "spearman", "quantile_loss", "calibration", *OF_RANKINGS),
    "multiclass": _OF_CLASSES,
    "ordinal": ("quadratic_kappa", "mae", *_OF_CLASSES, *OF_RANKINGS),
}
# Metrics with least or greatest values that none goes beyond.
_SHARES = ("auc", "pr_auc", *GROUPED, *WITHIN_REQUESTS, "accuracy", "macro_f1", "ece", "top_k_overlap")
RANGES = {
    **dict.fromkeys(_SHARES, (0.0, 1.0)),
    **dict.fromkeys(("spearman", "quadratic_kappa", "rank_correlation"), (-1.0, 1.0)),
    **dict.fromkeys(("logloss", "normalized_entropy", "mae", "rmse", "quantile_loss"), (0.0, inf)),
    "r2": (-inf, 1.0),
}


def role_of(metric: str) -> str | None:
    """The role that a metric needs, or None."""
    if metric in (*WITHIN_REQUESTS, *OF_RANKINGS):
        return "request"
    return (metric.removeprefix("gauc_") if metric != "gauc" else "user") if metric in GROUPED else None
