"""From a scores file to the metrics table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np

from pipeline.evaluation.auc import RankedScores
from pipeline.evaluation.bootstrap import (
    AucStatistic,
    GaucStatistic,
    Statistic,
    bootstrap,
    percentile_interval,
)
from pipeline.evaluation.class_metrics import METRICS_OF, class_rows
from pipeline.evaluation.gauc import grouped_auc
from pipeline.evaluation.scores import Scores, TaskScores, read_scores, rows_by_value
from pipeline.evaluation.table import OVERALL, MetricRow, MetricsTable
from pipeline.evaluation.tfma_analysis import (
    BASELINE,
    CANDIDATE,
    METRICS_BY_KIND,
    read_analysis,
    write_analysis,
)
from pipeline.evaluation.tfma_metrics import ADDITIVE_METRICS, row_sums


def _slices(scores: Scores, task: TaskScores) -> Iterator[tuple[str, np.ndarray]]:
    """Name and positions (among the task's rows) of every slice that has any."""
    yield OVERALL, np.arange(len(task.rows))
    for feature, (values, codes) in scores.slices.items():
        for value, at in rows_by_value(values, codes[task.rows]):
            yield f"{feature}={value}", at


def _not_finite(what: str, values: np.ndarray) -> str | None:
    bad = np.count_nonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1)) if len(values) else 0
    return f"{bad:,} of {len(values):,} {what} are not finite numbers" if bad else None


def _faults(task: TaskScores) -> str | None:
    """Why no metric of the model can be computed, or None."""
    return _not_finite("labels", task.labels) or _not_finite("predictions", task.predictions)


class _RankMetrics:
    """AUC and GAUC of one score in one slice: value, statistic to resample, and the groups used."""

    def __init__(self, scores: Scores, task: TaskScores, score: np.ndarray, at: np.ndarray, users: bool):
        labels, weights, rows = task.labels[at], task.weights[at], task.rows[at]
        self.values: dict[str, float] = {}
        self.statistics: dict[str, Statistic] = {}
        ranked = RankedScores(labels, score[at], weights)
        self.values["auc"] = ranked.auc()
        self.statistics["auc"] = AucStatistic(ranked, scores.units.codes[rows])
        if users:
            grouped = grouped_auc(labels, score[at], scores.units.groups[rows], weights)
            self.values["gauc"] = grouped.gauc()
            self.statistics["gauc"] = GaucStatistic(grouped)
            self.values["gauc_users"] = float(len(grouped.groups))
            self.values["gauc_coverage"] = grouped.coverage


class _Intervals:
    """Collects statistics of all tasks and slices, resamples them together, and answers."""

    def __init__(self) -> None:
        self._statistics: list[Statistic] = []

    def add(self, statistic: Statistic) -> int:
        self._statistics.append(statistic)
        return len(self._statistics) - 1

    def run(self, hashes: np.ndarray, replicates: int, seed: int) -> None:
        self._values = bootstrap(self._statistics, hashes, replicates, seed)

    def of(self, index: int, minus: int | None = None) -> tuple[float | None, float | None]:
        values = self._values[:, index] - (0.0 if minus is None else self._values[:, minus])
        interval = percentile_interval(values)
        return (interval.low, interval.high) if interval else (None, None)


_UNDEFINED = {
    "auc": "it needs examples of both classes",
    "gauc": "no user has examples of both classes",
    "calibration": "the labels add up to 0",
}


def _rank_rows(
    name: str, task: TaskScores, scores: Scores, users: bool, intervals: _Intervals
) -> list[Callable[[], Iterator[MetricRow]]]:
    """Rows of the rank metrics of a binary task, each made once the replicates are there."""
    makers = []
    for slice_name, at in _slices(scores, task):
        ours = _RankMetrics(scores, task, task.predictions, at, users)
        theirs = None
        if task.baseline is not None and np.isfinite(task.baseline).all():
            theirs = _RankMetrics(scores, task, task.baseline, at, users)
        own = {metric: intervals.add(s) for metric, s in ours.statistics.items()}
        other = {metric: intervals.add(s) for metric, s in theirs.statistics.items()} if theirs else {}

        def rows(slice_name=slice_name, n=len(at), ours=ours, theirs=theirs, own=own, other=other):
            for metric, value in ours.values.items():
                low, high = intervals.of(own[metric]) if metric in own else (None, None)
                diff = intervals.of(own[metric], other[metric]) if metric in other else (None, None)
                yield MetricRow(
                    name,
                    slice_name,
                    metric,
                    value,
                    theirs.values[metric] if theirs else None,
                    low,
                    high,
                    *diff,
                    examples=n,
                    note=_UNDEFINED.get(metric) if np.isnan(value) else None,
                )

        makers.append(rows)
    return makers


