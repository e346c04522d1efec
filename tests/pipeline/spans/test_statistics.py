"""Merged statistics beside those that TensorFlow Data Validation makes of all rows at once."""

import numpy as np
import pandas as pd
import pytest
import tensorflow_data_validation as tfdv

from pipeline.spans.statistics import merge

PARTS = (700, 200, 1100)


@pytest.fixture(scope="module")
def both():
    draw = np.random.default_rng(0)
    rows = sum(PARTS)
    frame = pd.DataFrame(
        {
            "price": np.exp(draw.normal(size=rows)),
            "age": np.where(draw.random(rows) < 0.3, np.nan, draw.integers(0, 80, rows).astype(float)),
            "count": draw.poisson(1.0, rows),
            "device": draw.choice(["phone", "tablet", "desktop"], rows, p=[0.6, 0.3, 0.1]),
            "seldom": [None] * PARTS[0] + ["x"] * (rows - PARTS[0]),
        }
    )
    ends = np.cumsum(PARTS)
    parts = [frame, *(frame.iloc[end - size : end] for size, end in zip(PARTS, ends, strict=True))]
    found = [tfdv.generate_statistics_from_dataframe(part, n_jobs=1).datasets[0] for part in parts]
    return found[0], merge(found[1:])


def by_name(dataset):
    return {feature.path.step[0]: feature for feature in dataset.features}


def test_sums_and_extremes_are_exact(both):
    whole, merged = map(by_name, both)
    assert both[0].num_examples == both[1].num_examples and set(whole) == set(merged)
    for name, feature in whole.items():
        stats = "string_stats" if feature.HasField("string_stats") else "num_stats"
        one, other = (getattr(of[name], stats) for of in (whole, merged))
        for field in ("num_non_missing", "num_missing", "min_num_values", "max_num_values", "tot_num_values"):
            assert getattr(one.common_stats, field) == getattr(other.common_stats, field), (name, field)
        fields = (
            ("mean", "std_dev", "num_zeros", "min", "max")
            if stats == "num_stats"
            else ("unique", "avg_length")
        )
        for field in fields:
            assert getattr(other, field) == pytest.approx(getattr(one, field), rel=1e-5), (name, field)
        if stats == "string_stats":
            ranks = [[(b.label, b.sample_count) for b in of.rank_histogram.buckets] for of in (one, other)]
            assert ranks[0] == ranks[1]
            tops = [[(v.value, v.frequency) for v in of.top_values] for of in (one, other)]
            assert tops[0] == tops[1]


def test_medians_and_histograms_are_those_of_the_mixture(both):
    whole, merged = map(by_name, both)
    for name in ("price", "age", "count"):
        one, other = whole[name].num_stats, merged[name].num_stats
        # whole numbers lie at the ends of their buckets, which the mixture cannot know
        assert abs(one.median - other.median) <= (1 if name == "count" else 0.1 * one.std_dev), name
        assert [h.type for h in one.histograms] == [h.type for h in other.histograms]
        for a, b in zip(one.histograms, other.histograms, strict=True):
            assert len(a.buckets) == len(b.buckets) and a.num_nan == b.num_nan
            counts = [np.array([bucket.sample_count for bucket in h.buckets]) for h in (a, b)]
            assert counts[0].sum() == pytest.approx(counts[1].sum(), rel=1e-6), name
            if name != "count":
                assert np.abs(np.cumsum(counts[0] - counts[1])).max() <= 0.05 * counts[0].sum(), name
