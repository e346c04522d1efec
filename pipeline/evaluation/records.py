"""A scores file read batch by batch, and cut by user into records of each task on disk.

Columns of the scores file: `role/<role>` (int or string), `slice/<feature>`, and for each task
`<task>/label`, `<task>/mask` (1 where the label is known), `<task>/weight`, `<task>/prediction` (a list of
probabilities where the task has classes), and optionally `<task>/baseline` (the serving model's prediction)
and `<task>/reference/<name>` (another system's score of the same rows). The file's metadata may hold
`Faults`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from pipeline import memory
from pipeline.evaluation.partitions import Partitions, hash_parts, parts_for
from pipeline.evaluation.replicates import splitmix64
from pipeline.evaluation.slicing import Coded, Slices, coded
from pipeline.evaluation.table import NoBaseline

_ROWS_A_BATCH = 1 << 16
# Of a task's rows, as many are kept as a sample; it decides where ranges and calibration bins are cut.
_SAMPLE = 1 << 15
_FAULTS = "faults"


@dataclass(frozen=True)
class Faults:
    """What stands beside scores in words.

    Attributes:
      candidate: why its predictions are no numbers, where it could not be asked.
      no_baseline: task -> why it is not compared with the serving model.
    """

    candidate: str | None = None
    no_baseline: dict[str, NoBaseline] = field(default_factory=dict)

    def metadata(self) -> dict[str, str]:
        """As metadata of a Parquet file."""
        return {_FAULTS: json.dumps(asdict(self))}

    @classmethod
    def of(cls, path: str) -> Faults:
        """Reads what a file has of `metadata`."""
        said = json.loads((pq.read_metadata(path).metadata or {}).get(_FAULTS.encode(), "{}"))
        tasks = said.get("no_baseline", {})
        return cls(said.get("candidate"), {task: NoBaseline(**why) for task, why in tasks.items()})


class ScoreFiles:
    """The Parquet files of scores."""

    def __init__(self, paths: str | Path | Sequence[str | Path]):
        """Takes a file, a folder of files, or a list of either.

        Raises:
          FileNotFoundError: if a path does not exist, or there is no Parquet file under them.
        """
        paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
        files = [file for path in paths for file in ds.dataset(str(path), format="parquet").files]
        if not files:
            raise FileNotFoundError(f"no Parquet file of scores under {', '.join(map(str, paths))}")
        self.files = sorted(files)
        self.schema = pq.read_schema(self.files[0])
        faults = [Faults.of(file) for file in self.files]
        self.faults = Faults(
            next((f.candidate for f in faults if f.candidate), None),
            {task: why for f in faults for task, why in f.no_baseline.items()},
        )
        self.rows = sum(pq.read_metadata(file).num_rows for file in self.files)

    def require(self, columns: Sequence[str]) -> None:
        """Raises KeyError, naming the columns that are missing and those there are."""
        missing = [name for name in columns if name not in self.schema.names]
        if missing:
            have = ", ".join(self.schema.names)
            raise KeyError(f"the scores have no column {', '.join(missing)}; they have {have}")

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows, tens of thousands at a time."""
        if not self.rows:
            fields = [self.schema.field(name) for name in columns]
            empty = [pa.array([], field.type) for field in fields]
            yield pa.RecordBatch.from_arrays(empty, schema=pa.schema(fields))
        for path in self.files:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(_ROWS_A_BATCH, columns=list(columns))


def slice_columns(batch: pa.RecordBatch, features: Sequence[str]) -> dict[str, Coded]:
    """The `slice/<feature>` columns of a batch."""
    return {feature: coded(batch[f"slice/{feature}"]) for feature in features}


def key_hashes(column: pa.Array) -> np.ndarray:
    """(n,) uint64, a function of each key alone; 0 for a missing one."""
    encoded = column.dictionary_encode()
    keys = encoded.dictionary.to_numpy(zero_copy_only=False)
    hashes = np.r_[np.maximum(pd.util.hash_array(keys, categorize=False), 1), np.uint64(0)]
    return hashes[encoded.indices.fill_null(len(keys)).to_numpy(zero_copy_only=False)]


def floats(column: pa.Array) -> np.ndarray:
    """(n,) or (n, k) float64, NaN where missing."""
    if not isinstance(column, (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)):
        return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    flat = pc.cast(column.flatten(), pa.float64()).to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    most = lengths.max(initial=1)
    wide = np.full((len(column), most), np.nan)
    wide[np.arange(most) < lengths[:, None]] = flat
    return wide


def prediction_column(predictions: np.ndarray) -> np.ndarray | pa.Array:
    """The reverse of `floats`, of (n,) or (n, k) predictions; (n, 1) is one number a row too."""
    values = predictions.astype(np.float64)
    if values.ndim == 1 or values.shape[1] == 1:
        return values.reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _finite(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values).all(axis=tuple(range(1, values.ndim)))


