"""How far the statistics of one data set are from those of another, column by column."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipeline.spans.statistics import at_shares, below

Dataset = statistics_pb2.DatasetFeatureStatistics
Measure = Literal["values", "new_values", "missing", "label", "vectors", "length", "dead"]
_BINS = 10
_SIGMAS = 4  # of what two samples of one distribution may differ by


@dataclass(frozen=True)
class Distance:
    """One distance.

    Attributes:
      measure: which.
      name: of the column, or of the task.
      value: in [0, 1]; of `label` and `length` the relative change, of `vectors` 0 or more.
      noise: what two samples of these sizes may differ by, though nothing has changed.
      what: what the distance is, in words.
      moved: which values moved, in words.
    """

    measure: Measure
    name: str
    value: float
    noise: float
    what: str
    moved: str


def distances(
    new: Dataset,
    old: Dataset,
    columns: list[str],
    labels: Mapping[str, str],
    user: str | None,
    groups: int | None = None,
    labelled: Collection[str] = (),
) -> Iterator[Distance]:
    """The distances of a data set to an earlier one.

    Of a column of texts: L-infinity, the largest change of one value's share, and the share of rows whose value
    was never there. Of one of numbers: the Jensen-Shannon divergence to base 2 (Lin 1991) over the deciles of the
    earlier one. Of both: the change of the share of rows without a value. Of a task: the relative change of the
    mean label where it is known; and where every row has one by itself, the change of the share without.

    Args:
      new, old: statistics of examples, as TensorFlow Data Validation makes them.
      columns: to look at.
      labels: task → `rate` or `mean`, which is what its mean label is called.
      user: the column of users, if there is one. Rows of one user are alike, so that of columns chance does
        what it would do to as many rows as there are users (as far as texts are counted).
      groups: how many groups of rows that are alike the new one has, such as requests, if it has.
      labelled: tasks whose label has nothing to wait for and no condition.
    """
    ours, others = _by_name(new), _by_name(old)
    sizes = _independent(new, ours, user), _independent(old, others, user)
    sizes = min(sizes[0], groups or sizes[0]), sizes[1]
    for name in columns:
        a, b = ours.get(name), others.get(name)
        yield missing(name, _share_missing(a, new), _share_missing(b, old), spread_of_shares(*sizes))
        if a is None or b is None:
            continue
        if a.HasField("string_stats") and b.HasField("string_stats"):
            yield from _texts(name, a.string_stats, b.string_stats, sizes)
        elif a.HasField("num_stats") and b.HasField("num_stats"):
            yield from _numbers(name, a.num_stats, b.num_stats, sizes)
    for task, called in labels.items():
        yield from _label(task, called, ours, others)
    for task in labelled:
        shares = [1 - of[f"{task}/mask"].num_stats.mean for of in (ours, others)]
        yield missing(task, *shares, spread_of_shares(*sizes), "label")


def _by_name(dataset: Dataset) -> dict[str, statistics_pb2.FeatureNameStatistics]:
    return {(f.path.step[0] if f.HasField("path") else f.name): f for f in dataset.features}


def _independent(
    dataset: Dataset, of: Mapping[str, statistics_pb2.FeatureNameStatistics], user: str | None
) -> int:
    users = of[user].string_stats.unique if user in of and of[user].HasField("string_stats") else 0
    return min(dataset.num_examples, users) if users else dataset.num_examples


def _common(feature: statistics_pb2.FeatureNameStatistics) -> statistics_pb2.CommonStatistics:
    return getattr(feature, feature.WhichOneof("stats")).common_stats


def _share_missing(feature: statistics_pb2.FeatureNameStatistics | None, of: Dataset) -> float:
    if feature is None or not of.num_examples:
        return 1.0
    return 1 - _common(feature).num_non_missing / of.num_examples


def spread_of_shares(rows: float, others: float) -> float:
    """What chance makes of the difference of two shares of so many rows, at most."""
    return _SIGMAS * float(np.sqrt(0.25 * (1 / max(rows, 1) + 1 / max(others, 1))))


def missing(name: str, share: float, before: float, noise: float, what: str = "value") -> Distance:
    """Of the shares of rows without a value."""
    return Distance(
        "missing",
        name,
        abs(share - before),
        noise,
        f"the change of the share of rows without a {what}",
        f"{share:.1%} of the rows have no {what}, and {before:.1%} had none",
    )


def _texts(
    name: str,
    new: statistics_pb2.StringStatistics,
    old: statistics_pb2.StringStatistics,
    sizes: tuple[int, int],
) -> Iterator[Distance]:
    shares, before = _shares(new), _shares(old)
    if not shares or not before:
        return
    change = {value: shares.get(value, 0.0) - before.get(value, 0.0) for value in shares | before}
    largest = sorted(change, key=lambda value: (-abs(change[value]), value))[:3]
    moved = ", ".join(f"'{v}' {shares.get(v, 0):.1%}, was {before.get(v, 0):.1%}" for v in largest)
    yield Distance(
        "values",
        name,
        abs(change[largest[0]]),
        spread_of_shares(*sizes),
        "L-infinity of the values' shares",
        moved,
    )
    fresh = {value: share for value, share in shares.items() if value not in before}
    most = sorted(fresh, key=lambda value: (-fresh[value], value))[:3]
    yield Distance(
        "new_values",
        name,
        sum(fresh.values()),
        spread_of_shares(sizes[0], sizes[0]),
        "the share of values that were never there",
        "such as " + ", ".join(f"'{value}' {fresh[value]:.1%}" for value in most) if most else "",
    )


def _shares(texts: statistics_pb2.StringStatistics) -> dict[str, float]:
    total = texts.common_stats.tot_num_values
    return {b.label: b.sample_count / total for b in texts.rank_histogram.buckets} if total else {}


def _numbers(
    name: str,
    new: statistics_pb2.NumericStatistics,
    old: statistics_pb2.NumericStatistics,
    sizes: tuple[int, int],
) -> Iterator[Distance]:
    ours, others = _quantiles(new), _quantiles(old)
    if ours is None or others is None:
        return
    edges = np.unique(at_shares([others], np.linspace(0, 1, _BINS + 1)))
    p, q = (_parts(histogram, edges) for histogram in (ours, others))
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(x > 0, x * np.log2(x / middle), 0).sum() / 2 for x in (p, q)]
    yield Distance(
        "values",
        name,
        float(np.clip(sum(terms), 0, 1)),
        _SIGMAS * len(p) / (8 * np.log(2)) * sum(1 / max(size, 1) for size in sizes),
        "Jensen-Shannon divergence",
        f"median {_shown(new.median)}, was {_shown(old.median)}; mean {_shown(new.mean)}, was "
        f"{_shown(old.mean)}; {_shown(new.min)} to {_shown(new.max)}, was {_shown(old.min)} to "
        f"{_shown(old.max)}",
    )


def _shown(number: float) -> str:
    """Four digits, or all before the point."""
    return f"{number:,.0f}" if 1e4 <= abs(number) < 1e15 else f"{number:,.4g}"


def _quantiles(numbers: statistics_pb2.NumericStatistics) -> statistics_pb2.Histogram | None:
    found = [h for h in numbers.histograms if h.type == statistics_pb2.Histogram.QUANTILES and h.buckets]
    return found[0] if found else None


def _parts(histogram: statistics_pb2.Histogram, edges: np.ndarray) -> np.ndarray:
    """Shares of the values up to each edge, and above the last."""
    total = sum(bucket.sample_count for bucket in histogram.buckets)
    return np.diff(np.concatenate([[0.0], below(histogram, edges), [total]])) / total


def _label(task: str, called: str, ours: Mapping, others: Mapping) -> Iterator[Distance]:
    found = []
    for features in (ours, others):
        label, mask = features.get(f"{task}/label"), features.get(f"{task}/mask")
        if label is None or mask is None or not mask.num_stats.mean:
            return  # no label is known there
        rows = mask.num_stats.mean * mask.num_stats.common_stats.tot_num_values
        mean = label.num_stats.mean / mask.num_stats.mean
        found.append((mean, rows, label.num_stats.std_dev / mask.num_stats.mean))
    (mean, rows, _), (before, others_rows, spread) = found
    if not before:
        return
    noise = _SIGMAS * abs(spread / before) * float(np.sqrt(1 / rows + 1 / others_rows))
    shown = "{:.2%}".format if called == "rate" else _shown
    yield Distance(
        "label",
        task,
        abs(mean / before - 1),
        noise,
        f"the relative change of the label's {called}",
        f"{shown(mean)}, was {shown(before)}",
    )
