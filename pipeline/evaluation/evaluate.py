"""From a scores file to the metrics table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.evaluation.engine import Bootstrap, Measured, measure
from pipeline.evaluation.rankings import Rankings, measure_rankings
from pipeline.evaluation.records import ScoreFiles
from pipeline.evaluation.reliability import reliability_rows
from pipeline.evaluation.replicates import percentile_intervals
from pipeline.evaluation.row_sums import RowTerms
from pipeline.evaluation.slicing import Slices
from pipeline.evaluation.table import OVERALL, MetricRow, MetricsTable, NoBaseline
from pipeline.evaluation.terms import metric_names
from pipeline.evaluation.tfma_analysis import COLUMNS, read_analysis, write_analysis
from pipeline.metric_names import OF_PROBABILITIES

_CANDIDATE, _BASELINE = COLUMNS.values()
# Counts of rows and of groups: what they would be in other samples is no question.
_COUNTS = ("examples", "weighted_examples", "gauc_users")
_IN_THIS_PROCESS = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
_OF_REFERENCES = {"binary": ("auc", "gauc"), "regression": ("mae", "rmse")}
_BOTH_CLASSES = "it needs examples of both classes"
_UNDEFINED = {
    "auc": _BOTH_CLASSES,
    "normalized_entropy": "the labels are all of one class",
    "pr_auc": "it needs an example of the positive class",
    "gauc": "no user has examples of both classes",
    "calibration": "the labels add up to 0",
    "ndcg_at_k": "no request has an example of the positive class",
    "mrr": "no request has an example of the positive class",
    "recall_at_k": "no request has an example of the positive class",
    "r2": "the labels are all the same",
    "spearman": "labels or predictions are all the same",
    "quadratic_kappa": "labels and predictions are all of one class",
    "rank_correlation": "no request has rows that either model puts in order",
    "top_k_overlap": "no request has more than k rows",
}


class Evaluated(NamedTuple):
    """Attributes:
    table: every metric of every task and slice.
    reliability: curves of tasks that predict probabilities; see `reliability.SCHEMA`.
    """

    table: MetricsTable
    reliability: pa.Table


def _note(metric: str, examples: int) -> str:
    if not examples:
        return "there are no examples"
    if metric.startswith("gauc_") and metric not in _UNDEFINED:
        return f"no {metric.removeprefix('gauc_')} has examples of both classes"
    return _UNDEFINED.get(metric, "it is not a finite number")


def _intervals(replicates: np.ndarray, metric: str) -> np.ndarray:
    """(slices, 2), NaN for none."""
    if metric in _COUNTS:
        return np.full((len(replicates), 2), np.nan)
    return percentile_intervals(replicates)


def _rows(
    task: str, measured: Measured, slices: Slices, analysis: Mapping[tuple[str, str, str, str], float]
) -> Iterator[MetricRow]:
    """A task's rows, of slices that have examples."""
    ours, theirs = measured.metrics[_CANDIDATE], measured.metrics.get(_BASELINE, {})
    # Metrics of order first, as people read them.
    names = [*(m for m in ours if m not in measured.terms[_CANDIDATE].metrics)]
    names += [m for m in ours if m not in names]
    found, none = {}, (np.nan, np.nan)
    for metric in names:
        values, ends = ours[metric], _intervals(ours[metric][:, 1:], metric)
        baseline = theirs.get(metric, np.full_like(values, np.nan))
        found[metric] = values[:, 0], ends, baseline[:, 0], _intervals((values - baseline)[:, 1:], metric)
    for slice_id, (name, examples) in enumerate(zip(slices.names, measured.examples.tolist(), strict=True)):
        if not examples and name != OVERALL:
            continue
        for metric in names:
            values, ends, baseline, diff_ends = (of[slice_id] for of in found[metric])
            if metric in measured.terms[_CANDIDATE].metrics:
                values = analysis.get(("candidate", task, name, metric), values)
                baseline = analysis.get(("baseline", task, name, metric), baseline)
            why = measured.no_probabilities if metric in OF_PROBABILITIES else {}
            if _BASELINE in why:
                baseline, diff_ends = np.nan, none
            if _CANDIDATE in why:
                values, ends, diff_ends = np.nan, none, none
            note = None if np.isfinite(values) else why.get(_CANDIDATE) or _note(metric, examples)
            yield MetricRow(
                task, name, metric, values, baseline, *ends, *diff_ends, examples=examples, note=note
            )


def _reference_rows(task: str, kind: str, measured: Measured) -> Iterator[MetricRow]:
    """Other systems' scores of all rows; of a regression also the median, which no model should be worse
    than."""
    examples = int(measured.examples[0])
    wanted = _OF_REFERENCES.get(kind, ())
    for score in (*measured.metrics, *measured.faults):
        if not score.startswith("reference/"):
            continue
        reference = score.removeprefix("reference/")
        metrics = measured.metrics.get(score)
        for metric in wanted:
            if metrics is None:
                note = measured.faults[score]
                yield MetricRow(
                    task, OVERALL, metric, None, examples=examples, reference=reference, note=note
                )
            elif metric in metrics:
                value = metrics[metric][0, 0]
                yield MetricRow(task, OVERALL, metric, value, examples=examples, reference=reference)
    if kind == "regression" and examples:
        terms, sums = measured.terms[_CANDIDATE], measured.sums[_CANDIDATE]
        value = terms.constant_mae(sums[0, :, 0])
        yield MetricRow(task, OVERALL, "mae", value, examples=examples, reference="constant")


