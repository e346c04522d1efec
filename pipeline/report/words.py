"""What metrics and terms are called on the page, and what they mean, for readers who do not know them."""

from __future__ import annotations

from pipeline.metric_names import DIRECTIONS

# metric -> (name, meaning)
METRICS = {
    "auc": (
        "AUC",
        "Area under the ROC curve: how often a random positive row is scored above a random negative one. "
        "0.5 is chance, 1 is perfect.",
    ),
    "pr_auc": (
        "PR-AUC",
        "Average precision, the area under the precision-recall curve: how pure the top of the ranking is. "
        "Chance is the share of positives.",
    ),
    "gauc": ("GAUC", "AUC within each user, averaged by rows: what one person's own ranking is worth."),
    "gauc_item": ("GAUC by item", "AUC within each item: whether it is shown to the right people."),
    "gauc_request": ("GAUC by request", "AUC among the rows of one request."),
    "gauc_position": ("GAUC by position", "AUC among rows shown at the same position."),
    "gauc_scenario": ("GAUC by scenario", "AUC among rows of the same scenario."),
    "ndcg_at_k": (
        "NDCG@{k}",
        "Normalised discounted cumulative gain: how near the top of a request's first {k} the positives are. "
        "1 is perfect.",
    ),
    "mrr": ("MRR", "Mean reciprocal rank: 1 over the place of a request's first positive, averaged."),
    "recall_at_k": ("Recall@{k}", "Share of a request's positives that are among its first {k}."),
    "rank_correlation": (
        "Rank correlation",
        "How alike the new model and the serving one order a request. 1 is the same order.",
    ),
    "top_k_overlap": (
        "Top-{k} overlap",
        "Share of a request's first {k} that the serving model has there too.",
    ),
    "quadratic_kappa": (
        "Quadratic κ",
        "Cohen's kappa with quadratic weights: agreement of ordered classes beyond chance. 1 is perfect.",
    ),
    "accuracy": ("Accuracy", "Share of rows whose most probable class is right."),
    "macro_f1": ("Macro-F1", "F1, the harmonic mean of precision and recall, averaged over classes."),
    "spearman": ("Spearman ρ", "Correlation of ranks: whether what is predicted larger is larger."),
    "r2": ("R²", "Share of the labels' variance that is explained. 0 is the mean, 1 is perfect."),
    "logloss": ("Log loss", "Mean of minus the log of the probability given to what happened."),
    "normalized_entropy": (
        "Normalised entropy",
        "Log loss over that of always predicting the base rate. Below 1 is better than knowing nothing.",
    ),
    "mae": ("MAE", "Mean absolute error, in the label's unit."),
    "rmse": ("RMSE", "Root mean squared error, in the label's unit; large errors count more."),
    "quantile_loss": ("Quantile loss", "Pinball loss at the recipe's quantile."),
    "ece": (
        "ECE",
        "Expected calibration error: how far predicted probabilities are from what happened, on average over "
        "bins of the prediction.",
    ),
    "calibration": ("Calibration", "Mean prediction over mean label. 1 is right, above 1 is too high."),
}

RANKING = ("gauc", "ndcg_at_k", "mrr", "recall_at_k")

# What a task is told by in one number.
_HEADLINE = {"binary": "auc", "regression": "mae", "multiclass": "accuracy", "ordinal": "quadratic_kappa"}
# What is drawn of validation beside that.
SECOND = {"binary": "gauc"}

TERMS = {
    "95 % interval": "From a bootstrap of users: over other users of the same kind, the number would "
    "nearly always be in it. What lies within an interval cannot be told apart.",
    "Serving model": "The version that serves now, scored on the same rows.",
    "Better, worse": "Said only where the interval of the difference leaves out 0.",
    "Gate": "A bound on a metric that the recipe sets; one that fails keeps the model from being pushed.",
    "Slice": "A part of the test rows, such as one surface or the users that training has not seen.",
    "Test split": "Rows that nothing was fitted on: not the model, not when it stopped.",
    "Reference": "Other scores on the same rows: the best constant, or a ceiling where it is known.",
    "Gradient cosine": "Whether two tasks pull shared parameters the same way: 1 the same, 0 unrelated, "
    "below 0 against each other.",
    "Gate weight, load": "In the model, a gate mixes experts for a task: the mean weight it gives each, and "
    "the share of rows in which the expert has the largest.",
    "Shift": "How far mean and covariance of vectors moved: the Fréchet distance of two normal "
    "distributions, squared, over the total variance of the vectors compared with.",
    "Dead number": "One of a vector's numbers that is the same in all rows, so that it tells nothing.",
    "Dead letter": "A row that could not be read or joined; kept aside with its reason.",
    "Epoch": "One pass over the training rows.",
}


def metric_name(metric: str, k: int | None = None) -> str:
    """A metric as readers know it."""
    return METRICS.get(metric, (metric, ""))[0].format(k="k" if k is None else k)


def meaning(metric: str, k: int | None = None) -> str:
    """What it measures and which way it is better, in a sentence or two; empty for an unknown one."""
    if metric not in METRICS:
        return ""
    better = {1: "Higher is better.", -1: "Lower is better.", 0: "Closest to 1 is best."}[
        DIRECTIONS.get(metric, 1)
    ]
    return f"{METRICS[metric][1].format(k='k' if k is None else k)} {better}"


def headline_of(kind: str, metrics: object) -> str | None:
    """The metric that a task is told by: its kind's, or the first that there is."""
    usual = _HEADLINE.get(kind)
    known = [m for m in DIRECTIONS if m in metrics]  # type: ignore[operator]
    return usual if usual in known else next(iter(known), None)
