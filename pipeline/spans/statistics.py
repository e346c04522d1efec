"""Statistics of several data sets from the statistics of each, without reading a row again.

TensorFlow Data Validation merges what its generators hold while they count, and writes only what they come to.
Of that, everything that is a sum, a least or a greatest is merged exactly: examples, presence, lengths, means,
standard deviations, zeros, minima, maxima and the counts of texts (as far as each data set lists its texts, the
1,000 most frequent). Quantiles, medians and histograms of numbers are those of the mixture of the data sets'
own histograms, within their buckets; `unique` is a lower bound where a list of texts was cut off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from tensorflow_metadata.proto.v0 import path_pb2, statistics_pb2

Feature = statistics_pb2.FeatureNameStatistics
Histogram = statistics_pb2.Histogram


def merge(
    datasets: Sequence[statistics_pb2.DatasetFeatureStatistics],
) -> statistics_pb2.DatasetFeatureStatistics:
    """The statistics of all rows of some data sets.

    Args:
      datasets: one or more, of the same columns; a column without a value anywhere may be absent from some.

    Raises:
      ValueError: a column has other types in others.
    """
    found = statistics_pb2.DatasetFeatureStatistics(num_examples=sum(d.num_examples for d in datasets))
    names: dict[tuple[str, ...], list[tuple[Feature | None, int]]] = {}
    for place, dataset in enumerate(datasets):
        for feature in dataset.features:
            of = names.setdefault(tuple(_path(feature).step), [(None, d.num_examples) for d in datasets])
            of[place] = (feature, dataset.num_examples)
    for name, of in names.items():
        found.features.append(_feature(name, of))
    return found


def _path(feature: Feature) -> path_pb2.Path:
    return feature.path if feature.HasField("path") else path_pb2.Path(step=[feature.name])


def _feature(name: tuple[str, ...], of: list[tuple[Feature | None, int]]) -> Feature:
    there = [feature for feature, _ in of if feature is not None]
    kinds = {(f.type, f.WhichOneof("stats")) for f in there}
    if len(kinds) != 1:
        raise ValueError(f"{'.'.join(name)} has statistics of different types: {sorted(kinds)}")
    [(kind, stats)] = kinds
    merged = Feature(path=path_pb2.Path(step=name), type=kind)
    common = _common([getattr(f, stats).common_stats if f is not None else rows for f, rows in of])
    getattr(merged, stats).common_stats.CopyFrom(common)
    own = [getattr(f, stats) for f in there]
    if stats == "num_stats":
        _numbers(merged.num_stats, own)
    elif stats == "string_stats":
        _texts(merged.string_stats, own)
    return merged


def _common(of: list[statistics_pb2.CommonStatistics | int]) -> statistics_pb2.CommonStatistics:
    """Of a column that a data set has no value of, the number of its rows stands."""
    there = [c for c in of if not isinstance(c, int)]
    found = statistics_pb2.CommonStatistics(
        num_non_missing=sum(c.num_non_missing for c in there),
        num_missing=sum(c if isinstance(c, int) else c.num_missing for c in of),
        tot_num_values=sum(c.tot_num_values for c in there),
        min_num_values=min((c.min_num_values for c in there if c.num_non_missing), default=0),
        max_num_values=max((c.max_num_values for c in there), default=0),
    )
    if found.num_non_missing:
        found.avg_num_values = found.tot_num_values / found.num_non_missing
    _histogram([c.num_values_histogram for c in there], found.num_values_histogram)
    for one in there[0].presence_and_valency_stats if len(there) else ():  # nested columns, of which none are
        found.presence_and_valency_stats.append(
            type(one)(
                num_non_missing=found.num_non_missing,
                num_missing=found.num_missing,
                min_num_values=found.min_num_values,
                max_num_values=found.max_num_values,
                tot_num_values=found.tot_num_values,
            )
        )
    return found


def _numbers(found: statistics_pb2.NumericStatistics, of: list[statistics_pb2.NumericStatistics]) -> None:
    values = [_finite(n) for n in of]
    total = sum(values)
    found.num_zeros = sum(n.num_zeros for n in of)
    having = [(n, v) for n, v in zip(of, values, strict=True) if v]
    if having:
        found.mean = sum(n.mean * v for n, v in having) / total
        squares = sum((n.std_dev**2 + (n.mean - found.mean) ** 2) * v for n, v in having)
        found.std_dev = float(np.sqrt(squares / total))
        found.min, found.max = min(n.min for n, _ in having), max(n.max for n, _ in having)
    for place, histogram in enumerate(of[0].histograms):
        alike = [n.histograms[place] for n in of if len(n.histograms) > place]
        if all(h.type == histogram.type for h in alike):
            _histogram(alike, found.histograms.add())
    quantiles = [h for h in found.histograms if h.type == Histogram.QUANTILES]
    if quantiles and quantiles[0].buckets:
        found.median = float(_at([quantiles[0]], [0.5])[0])


def _finite(numbers: statistics_pb2.NumericStatistics) -> int:
    missing = max((h.num_nan for h in numbers.histograms), default=0)
    return numbers.common_stats.tot_num_values - missing


def _histogram(of: Iterable[Histogram], found: Histogram) -> None:
    """The mixture of histograms, as one of the same kind with as many buckets."""
    of = list(of)
    whole = [h for h in of if h.buckets]
    if not of:
        return
    found.type, found.name = of[0].type, of[0].name
    found.num_nan = sum(h.num_nan for h in of)
    if not whole:
        return
    number = max(len(h.buckets) for h in whole)
    low = min(h.buckets[0].low_value for h in whole)
    high = max(h.buckets[-1].high_value for h in whole)
    total = sum(b.sample_count for h in whole for b in h.buckets)
    if found.type == Histogram.QUANTILES:
        edges = _at(whole, np.linspace(0, 1, number + 1))
        edges[0], edges[-1] = low, high
        counts = np.full(number, total / number)
    else:
        edges = np.linspace(low, high, number + 1)
        below = sum(_below(h, edges) for h in whole)
        below[0], below[-1] = 0, total  # what lies on the lowest edge is in the first bucket
        counts = np.diff(below)
    for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
        found.buckets.add(low_value=left, high_value=right, sample_count=count)


def _below(histogram: Histogram, at: np.ndarray) -> np.ndarray:
    """How many of a histogram's values are up to each of `at`; within a bucket they lie evenly."""
    found = np.zeros(len(at))
    for bucket in histogram.buckets:
        width = bucket.high_value - bucket.low_value
        # a bucket without width is one value
        share = (at - bucket.low_value) / width if width > 0 else (at >= bucket.high_value).astype(float)
        found += bucket.sample_count * np.clip(share, 0, 1)
    return found