@dataclass
class TaskRecords:
    """A task's rows of known label.

    Attributes:
      scores: whose predictions there are: "prediction", perhaps "baseline", "reference/<name>"s.
      partitions: records cut by unit, with fields `unit` (uint64 hash of the user, else of the request, else
        of the row), `weight`, `label`, `slices` (ids, see `Slices`), `role/<role>` (uint64, 0 for none) and
        `scores` (scores,) or (scores, classes).
      sample: (up to 32,768,) records drawn by a hash of the row.
      examples: (slices,) rows.
      not_finite: of "label" and each of `scores`, how many rows are not finite numbers.
      ranges: of each of `scores` the least and the greatest.
      labels: the least and the greatest.
      whole: whether all labels are whole numbers.
    """

    scores: list[str]
    partitions: Partitions
    sample: np.ndarray
    examples: np.ndarray
    not_finite: dict[str, int] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    labels: tuple[float, float] = (np.inf, -np.inf)
    whole: bool = True
    _least: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))

    def add(self, records: np.ndarray, parts: int) -> None:
        """Adds (n,) records, cut into so many parts."""
        columns = {"label": records["label"]}
        columns |= {name: records["scores"][:, i] for i, name in enumerate(self.scores)}
        for name, values in columns.items():
            self.not_finite[name] = self.not_finite.get(name, 0) + int((~_finite(values)).sum())
        for i, name in enumerate(self.scores):
            values, (least, greatest) = records["scores"][:, i], self.ranges.get(name, (np.inf, -np.inf))
            self.ranges[name] = (values.min(initial=least), values.max(initial=greatest))
        label = records["label"]
        self.labels = (label.min(initial=self.labels[0]), label.max(initial=self.labels[1]))
        self.whole &= bool((label == np.floor(label)).all())
        for ids in records["slices"].T:
            self.examples += np.bincount(ids[ids >= 0], minlength=len(self.examples))
        self.partitions.add(records, hash_parts(records["unit"], parts))
        drawn = _row_hashes(records["unit"], [records["label"], records["scores"]])
        drawn, rows = np.r_[self._least, drawn], np.r_[self.sample, records]
        least = np.argsort(drawn, kind="stable")[:_SAMPLE]
        self._least, self.sample = drawn[least], rows[least]


def _row_hashes(seed: np.ndarray, columns: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) uint64, a function of what stands in each row."""
    hashes = splitmix64(seed)
    for column in columns:
        for bits in column.view(np.uint64).reshape(len(seed), column[:1].size or 1).T:
            hashes = splitmix64(hashes ^ bits)
    return hashes


def read_records(
    files: ScoreFiles,
    tasks: Sequence[str],
    roles: Sequence[str],
    slices: Slices,
    folder: Path,
    use_weight: bool = False,
) -> dict[str, TaskRecords]:
    """Cuts the rows of every task by user.

    Args:
      tasks: their names.
      roles: whose hashes records carry.
      slices: those that records are told apart by.
      folder: for the records.
      use_weight: weigh rows by `<task>/weight`; otherwise each known label counts 1.

    Raises:
      KeyError: naming a column that is missing, and those there are.
    """
    columns = [f"role/{role}" for role in roles] + [f"slice/{f}" for f in slices.features]
    scores = {}
    for task in tasks:
        columns += [f"{task}/{part}" for part in ("label", "mask", "prediction")]
        columns += [f"{task}/weight"] if use_weight else []
        names = [n.removeprefix(f"{task}/") for n in files.schema.names if n.startswith(f"{task}/")]
        others = [n for n in names if n == "baseline" or n.startswith("reference/")]
        scores[task] = ["prediction", *sorted(others)]
    files.require(columns)
    columns += [f"{task}/{score}" for task, names in scores.items() for score in names[1:]]
    found: dict[str, TaskRecords] = {}
    parts = parts_for(files.rows)
    for batch in files.batches(columns):
        numbers = {n: floats(batch[n]) for n in columns if not n.startswith(("role/", "slice/"))}
        hashes = {role: key_hashes(batch[f"role/{role}"]) for role in roles}
        rows = _row_hashes(np.zeros(batch.num_rows, np.uint64), [*numbers.values(), *hashes.values()])
        unit = rows
        for role in ("request", "user"):
            unit = np.where(hashes[role] > 0, hashes[role], unit) if role in roles else unit
        ids = slices.ids(slice_columns(batch, slices.features), batch.num_rows)
        for task in tasks:
            mask = numbers[f"{task}/mask"] > 0
            weight = numbers[f"{task}/weight"] if use_weight else mask.astype(np.float64)
            kept = np.flatnonzero(mask & (weight > 0))
            predictions = [numbers[f"{task}/{score}"] for score in scores[task]]
            dtype = np.dtype(
                [("unit", "u8"), ("weight", "f8"), ("label", "f8"), ("slices", "i4", ids.shape[1:])]
                + [(f"role/{role}", "u8") for role in roles]
                + [("scores", "f8", (len(predictions), *predictions[0].shape[1:]))]
            )
            records = np.empty(len(kept), dtype)
            records["unit"], records["weight"], records["slices"] = unit[kept], weight[kept], ids[kept]
            records["label"] = numbers[f"{task}/label"][kept]
            for role in roles:
                records[f"role/{role}"] = hashes[role][kept]
            for i, prediction in enumerate(predictions):
                records["scores"][:, i] = prediction[kept]
            if task not in found:
                partitions = Partitions(folder / task, dtype)
                examples = np.zeros(len(slices.names), np.int64)
                found[task] = TaskRecords(scores[task], partitions, np.empty(0, dtype), examples)
            found[task].add(records, parts)
        memory.give_back()
    return found
