import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from pipeline.evaluation.evaluate import evaluate_scores
from pipeline.evaluation.gates import Gate, judge_all


def evaluated(*args, roles=("user",), k=10, quantile=0.5, **settings):
    return evaluate_scores(*args, roles=roles, k=k, quantile=quantile, **settings).table


def classes(probabilities):
    return pa.FixedSizeListArray.from_arrays(pa.array(probabilities.reshape(-1)), probabilities.shape[1])


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Scores of an ordinal and a multiclass task, which the serving model lacks, and their table."""
    rng, rows = np.random.default_rng(0), 600
    stars, action = rng.integers(0, 4, rows), rng.integers(0, 3, rows)
    mask = rng.random(rows) < 0.7
    p = {
        "stars/prediction": rng.dirichlet(np.ones(4), rows) * 0.5 + np.eye(4)[stars] * 0.5,
        "stars/baseline": rng.dirichlet(np.ones(4), rows),
        "action/prediction": rng.dirichlet(np.ones(3), rows),
    }
    columns = {
        "role/user": rng.integers(0, 50, rows),
        "slice/tab": rng.choice(["a", "b"], rows),
        "stars/label": np.where(mask, stars, 0.0),
        "stars/mask": mask.astype(float),
        "action/label": action.astype(float),
        "action/mask": np.ones(rows),
    }
    folder = tmp_path_factory.mktemp("scores")
    pq.write_table(pa.table(columns | {n: classes(v) for n, v in p.items()}), folder / "scores.parquet")
    table = evaluated(
        folder / "scores.parquet",
        [("stars", "ordinal"), ("action", "multiclass")],
        ["tab"],
        folder / "tfma",
        max_slice_values=5,
        replicates=5,
    )
    return columns, p, table


def test_equal_sklearns_by_slice_and_beside_the_serving_model(scored):
    columns, p, table = scored
    at = (columns["stars/mask"] > 0) & (columns["slice/tab"] == "b")
    label, found = columns["stars/label"][at], p["stars/prediction"][at]
    row = table.get("stars", "quadratic_kappa", "tab=b")
    assert row.examples == at.sum()
    assert row.value == pytest.approx(
        cohen_kappa_score(label, found.argmax(1), weights="quadratic"), abs=1e-9
    )
    other = cohen_kappa_score(label, p["stars/baseline"][at].argmax(1), weights="quadratic")
    assert row.baseline == pytest.approx(other, abs=1e-9)
    mae = np.abs(found @ np.arange(4) - label).mean()
    assert table.get("stars", "mae", "tab=b").value == pytest.approx(mae)
    chosen = p["action/prediction"].argmax(axis=1)
    for metric, value in (
        ("accuracy", accuracy_score(columns["action/label"], chosen)),
        ("macro_f1", f1_score(columns["action/label"], chosen, average="macro")),
    ):
        row = table.get("action", metric)
        assert row.value == pytest.approx(value, abs=1e-9) and row.baseline is None
    assert table.get("action", "mae") is None and table.get("stars", "examples").value == (
        columns["stars/mask"].sum()
    )


def test_gates_name_them(scored):
    table = scored[2]
    kappa, accuracy = (
        Gate("stars", "quadratic_kappa", max_drop=0.1),
        Gate("action", "accuracy", lower=0.9),
    )
    good, bad = judge_all([kappa, accuracy], table)
    assert good.status == "passed" and "is above the serving model's" in good.sentence
    assert bad.status == "failed" and "is below the bound 0.900" in bad.sentence


def test_predictions_that_are_no_numbers_are_told(tmp_path):
    p = np.full((3, 2), 0.5)
    p[1, 0] = np.nan
    columns = {"a/label": np.zeros(3), "a/mask": np.ones(3), "a/prediction": classes(p)}
    pq.write_table(pa.table(columns), tmp_path / "scores.parquet")
    table = evaluated(
        tmp_path / "scores.parquet", [("a", "multiclass")], [], tmp_path / "tfma",
        max_slice_values=5, replicates=0, roles=(),
    )  # fmt: skip
    row = table.get("a", "accuracy")
    assert row.value is None and row.note == "1 of 3 predictions are not finite numbers"


def test_labels_and_predictions_of_another_kind_are_told(tmp_path):
    rng, rows = np.random.default_rng(0), 60
    three = pa.FixedSizeListArray.from_arrays(pa.array(rng.dirichlet(np.ones(3), rows).ravel()), 3)
    one, label = pa.array(rng.random(rows)), rng.integers(0, 3, rows) * 1.0
    columns, kinds = {}, []
    for task, kind, labels, prediction in (
        ("above", "ordinal", label + 1, three),
        ("below", "multiclass", label - 1, three),
        ("between", "multiclass", label / 2, three),
        ("narrow", "multiclass", label, one),
        ("wide", "binary", (label > 1) * 1.0, three),
        ("right", "multiclass", label, three),
    ):
        columns |= {f"{task}/label": labels, f"{task}/mask": np.ones(rows), f"{task}/prediction": prediction}
        kinds.append((task, kind))
    pq.write_table(pa.table(columns), tmp_path / "scores.parquet")
    table = evaluated(
        tmp_path / "scores.parquet", kinds, [], tmp_path / "tfma", max_slice_values=5, replicates=0, roles=()
    )
    assert {task: table.get(task, "logloss").note for task, _ in kinds} == {
        "above": "labels are from 1 to 3, and the model's classes are 0 to 2",
        "below": "labels are from -1 to 1, and the model's classes are 0 to 2",
        "between": "labels are from 0 to 1, and the model's classes are 0 to 2",
        "narrow": "predictions are one number a row, and of a multiclass task one a class",
        "wide": "predictions are 3 numbers a row, and of a binary task one number",
        "right": None,
    }
