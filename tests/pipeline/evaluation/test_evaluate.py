"""Scores through TFMA and the rank metrics, against NumPy and scikit-learn on the same rows."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.evaluation.evaluate import evaluate_scores
from pipeline.evaluation.gates import Gate, judge

TASKS = [("click", "binary"), ("like", "binary"), ("watch_time", "regression")]


def evaluated(*args, roles=("user",), k=10, quantile=0.5, **settings):
    return evaluate_scores(*args, roles=roles, k=k, quantile=quantile, **settings).table


@pytest.fixture(scope="module")
def world(tmp_path_factory, write_scores):
    """The columns, the metrics table of their evaluation, and TFMA's folder."""
    folder = tmp_path_factory.mktemp("world")
    columns = write_scores(folder / "scores")
    table = evaluated(
        folder / "scores", TASKS, ["tab", "age"], folder / "tfma", max_slice_values=9, replicates=50
    )
    return columns, table, folder / "tfma"


def rows_of(columns, task, slice_name):
    kept = columns[f"{task}/mask"] > 0
    if slice_name != "overall":
        feature, value = slice_name.split("=")
        kept &= columns[f"slice/{feature}"].astype(str) == value
    return kept


SLICES = ["overall", "tab=0", "tab=1", "tab=2", "age=old", "age=young"]


@pytest.mark.parametrize("slice_name", SLICES)
@pytest.mark.parametrize(
    ("task", "column"), [("click", "prediction"), ("click", "baseline"), ("like", "prediction")]
)
def test_binary_metrics_equal_numpy(world, task, column, slice_name):
    columns, table, _ = world
    kept = rows_of(columns, task, slice_name)
    labels, scores = columns[f"{task}/label"][kept], columns[f"{task}/{column}"][kept]
    which = "value" if column == "prediction" else "baseline"
    expected = {
        "auc": roc_auc_score(labels, scores),
        "logloss": log_loss(labels, scores),
        "calibration": scores.mean() / labels.mean(),
        "mean_label": labels.mean(),
        "mean_prediction": scores.mean(),
        "examples": kept.sum(),
        "weighted_examples": kept.sum(),
    }
    for metric, value in expected.items():
        row = table.get(task, metric, slice_name)
        assert getattr(row, which) == pytest.approx(value, abs=1e-9), metric
        assert row.examples == kept.sum()


@pytest.mark.parametrize("slice_name", SLICES)
@pytest.mark.parametrize(("column", "which"), [("prediction", "value"), ("baseline", "baseline")])
def test_regression_metrics_equal_numpy(world, column, which, slice_name):
    columns, table, _ = world
    kept = rows_of(columns, "watch_time", slice_name)
    labels, scores = columns["watch_time/label"][kept], columns[f"watch_time/{column}"][kept]
    expected = {
        "mae": np.abs(labels - scores).mean(),
        "rmse": np.sqrt(((labels - scores) ** 2).mean()),
        "calibration": scores.mean() / labels.mean(),
        "examples": kept.sum(),
    }
    for metric, value in expected.items():
        assert getattr(table.get("watch_time", metric, slice_name), which) == pytest.approx(value, rel=1e-9)


def test_intervals_hold_the_value_and_the_difference(world):
    _, table, _ = world
    for metric in ("auc", "gauc"):
        row = table.get("click", metric)
        assert row.low < row.value < row.high
        assert row.diff_low < row.value - row.baseline < row.diff_high
        assert row.diff_low > 0, "the baseline is noisier by construction"
        new_task = table.get("like", metric)
        assert new_task.baseline is None and new_task.diff_low is None and new_task.low is not None


def test_references(world):
    columns, table, _ = world
    ceiling = table.get("click", "auc", reference="propensity")
    assert ceiling.value == pytest.approx(
        roc_auc_score(columns["click/label"], columns["click/reference/propensity"]), abs=1e-12
    )
    labels = columns["watch_time/label"]
    constant = table.get("watch_time", "mae", reference="constant")
    assert constant.value == pytest.approx(np.abs(labels - np.median(labels)).mean(), rel=1e-9)


def test_tfma_reads_its_own_files(world):
    columns, _, folder = world
    result = tfma.load_eval_result(str(folder), model_name="baseline")
    overall = next(outputs for key, outputs in result.slicing_metrics if key == ())
    assert overall["click"][""]["mean_prediction"]["doubleValue"] == pytest.approx(
        columns["click/baseline"].mean()
    )
    candidate = tfma.load_eval_result(str(folder), model_name="candidate")
    keys = {key for key, _ in candidate.slicing_metrics}
    assert keys == {(), *((tuple(name.split("=")),) for name in SLICES[1:])}


def test_two_beam_workers_give_the_same(world, tmp_path, write_scores):
    """Two processes, each with some of the shards; metrics of ranks are not theirs, but part of the table."""
    write_scores(tmp_path / "scores")
    workers = ("--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    many = evaluated(
        tmp_path / "scores", TASKS, ["tab", "age"], tmp_path / "tfma",
        max_slice_values=9, replicates=50, options=PipelineOptions(workers),
    )  # fmt: skip
    assert len(many) == len(world[1])
    for ours, theirs in zip(world[1], many, strict=True):
        key = (ours.task, ours.slice, ours.metric, ours.reference)
        assert key == (theirs.task, theirs.slice, theirs.metric, theirs.reference)
        if "examples" in ours.metric or ours.metric == "gauc_users":
            assert (ours.value, ours.baseline) == (theirs.value, theirs.baseline), key
        for what in ("value", "baseline", "low", "high", "diff_low", "diff_high"):
            one, other = getattr(ours, what), getattr(theirs, what)
            assert one == other or abs(one - other) <= 1e-9, (key, what)


