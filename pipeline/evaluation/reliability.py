"""Reliability curves: what was predicted against what happened, by bin of the prediction."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from pipeline.evaluation.engine import Measured
from pipeline.evaluation.replicates import percentile_intervals
from pipeline.evaluation.row_sums import RegressionTerms, ratio

# One row a task, score ("prediction" or "baseline") and bin of all rows, ascending: the bin's weight, means
# of labels and predictions (of a task of classes: of how often the most probable one is right, and of its
# probability), and the 95 % interval of the labels' mean, null without replicates.
SCHEMA = pa.schema(
    [("task", pa.string()), ("score", pa.string()), ("bin", pa.int64())]
    + [(n, pa.float64()) for n in ("weight", "mean_label", "mean_prediction", "low", "high")]
)


def reliability_rows(measured: Mapping[str, Measured]) -> pa.Table:
    """The curves of the tasks that predict probabilities; bins without rows are left out."""
    rows = []
    for task, of in measured.items():
        for score, terms in of.terms.items():
            if isinstance(terms, RegressionTerms) or score.startswith("reference/"):
                continue
            if score in of.no_probabilities:
                continue
            weight, label, prediction = terms.bins.of(of.sums[score][0].T)
            means, ends = ratio(label, weight), percentile_intervals(ratio(label, weight)[1:].T)
            for at in weight[0].nonzero()[0].tolist():
                low, high = (None if end != end else float(end) for end in ends[at])
                rows.append(
                    {
                        "task": task,
                        "score": score,
                        "bin": at,
                        "weight": float(weight[0, at]),
                        "mean_label": float(means[0, at]),
                        "mean_prediction": float(prediction[0, at] / weight[0, at]),
                        "low": low,
                        "high": high,
                    }
                )
    return pa.Table.from_pylist(rows, schema=SCHEMA)
