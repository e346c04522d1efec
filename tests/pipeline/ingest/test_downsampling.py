"""Downsampling: rows and weights by the definition, in the right shares, every weighted sum unbiased."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.downsampling import Downsampler
from pipeline.ingest.hashing import mix, row_ids
from pipeline.ingest.splits import Splitter
from pipeline.recipe.parts import Downsampling, HashSplit, Roles

MASK = 2**64 - 1
TRAIN, VALIDATION, TEST = 0, 1, 2


def splitmix(z):
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def columns_of(**tasks):
    """Task → (labels, with NaN where unknown, and weights) to the columns of examples."""
    found = {}
    for name, (labels, weights) in tasks.items():
        labels = np.asarray(labels, float)
        mask = ~np.isnan(labels)
        found[f"{name}/label"] = pa.array(np.where(mask, labels, 0).astype(np.float32))
        found[f"{name}/mask"] = pa.array(mask.astype(np.float32))
        found[f"{name}/weight"] = pa.array((mask * np.asarray(weights)).astype(np.float32))
    return found


def downsample(columns, splits, ids, keep, correction):
    tasks = [name.removesuffix("/label") for name in columns if name.endswith("/label")]
    spec = Downsampling(task="click", keep=keep, correction=correction)
    return Downsampler(spec, tasks)(columns, np.asarray(splits, np.int8), np.asarray(ids, np.int64))


rows_of = st.lists(
    st.tuples(
        st.integers(0, 2**63 - 1),
        st.sampled_from([TRAIN, VALIDATION, TEST]),
        st.sampled_from([0.0, 1.0, float("nan")]),
        st.sampled_from([0.0, 1.0, 2.5]),
        st.sampled_from([3.0, -1.0, float("nan")]),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None)
@given(rows_of, st.sampled_from([0.5, 0.25, 0.1]), st.sampled_from(["weight", "logit"]))
def test_rows_and_weights_by_the_definition(rows, keep, correction):
    ids, splits, clicks, weights, spends = (list(v) for v in zip(*rows))
    columns = columns_of(click=(clicks, weights), spend=(spends, np.ones(len(rows))))
    before = dict(columns)
    kept = downsample(columns, splits, ids, keep, correction)

    negative = [s == TRAIN and c == 0 for s, c in zip(splits, clicks)]
    drawn = [(splitmix(i ^ 0x6E65676174697665) >> 11) / 2**53 for i in ids]
    assert kept.tolist() == [not n or d < keep for n, d in zip(negative, drawn)]
    for name, column in columns.items():
        times = 1 / keep if name == "spend/weight" or (name, correction) == ("click/weight", "weight") else 1
        want = [v * (times if n else 1) for v, n in zip(before[name].to_pylist(), negative)]
        np.testing.assert_array_equal(column.to_numpy(), np.array(want, np.float32))
        assert column.type == pa.float32()


@pytest.fixture(scope="module")
def log():
    """200,000 rows of training: ids, a rare click that depends on x, a spend of clicks, a view on half."""
    rng = np.random.default_rng(5)
    rows = 200_000
    x = rng.normal(size=rows)
    click = (rng.random(rows) < 1 / (1 + np.exp(3 - x))).astype(float)
    spend = np.where(click == 1, rng.lognormal(size=rows), np.nan)
    view = np.where(rng.random(rows) < 0.5, (rng.random(rows) < 0.3 + 0.3 * click).astype(float), np.nan)
    return row_ids("log.csv", np.arange(1, rows + 1)), x, click, spend, view


@pytest.mark.parametrize("keep", [0.5, 0.1, 0.01])
def test_share_kept_within_binomial_bounds(log, keep):
    ids, _, click, *_ = log
    kept = downsample(columns_of(click=(click, 1.0)), np.zeros(len(ids)), ids, keep, "weight")
    assert kept[click == 1].all()
    negatives = int((click == 0).sum())
    assert abs(kept[click == 0].mean() - keep) < 4 * np.sqrt(keep * (1 - keep) / negatives)


@pytest.mark.parametrize("correction", ["weight", "logit"])
def test_weighted_sums_are_those_of_the_full_log(log, correction):
    """Horvitz-Thompson: Σ w y over kept rows estimates Σ y, with variance (1/keep − 1) Σ y² of negatives."""
    ids, x, click, spend, view = log
    keep, ones = 0.1, np.ones(len(ids))
    columns = columns_of(click=(click, ones), spend=(spend, ones), view=(view, ones))
    kept = downsample(columns, np.zeros(len(ids)), ids, keep, correction)
    for task, labels in (("click", click), ("spend", spend), ("view", view)):
        weights = columns[f"{task}/weight"].to_numpy()[kept].astype(float)
        mask = ~np.isnan(labels)
        y = np.where(mask, labels, 0.0)
        for values in (mask.astype(float), y, mask * x, y * x):
            deviation = np.sqrt((1 / keep - 1) * (values[click == 0] ** 2).sum())
            estimate = (weights * values[kept]).sum()
            if task == "click" and correction == "logit":
                estimate += ((1 / keep - 1) * values[kept & (click == 0)]).sum()
            assert abs(estimate - values.sum()) <= 4 * deviation + 1e-6 * np.abs(values).sum()
    mean = np.average(click[kept], weights=columns["click/weight"].to_numpy()[kept])
    if correction == "weight":
        assert mean == pytest.approx(click.mean(), rel=0.03)
    else:  # as sampled: the odds are 1/keep times those of the full log
        odds = click.mean() / (1 - click.mean())
        assert mean / (1 - mean) == pytest.approx(odds / keep, rel=0.03)


def test_independent_of_split_partition_and_order(log):
    ids = log[0]
    kept = downsample(
        columns_of(click=(np.zeros(len(ids)), 1.0)), np.zeros(len(ids)), ids, keep := 0.3, "weight"
    )
    splitter = Splitter(HashSplit(by="hash", of="row", validation=0.2, test=0.2), Roles(), {})
    groups = {
        "split": splitter(None, "log.csv", ids),
        "partition": mix(ids.view(np.uint64)) % np.uint64(8),
        "order": ids // (2**63 // 8),
    }
    for name, group in groups.items():
        for value in np.unique(group):
            rows = group == value
            share = kept[rows].mean()
            assert abs(share - keep) < 4 * np.sqrt(keep * (1 - keep) / rows.sum()), (name, value)


def test_a_row_is_kept_or_not_whatever_its_neighbours(log):
    ids, _, click, *_ = log
    whole = downsample(columns_of(click=(click, 1.0)), np.zeros(len(ids)), ids, 0.2, "weight")
    some = np.random.default_rng(0).permutation(len(ids))[:1000]
    part = downsample(columns_of(click=(click[some], 1.0)), np.zeros(1000), ids[some], 0.2, "weight")
    np.testing.assert_array_equal(part, whole[some])
    smaller = downsample(columns_of(click=(click, 1.0)), np.zeros(len(ids)), ids, 0.1, "weight")
    assert whole[smaller].all()  # what is kept at 0.1 is kept at 0.2