def test_weights_where_asked(tmp_path, write_scores):
    columns = write_scores(tmp_path / "scores")
    table = evaluated(
        tmp_path / "scores", TASKS[:1], [], tmp_path / "tfma",
        max_slice_values=9, replicates=0, use_weight=True,
    )  # fmt: skip
    labels, scores, weights = (columns[f"click/{part}"] for part in ("label", "prediction", "weight"))
    assert table.get("click", "auc").value == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12
    )
    assert table.get("click", "logloss").value == pytest.approx(
        log_loss(labels, scores, sample_weight=weights), abs=1e-9
    )
    assert table.get("click", "examples").value == 1200
    assert table.get("click", "weighted_examples").value == weights.sum()


def test_what_cannot_be_computed_says_why(tmp_path):
    n = 40
    columns = {f"{task}/mask": np.ones(n) for task in ("broken", "never", "masked")}
    columns["masked/mask"] = np.zeros(n)
    columns |= {f"{task}/label": np.zeros(n) for task in ("never", "masked")}
    columns |= {f"{task}/prediction": np.full(n, 0.5) for task in ("never", "masked")}
    columns["broken/label"] = np.arange(n) % 2.0
    columns["broken/prediction"] = np.where(np.arange(n) < 3, np.nan, 0.5)
    (tmp_path / "scores").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "scores" / "s.parquet")
    kinds = [(task, "binary") for task in ("broken", "never", "masked")]
    table = evaluated(
        tmp_path / "scores", kinds, [], tmp_path / "tfma", max_slice_values=9, replicates=10, roles=()
    )
    broken, never, masked = (table.get(task, "auc") for task, _ in kinds)
    assert broken.value is None and broken.note == "3 of 40 predictions are not finite numbers"
    assert table.get("broken", "logloss").note == broken.note
    assert never.value is None and never.note == "it needs examples of both classes"
    assert table.get("never", "calibration").note == "the labels add up to 0"
    assert table.get("never", "logloss").value == pytest.approx(np.log(2))
    assert masked.value is None and masked.examples == 0
    assert table.get("masked", "logloss").value is None


def test_of_predictions_that_are_no_probabilities_order_alone_is_measured(tmp_path, write_scores):
    columns = write_scores(tmp_path / "all")
    table = pq.read_table(tmp_path / "all")
    (tmp_path / "logits").mkdir()
    at = table.schema.get_field_index("click/prediction")
    p = table["click/prediction"].to_numpy()
    logits = table.set_column(at, "click/prediction", pa.array(np.log(p / (1 - p)) * 10))
    pq.write_table(logits, tmp_path / "logits" / "s.parquet")
    found = evaluate_scores(
        tmp_path / "logits", TASKS[:1], [], tmp_path / "tfma",
        roles=("user",), max_slice_values=9, replicates=20, k=10, quantile=0.5,
    )  # fmt: skip
    auc, ece = (found.table.get("click", metric) for metric in ("auc", "ece"))
    assert auc.value == pytest.approx(roc_auc_score(columns["click/label"], columns["click/prediction"]))
    assert (ece.value, ece.low, ece.diff_low) == (None, None, None) and 0 < ece.baseline < 1
    assert ece.note.startswith("predictions are from -") and ece.note.endswith("probabilities from 0 to 1")
    assert set(found.reliability["score"].to_pylist()) == {"baseline"}


def test_no_rows_at_all(tmp_path, write_scores):
    write_scores(tmp_path / "all")
    empty = pq.read_table(tmp_path / "all").slice(0, 0)
    (tmp_path / "none").mkdir()
    pq.write_table(empty, tmp_path / "none" / "s.parquet")
    table = evaluated(tmp_path / "none", TASKS, ["tab"], tmp_path / "tfma", max_slice_values=9, replicates=5)
    for task, kind in TASKS:
        row = table.get(task, "auc" if kind == "binary" else "mae")
        assert row.value is None and row.examples == 0


def test_unknown_kind_is_refused(tmp_path, write_scores):
    write_scores(tmp_path / "scores")
    with pytest.raises(ValueError, match="survival"):
        evaluated(
            tmp_path / "scores", [("click", "survival")], [], tmp_path / "tfma",
            max_slice_values=9, replicates=0,
        )  # fmt: skip


def test_a_gate_on_a_rare_slice_is_judged(tmp_path, write_scores):
    write_scores(tmp_path / "scores", rows=300)
    table = evaluated(
        tmp_path / "scores", [("click", "binary")], ["tab", "age"], tmp_path / "tfma",
        max_slice_values=1, replicates=0, named_slices=["tab=0", "tab=1", "tab=2", "age=nobody"],
    )  # fmt: skip
    assert sorted(table.slices("click"))[1:] == ["overall", "tab=0", "tab=1", "tab=2"]
    said = [judge(Gate("click", "auc", slice=f"tab={i}", lower=1.0), table)[0].status for i in range(3)]
    assert said == ["failed"] * 3
    assert judge(Gate("click", "auc", slice="age=nobody", lower=1.0), table)[0].status == "skipped"