def _reference_rows(
    name: str, kind: str, task: TaskScores, scores: Scores, users: bool
) -> Iterator[MetricRow]:
    everything, n = np.arange(len(task.rows)), len(task.rows)
    for reference, score in task.references.items():
        if not np.isfinite(score).all():
            metric, note = ("auc" if kind == "binary" else "mae"), _not_finite("scores", score)
            yield MetricRow(name, OVERALL, metric, None, examples=n, reference=reference, note=note)
        elif kind == "binary":
            values = _RankMetrics(scores, task, score, everything, users).values
            for metric in ("auc", "gauc") if users else ("auc",):
                yield MetricRow(name, OVERALL, metric, values[metric], examples=n, reference=reference)
        else:
            sums = row_sums(task.labels, score, task.weights)
            for metric in ("mae", "rmse"):
                value = ADDITIVE_METRICS[metric](sums)
                yield MetricRow(name, OVERALL, metric, value, examples=n, reference=reference)
    if kind == "regression" and n:
        # The constant of least absolute error is the median: no model should be worse.
        order = np.argsort(task.labels)
        half = np.searchsorted(np.cumsum(task.weights[order]), task.weights.sum() / 2)
        constant = np.full(n, task.labels[order[half]])
        value = ADDITIVE_METRICS["mae"](row_sums(task.labels, constant, task.weights))
        yield MetricRow(name, OVERALL, "mae", value, examples=n, reference="constant")


def _additive_rows(
    name: str,
    kind: str,
    task: TaskScores,
    scores: Scores,
    analysis: Mapping[tuple[str, str, str, str], float],
) -> Iterator[MetricRow]:
    for slice_name, at in _slices(scores, task):
        for metric in METRICS_BY_KIND[kind]:
            # TFMA leaves a value that is not finite out of its JSON form.
            value = analysis.get((CANDIDATE, name, slice_name, metric))
            baseline = analysis.get((BASELINE, name, slice_name, metric))
            undefined = value is None or not np.isfinite(value)
            yield MetricRow(
                name,
                slice_name,
                metric,
                value,
                baseline,
                examples=len(at),
                note=_UNDEFINED.get(metric) if undefined else None,
            )


def _faulty_rows(name: str, kind: str, task: TaskScores, users: bool, fault: str) -> Iterator[MetricRow]:
    rank = (("auc", "gauc") if users else ("auc",)) if kind == "binary" else ()
    additive = METRICS_BY_KIND[kind] if kind in METRICS_BY_KIND else ("examples", *METRICS_OF[kind])
    for metric in (*rank, *additive):
        value = float(len(task.rows)) if metric == "examples" else None
        note = None if metric == "examples" else fault
        yield MetricRow(name, OVERALL, metric, value, examples=len(task.rows), note=note)


def evaluate_scores(
    paths: str | Path | Sequence[str | Path],
    tasks: Sequence[tuple[str, str]],
    slices: Sequence[str],
    output: str | Path,
    *,
    max_slice_values: int,
    replicates: int,
    seed: int = 0,
    user_role: bool = True,
    use_weight: bool = False,
    pipeline_args: Sequence[str] = ("--runner=DirectRunner", "--direct_running_mode=in_memory"),
) -> MetricsTable:
    """Evaluates every task, overall and by slice, beside the serving model where it was scored.

    Binary tasks get auc, gauc (with a user role; and how many users and which share of the
    impressions it rests on), logloss and calibration; regression tasks mae, rmse and
    calibration; all of those examples, mean label and mean prediction. Multiclass tasks get accuracy,
    macro_f1 and logloss, ordinal ones also quadratic_kappa and mae. auc and gauc carry
    intervals by a bootstrap of users (of rows without a user role). A metric that cannot be
    computed has value None and a note that says why.

    Args:
      paths: a Parquet file of scores, a folder of them or a list of either (see `scores`).
      tasks: (name, kind).
      slices: features that have a `slice/<feature>` column.
      output: folder for TFMA's result files.
      max_slice_values: of a feature, its so many most frequent values are slices.
      replicates: of the bootstrap; 0 leaves intervals out.
      seed: of the bootstrap.
      user_role: whether there is a `role/user` column.
      use_weight: weigh rows by `<task>/weight`; otherwise each known label counts 1.
      pipeline_args: of the Beam pipeline that TFMA runs in.

    Raises:
      FileNotFoundError: without scores.
      KeyError: for a column that is missing.
      ValueError: for a kind without metrics.
    """
    kinds = dict(tasks)
    scores = read_scores(paths, list(kinds), slices, max_slice_values, user_role, use_weight)
    faults = {name: _faults(task) for name, task in scores.tasks.items()}
    sound = {name: kind for name, kind in kinds.items() if not faults[name] and kind not in METRICS_OF}

    intervals = _Intervals()
    rank_rows = {
        name: _rank_rows(name, scores.tasks[name], scores, user_role, intervals)
        for name, kind in sound.items()
        if kind == "binary"
    }
    intervals.run(scores.units.hashes, replicates, seed)

    analysis = {}
    if sound:
        with beam.Pipeline(argv=list(pipeline_args)) as pipeline:
            write_analysis(
                pipeline,
                paths,
                str(output),
                sound,
                slices={feature: values for feature, (values, _) in scores.slices.items()},
                baseline_tasks=[name for name in sound if scores.tasks[name].baseline is not None],
                use_weight=use_weight,
            )
        analysis = read_analysis(str(output))

    rows: list[MetricRow] = []
    for name, kind in kinds.items():
        task = scores.tasks[name]
        if faults[name]:
            rows += _faulty_rows(name, kind, task, user_role, faults[name])
            continue
        if kind in METRICS_OF:
            rows += class_rows(name, kind, task, dict(_slices(scores, task)))
            continue
        for make in rank_rows.get(name, ()):
            rows += make()
        rows += _additive_rows(name, kind, task, scores, analysis)
        rows += _reference_rows(name, kind, task, scores, user_role)
    return MetricsTable(rows)