def _ranking_rows(task: str, rankings: Rankings, slices: Slices) -> Iterator[MetricRow]:
    """How much of the serving model's order is kept; there is no baseline of that."""
    for metric, values in rankings.metrics.items():
        ends = percentile_intervals(values[:, 1:])
        for slice_id, (name, examples) in enumerate(zip(slices.names, rankings.examples, strict=True)):
            if examples or name == OVERALL:
                value = values[slice_id, 0]
                note = None if np.isfinite(value) else rankings.fault or _note(metric, examples)
                yield MetricRow(
                    task, name, metric, value, None, *ends[slice_id], examples=int(examples), note=note
                )


def _faulty_rows(
    task: str, kind: str, roles: Sequence[str], measured: Measured, fault: str | None
) -> Iterator[MetricRow]:
    examples = int(measured.examples[0])
    note = measured.faults.get("label") or (f"the model {fault}" if fault else measured.faults[_CANDIDATE])
    for metric in metric_names(kind, roles):
        counted = metric == "examples"
        value = float(examples) if counted else None
        yield MetricRow(task, OVERALL, metric, value, examples=examples, note=None if counted else note)


def evaluate_scores(
    paths: str | Path | Sequence[str | Path],
    tasks: Sequence[tuple[str, str]],
    slices: Sequence[str],
    output: str | Path,
    *,
    roles: Sequence[str],
    max_slice_values: int,
    replicates: int,
    k: int,
    quantile: float,
    seed: int = 0,
    use_weight: bool = False,
    named_slices: Sequence[str] = (),
    options: PipelineOptions = _IN_THIS_PROCESS,
) -> Evaluated:
    """Evaluates every task, overall and by slice, beside the serving model where it was scored.

    Binary tasks get auc, pr_auc, gauc (with a user role; and how many users and which share of the
    impressions it rests on), gauc_ROLE for other roles, ndcg_at_k, mrr and recall_at_k (with a request role),
    logloss, normalized_entropy, calibration and ece; regression tasks mae, rmse, r2, spearman, quantile_loss
    and calibration; multiclass tasks accuracy, macro_f1, logloss, normalized_entropy and ece; ordinal ones
    also quadratic_kappa and mae. With a request role, tasks that have an order get rank_correlation and
    top_k_overlap with the serving model (see `rankings`). All metrics and their differences to the serving
    model carry intervals by a bootstrap of users (without a user role of
    requests, else of rows). A metric that cannot be computed has value None and a note that says why. Sums
    over rows go through TensorFlow Model Analysis.

    Args:
      paths: a Parquet file of scores, a folder of them or a list of either (see `records`).
      tasks: (name, kind).
      slices: features that have a `slice/<feature>` column, and crosses `a & b` of them.
      output: folder for TFMA's result files.
      roles: those that have a `role/<role>` column.
      max_slice_values: of a feature or cross, its so many most frequent values are slices.
      replicates: of the bootstrap; 0 leaves intervals out.
      k: of NDCG and recall.
      quantile: of the quantile loss.
      seed: of the bootstrap.
      use_weight: weigh rows by `<task>/weight`; otherwise each known label counts 1.
      named_slices: `feature=value`, and crosses `a=1 & b=2`, that are slices however rare they are: a gate's.
      options: of the Beam pipeline that TFMA runs in.

    Raises:
      FileNotFoundError: without scores.
      KeyError: for a column that is missing.
      ValueError: for a kind without metrics.
    """
    kinds, files = dict(tasks), ScoreFiles(paths)
    found, measured = measure(
        files,
        kinds,
        roles,
        slices,
        max_slice_values=max_slice_values,
        bootstrap=Bootstrap(replicates, seed),
        k=k,
        quantile=quantile,
        use_weight=use_weight,
        named_slices=named_slices,
    )
    terms = {
        task: {model: of.terms[column] for model, column in COLUMNS.items() if column in of.terms}
        for task, of in measured.items()
        if of.metrics
    }
    analysis = {}
    if terms:
        with beam.Pipeline(options=options) as pipeline:
            write_analysis(pipeline, files.files, str(output), terms, found, use_weight)
        analysis = read_analysis(str(output))
    rows: list[MetricRow] = []
    for task, of in measured.items():
        if task in terms:
            rows += _rows(task, of, found, analysis)
            rows += _reference_rows(task, kinds[task], of)
        else:
            rows += _faulty_rows(task, kinds[task], roles, of, files.faults.candidate)
    for task, rankings in _rankings(
        files, kinds, roles, found, terms, Bootstrap(replicates, seed), k
    ).items():
        rows += _ranking_rows(task, rankings, found)
    missing = _unfit_baselines(measured) | files.faults.no_baseline
    kinds_of_slices = [" & ".join(features) for features in found.kinds]
    return Evaluated(MetricsTable(rows, missing, kinds_of_slices), reliability_rows(measured))


def _rankings(
    files: ScoreFiles,
    kinds: Mapping[str, str],
    roles: Sequence[str],
    slices: Slices,
    terms: Mapping[str, Mapping[str, RowTerms]],
    bootstrap: Bootstrap,
    k: int,
) -> dict[str, Rankings]:
    """Of the tasks with an order that both models were measured on."""
    tasks = [task for task, of in terms.items() if kinds[task] != "multiclass" and "baseline" in of]
    if not tasks or "request" not in roles:
        return {}
    return measure_rankings(files, tasks, "user" in roles, slices, bootstrap, k)


def _unfit_baselines(measured: Mapping[str, Measured]) -> dict[str, NoBaseline]:
    """Tasks of which the serving model predicted what is no number."""
    return {
        task: NoBaseline(of.faults[_BASELINE], fault=True)
        for task, of in measured.items()
        if _BASELINE in of.faults
    }
