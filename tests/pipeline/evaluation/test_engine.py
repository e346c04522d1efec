"""Scores measured in parts, against the same metrics of whole columns."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from mtl_models.training.metrics import gauc
from pipeline.evaluation import partitions
from pipeline.evaluation.engine import Bootstrap, measure
from pipeline.evaluation.records import ScoreFiles, key_hashes
from pipeline.evaluation.replicates import poisson_counts

ROLES = ("user", "item", "request", "position")
KINDS = {"click": "binary", "watch": "regression", "stars": "ordinal"}
SLICES = ["tab", "age", "tab & age"]


def columns(n=6000, users=150, seed=0):
    rng = np.random.default_rng(seed)
    user, appeal = rng.integers(0, users, n), rng.normal(size=n)
    p = 1 / (1 + np.exp(-appeal))
    stars = rng.dirichlet(np.ones(4), n)
    known = rng.random(n) < 0.7
    return {
        "role/user": np.char.add("u", user.astype(str)),
        "role/item": rng.integers(0, 40, n),
        "role/request": user * 1000 + rng.integers(0, 8, n),
        "role/position": rng.integers(1, 4, n),
        "slice/tab": rng.integers(0, 3, n),
        "slice/age": rng.choice(["young", "old"], n),
        "click/label": (rng.random(n) < p) * 1.0,
        "click/mask": np.ones(n),
        "click/weight": rng.choice([1.0, 3.0], n),
        "click/prediction": p,
        "click/baseline": np.round(p, 1),
        "click/reference/chance": p,
        "watch/label": np.where(known, np.where(rng.random(n) < 0.4, 0, np.exp(appeal)), np.nan),
        "watch/mask": known * 1.0,
        "watch/weight": known * 2.0,
        "watch/prediction": np.where(known, appeal + rng.normal(size=n), np.nan),
        "watch/baseline": np.full(n, 0.4),
        "stars/label": rng.integers(0, 4, n) * 1.0,
        "stars/mask": np.ones(n),
        "stars/weight": np.ones(n),
        "stars/prediction": pa.FixedSizeListArray.from_arrays(pa.array(stars.ravel()), 4),
    }


def write(folder, table, shards=1):
    folder.mkdir()
    for i, rows in enumerate(np.array_split(np.arange(table.num_rows), shards)):
        pq.write_table(table.take(rows), folder / f"{i}.parquet")
    return ScoreFiles(folder)


def run(files, kinds=KINDS, roles=ROLES, slices=SLICES, replicates=20, **settings):
    defaults = {"max_slice_values": 9, "bootstrap": Bootstrap(replicates), "k": 5, "quantile": 0.9}
    return measure(files, kinds, roles, slices, **defaults | settings)


def same(one, other):
    assert one[0].names == other[0].names
    for task, measured in one[1].items():
        assert (measured.examples == other[1][task].examples).all()
        for score, metrics in measured.metrics.items():
            assert (metrics["examples"] == other[1][task].metrics[score]["examples"]).all()
            for name, values in metrics.items():
                theirs = other[1][task].metrics[score][name]
                assert np.allclose(values, theirs, rtol=0, atol=1e-9, equal_nan=True), (task, score, name)


def test_any_order_files_and_parts_give_the_same(tmp_path, monkeypatch):
    table = pa.table(columns())
    whole = run(write(tmp_path / "whole", table))
    monkeypatch.setattr(partitions, "ROWS_A_PART", 700)
    monkeypatch.setattr("pipeline.evaluation.records._ROWS_A_BATCH", 900)
    mixed = table.take(np.random.default_rng(1).permutation(table.num_rows))
    same(whole, run(write(tmp_path / "mixed", mixed, shards=5)))


def test_replicates_are_the_metrics_of_reweighted_rows(tmp_path):
    found = columns()
    slices, measured = run(write(tmp_path / "scores", pa.table(found)), use_weight=True)
    units = key_hashes(pa.array(found["role/user"]))
    counts = poisson_counts(units, 20)[:, 4]
    in_slice = found["slice/tab"] == 1
    weights = found["click/weight"] * counts * in_slice
    labels, predictions = found["click/label"], found["click/prediction"]
    click, serving = (measured["click"].metrics[score] for score in ("prediction", "baseline"))
    at = slices.names.index("tab=1")

    def within(role, scores=predictions):
        keys = units if role == "user" else found[f"role/{role}"]
        return gauc(labels, scores, np.unique(keys, return_inverse=True)[1], weights)

    expected = {
        "auc": roc_auc_score(labels, predictions, sample_weight=weights),
        "pr_auc": average_precision_score(labels, predictions, sample_weight=weights),
        "gauc": within("user"),
        **{f"gauc_{role}": within(role) for role in ROLES[1:]},
        "mean_label": np.average(labels, weights=weights),
        "calibration": (weights @ predictions) / (weights @ labels),
    }
    assert {name: click[name][at, 5] for name in expected} == pytest.approx(expected, abs=1e-9)
    alone = measured["click"].metrics["reference/chance"]
    assert alone["auc"] == pytest.approx(click["auc"][:1, :1]) and alone["auc"].shape == (1, 1)
    assert {"ndcg_at_k", "mrr", "recall_at_k"} <= set(click)
    for role in ROLES[1:]:
        theirs = within(role, found["click/baseline"])
        assert serving[f"gauc_{role}"][at, 5] == pytest.approx(theirs, abs=1e-9)


def test_without_users_rows_are_resampled(tmp_path):
    found = columns(n=2000)
    _, measured = run(write(tmp_path / "s", pa.table(found)), roles=(), slices=[], replicates=200)
    mean = measured["click"].metrics["prediction"]["mean_label"][0]
    assert not {"gauc", "mrr"} & set(measured["click"].metrics["prediction"])
    assert mean[1:].std() == pytest.approx(np.sqrt(mean[0] * (1 - mean[0]) / 2000), rel=0.2)


def test_without_users_requests_are_resampled(tmp_path):
    found = columns(n=2000)
    found["role/request"] = np.arange(2000) // 10
    # All rows of a request alike: as many rows drawn apart would say that they are ten times as many.
    found["click/label"] = (found["role/request"] % 2) * 1.0
    _, measured = run(
        write(tmp_path / "s", pa.table(found)), roles=("request", "item"), slices=[], replicates=200
    )
    mean = measured["click"].metrics["prediction"]["mean_label"][0]
    assert mean[1:].std() == pytest.approx(0.5 / np.sqrt(200), rel=0.2)


def test_a_row_without_a_user_is_its_own_unit_and_in_no_group(tmp_path):
    found = columns(n=2000)
    user = pa.array(found["role/user"], mask=np.arange(2000) % 4 == 0)
    table = pa.table(found | {"role/user": user})
    _, measured = run(write(tmp_path / "s", table), slices=[])
    click = measured["click"].metrics["prediction"]
    assert click["gauc_coverage"][0, 0] == pytest.approx(0.75, abs=0.03)
    assert click["examples"][0, 0] == 2000


def test_no_rows_one_class_and_scores_that_are_no_numbers(tmp_path):
    table = pa.table(columns(n=300))
    empty = run(write(tmp_path / "empty", table.slice(0, 0)))[1]
    for task in KINDS:
        for name, values in empty[task].metrics["prediction"].items():
            assert (
                (values == 0).all() if "examples" in name or name == "gauc_users" else np.isnan(values).all()
            )
    masked = columns(n=300)
    masked["click/mask"] *= 0
    masked["watch/prediction"] = masked["watch/prediction"] * np.nan
    masked["watch/mask"] = np.ones(300)
    found = run(write(tmp_path / "masked", pa.table(masked)))[1]
    assert found["click"].examples.sum() == 0 and np.isnan(found["click"].metrics["prediction"]["auc"]).all()
    assert found["watch"].metrics == {} and "300 of 300 predictions" in found["watch"].faults["prediction"]
    one_class = columns(n=300)
    one_class["click/label"] *= 0
    one_class["click/baseline"][3] = np.inf
    found = run(write(tmp_path / "one", pa.table(one_class)))[1]["click"]
    assert set(found.metrics) == {"prediction", "reference/chance"} and "1 of 300" in found.faults["baseline"]
    for name in ("auc", "pr_auc", "gauc", "mrr", "calibration", "normalized_entropy"):
        assert np.isnan(found.metrics["prediction"][name]).all(), name


def test_what_is_missing_is_named(tmp_path):
    files = write(tmp_path / "s", pa.table(columns(n=10)))
    with pytest.raises(KeyError, match="no column slice/nope"):
        run(files, slices=["nope & tab"])
    with pytest.raises(KeyError, match="no column share/label, share/mask, share/prediction; they have"):
        run(files, kinds={"share": "binary"})
    with pytest.raises(FileNotFoundError, match="no Parquet file"):
        (tmp_path / "none").mkdir()
        ScoreFiles(tmp_path / "none")