def _at(of: Sequence[Histogram], shares: Iterable[float]) -> np.ndarray:
    """The values below which these shares of all values are."""
    points = np.unique([v for h in of for b in h.buckets for v in (b.low_value, b.high_value)])
    below = sum(_below(h, points) for h in of)
    return np.interp(np.asarray(list(shares)) * below[-1], below, points)


def _texts(found: statistics_pb2.StringStatistics, of: list[statistics_pb2.StringStatistics]) -> None:
    counts: Counter[str] = Counter()
    for strings in of:
        for bucket in strings.rank_histogram.buckets:
            counts[bucket.label] += bucket.sample_count
    most = max((len(s.rank_histogram.buckets) for s in of), default=0)
    cut = any(len(s.rank_histogram.buckets) < s.unique for s in of)
    found.unique = max([len(counts), *(s.unique for s in of)])
    found.invalid_utf8_count = sum(s.invalid_utf8_count for s in of)
    values = sum(s.common_stats.tot_num_values for s in of)
    if values:
        found.avg_length = sum(s.avg_length * s.common_stats.tot_num_values for s in of) / values
    ordered = sorted(counts.items(), key=lambda of: (-of[1], of[0]))
    for rank, (label, count) in enumerate(ordered[: most if cut else max(most, 1000)]):
        found.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=label, sample_count=count)
    for label, count in ordered[: max((len(s.top_values) for s in of), default=0)]:
        found.top_values.add(value=label, frequency=count)
