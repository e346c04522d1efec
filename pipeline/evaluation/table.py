"""The metrics table: the one road from metrics to slices, gates and report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OVERALL = "overall"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of one task in one slice.

    Attributes:
      slice: "overall" or "feature=value".
      value: of the candidate, or of the reference where one is named; None where undefined.
      baseline: of the serving model; None where there is none or it is undefined.
      low, high: 95 % interval of the value.
      diff_low, diff_high: 95 % interval of value - baseline.
      examples: rows whose label is known.
      reference: None for the model, else whose score this is ("propensity", "constant", ...).
      note: why the value is undefined.
    """

    task: str
    slice: str
    metric: str
    value: float | None
    baseline: float | None = None
    low: float | None = None
    high: float | None = None
    diff_low: float | None = None
    diff_high: float | None = None
    examples: int = 0
    reference: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        for name in _FLOATS:
            value = getattr(self, name)
            if value is not None:
                value = float(value)
                object.__setattr__(self, name, value if math.isfinite(value) else None)


_FLOATS = ("value", "baseline", "low", "high", "diff_low", "diff_high")
_NO_BASELINE, _SLICED_BY, _SPANS = b"no_baseline", b"sliced_by", b"spans"
_FAVOURED, _EXPOSED = b"favoured", b"exposed"
_SCHEMA = pa.schema(
    [(n, pa.string()) for n in ("task", "slice", "metric")]
    + [(n, pa.float64()) for n in _FLOATS]
    + [("examples", pa.int64()), ("reference", pa.string()), ("note", pa.string())]
)


@dataclass(frozen=True)
class NoBaseline:
    """Why a task is not compared with the serving model.

    Attributes:
      reason: the end of a sentence.
      fault: whether it should have been: the serving model is there, and could not be asked.
    """

    reason: str
    fault: bool = False


class MetricsTable:
    """Rows of metrics, found by task, slice, metric and reference."""

    def __init__(
        self,
        rows: Iterable[MetricRow],
        no_baseline: Mapping[str, NoBaseline] | None = None,
        sliced_by: Sequence[str] = (),
        spans: Mapping[str, str] | None = None,
        favoured: Mapping[str, str] | None = None,
        exposed: Iterable[str] = (),
    ):
        """Takes the rows, of tasks that are not compared the reason where it is known, what was sliced by,
        `feature` or `feature & feature`, whether or not a row has a value of it, of tasks that were
        measured on one span its name, of those whose comparison favours the model why it does, and those of
        whose rows the model was trained on other labels.

        Raises:
          ValueError: if two rows have the same task, slice, metric and reference.
        """
        self._no_baseline = dict(no_baseline or {})
        self.sliced_by = tuple(sliced_by)
        self._spans = dict(spans or {})
        self._favoured = dict(favoured or {})
        self.exposed = tuple(exposed)
        self._rows: dict[tuple[str, str, str, str | None], MetricRow] = {}
        for row in rows:
            key = (row.task, row.slice, row.metric, row.reference)
            if key in self._rows:
                raise ValueError(f"two rows for {key}")
            self._rows[key] = row

    @classmethod
    def joined(
        cls,
        tables: Sequence[tuple[MetricsTable, str]],
        tasks: Sequence[str],
        favoured: Mapping[str, str] | None = None,
        exposed: Iterable[str] = (),
    ) -> MetricsTable:
        """One table of several, each of other tasks and with the name of the span that it was measured on, or
        "". Its rows are in the order of `tasks`; for `favoured` and `exposed` see the
        constructor."""
        place = {task: i for i, task in enumerate(tasks)}
        rows = sorted((row for table, _ in tables for row in table), key=lambda row: place[row.task])
        missing = {t: why for table, _ in tables for t in table.tasks if (why := table._no_baseline.get(t))}
        spans = {task: span for table, span in tables for task in table.tasks if span}
        return cls(rows, missing, tables[0][0].sliced_by, spans, favoured, exposed)

    def __iter__(self) -> Iterator[MetricRow]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(
        self, task: str, metric: str, slice: str = OVERALL, reference: str | None = None
    ) -> MetricRow | None:
        """The row, or None."""
        return self._rows.get((task, slice, metric, reference))

    @property
    def tasks(self) -> list[str]:
        """Task names in the order of the rows."""
        return list(dict.fromkeys(row.task for row in self))

    @property
    def baseline_tasks(self) -> set[str]:
        """Tasks that the serving model predicted too; empty on a first run."""
        return {row.task for row in self if row.baseline is not None}

    def no_baseline(self, task: str) -> NoBaseline | None:
        """Why a task is not compared with the serving model; None where it is."""
        if task in self._no_baseline:
            return self._no_baseline[task]
        if not self.baseline_tasks:
            return NoBaseline("there is no serving model yet")
        return None if task in self.baseline_tasks else NoBaseline(f"the serving model has no task {task}")

    def span(self, task: str) -> str:
        """The span that a task was measured on; "" where there are none."""
        return self._spans.get(task, "")

    def favoured(self, task: str) -> str:
        """Why the comparison with the serving model favours this one; "" where it does not."""
        return self._favoured.get(task, "")

    def slices(self, task: str) -> list[str]:
        """Slice names of a task, "overall" among them."""
        return list(dict.fromkeys(row.slice for row in self if row.task == task))

    def to_arrow(self) -> pa.Table:
        """One row a metric, columns as the attributes of MetricRow; the rest is metadata."""
        reasons = json.dumps({task: asdict(why) for task, why in self._no_baseline.items()})
        schema = _SCHEMA.with_metadata(
            {
                _NO_BASELINE: reasons,
                _SLICED_BY: json.dumps(self.sliced_by),
                _SPANS: json.dumps(self._spans),
                _FAVOURED: json.dumps(self._favoured),
                _EXPOSED: json.dumps(self.exposed),
            }
        )
        return pa.Table.from_pylist([asdict(row) for row in self], schema=schema)

    @classmethod
    def from_arrow(cls, table: pa.Table) -> MetricsTable:
        """The reverse of `to_arrow`."""
        metadata = table.schema.metadata or {}
        reasons = json.loads(metadata.get(_NO_BASELINE, "{}"))
        return cls(
            (MetricRow(**row) for row in table.to_pylist()),
            {task: NoBaseline(**why) for task, why in reasons.items()},
            json.loads(metadata.get(_SLICED_BY, "[]")),
            json.loads(metadata.get(_SPANS, "{}")),
            json.loads(metadata.get(_FAVOURED, "{}")),
            json.loads(metadata.get(_EXPOSED, "[]")),
        )

    def write(self, path: str | Path) -> None:
        """Writes Parquet, every digit kept."""
        pq.write_table(self.to_arrow(), path)

    @classmethod
    def read(cls, path: str | Path) -> MetricsTable:
        """Reads what `write` wrote."""
        return cls.from_arrow(pq.read_table(path))
